"""A grayscale presentation state drawn over its images: window, boxes and labels come from the object itself.

Sources: PS3.4 N.2 (grayscale transformations), PS3.3 C.10.4 (displayed area), C.10.7 (layers).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset

from node.report.pictures.drawing import Colour
from node.report.pictures.slice_picture import square_pixels
from node.report_view.annotation import Sheet, draw_graphic, draw_text
from node.report_view.gray import gray, limits_of, rgb
from node.report_view.output import Output, png
from node.report_view.references import ImageKey, applies, caption, images_of
from node.report_view.source_files import SourceFiles
from node.report_view.values import elements, values


def render_presentation_state(state: Dataset, sources: SourceFiles) -> list[Output]:
    """One picture per image with annotations that the node still has."""
    annotations = elements(state, "GraphicAnnotationSequence")
    outputs = []
    for image in dict.fromkeys(image for one in annotations for image in images_of(one)):
        stored = sources.stored_values(*image)
        if stored is not None:
            outputs.append(png(_draw(state, image, stored), caption(image, sources)))
    return outputs


def _draw(state: Dataset, image: ImageKey, stored: NDArray[np.float32]) -> Image.Image:
    shown = Image.fromarray(_shown(state, image, stored))
    resized, scale = square_pixels(shown, _pixel_size(state, image))
    picture = resized.convert("RGB")
    sheet = Sheet(draw=ImageDraw.Draw(picture), scale=scale, size=shown.size)
    for annotation in sorted(elements(state, "GraphicAnnotationSequence"), key=lambda one: _order(state, one)):
        if image in images_of(annotation):
            colour = _colour(state, annotation)
            for graphic in elements(annotation, "GraphicObjectSequence"):
                draw_graphic(sheet, graphic, colour)
            for text in elements(annotation, "TextObjectSequence"):
                draw_text(sheet, text, colour)
    return picture


def _shown(state: Dataset, image: ImageKey, stored: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(rows, columns) gray values, after the rescaling, the window and the polarity of the presentation state."""
    slope, intercept = (values(state, keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
    rescaled = stored * float(slope[0] if slope else 1) + float(intercept[0] if intercept else 0)
    window = _item_for(state, "SoftcopyVOILUTSequence", image)
    centre, width = (values(window, keyword) for keyword in ("WindowCenter", "WindowWidth"))
    limits = limits_of(rescaled)
    if centre and width:  # PS3.3 C.11.2.1.2.1, LINEAR
        low = float(centre[0]) - 0.5 * float(width[0])
        limits = low, low + float(width[0]) - 1
    return gray(rescaled, limits, inverse=state.get("PresentationLUTShape") == "INVERSE")


def _pixel_size(state: Dataset, image: ImageKey) -> tuple[float, float]:
    """Height and width of a pixel; only their ratio counts."""
    area = _item_for(state, "DisplayedAreaSelectionSequence", image)
    for keyword in ("PresentationPixelSpacing", "PresentationPixelAspectRatio"):
        sizes = values(area, keyword)
        if len(sizes) == 2:
            return float(sizes[0]), float(sizes[1])
    return 1.0, 1.0


def _item_for(state: Dataset, keyword: str, image: ImageKey) -> Dataset:
    return next((one for one in elements(state, keyword) if applies(one, image)), Dataset())


def _layer(state: Dataset, annotation: Dataset) -> Dataset:
    layers = elements(state, "GraphicLayerSequence")
    return next((one for one in layers if one.get("GraphicLayer") == annotation.get("GraphicLayer")), Dataset())


def _order(state: Dataset, annotation: Dataset) -> int:
    return int(_layer(state, annotation).get("GraphicLayerOrder") or 0)


def _colour(state: Dataset, annotation: Dataset) -> Colour:
    return rgb(values(_layer(state, annotation), "GraphicLayerRecommendedDisplayCIELabValue"))
