"""A segmentation: its segments as an HTML page, and their masks over the images that they were drawn on.

Source: PS3.3 C.8.20 (Segmentation Image and Segment Description).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from node.report.pictures.drawing import Colour
from node.report_view.gray import NO_COLOUR, gray, limits_of, rgb
from node.report_view.html_page import page, paragraph, table
from node.report_view.output import Output, png
from node.report_view.references import ImageKey, caption, images_of
from node.report_view.source_files import SourceFiles
from node.report_view.structured_report import patient_rows
from node.report_view.values import elements, values

_OPACITY: Final = 0.45
_SHORTER_SIDE_PX: Final = 512


@dataclass(frozen=True, slots=True)
class _Mask:
    """One frame: where one segment lies on one image."""

    segment: int
    image: ImageKey
    pixels: NDArray[np.bool_]  # (rows, columns)


def render_segmentation(dataset: Dataset, sources: SourceFiles) -> list[Output]:
    segments = elements(dataset, "SegmentSequence")
    masks = list(_masks(dataset))
    content = page(
        "Segmentation",
        paragraph("This page holds patient data.", css_class="warning"),
        table(patient_rows(dataset)),
        *(table(_segment_rows(segment, masks, sources)) for segment in segments),
    )
    colours = {int(one.SegmentNumber): rgb(values(one, "RecommendedDisplayCIELabValue")) for one in segments}
    outputs = [Output(ending="html", content=content, caption="Segments")]
    for image in dict.fromkeys(mask.image for mask in masks):
        on_image = [mask for mask in masks if mask.image == image]
        outputs.append(png(_draw(on_image, image, colours, sources), caption(image, sources)))
    return outputs


def _masks(dataset: Dataset) -> Iterator[_Mask]:
    groups = elements(dataset, "PerFrameFunctionalGroupsSequence")
    for group, pixels in zip(groups, iter_pixels(dataset), strict=False):
        segment = next(
            (int(one.ReferencedSegmentNumber) for one in elements(group, "SegmentIdentificationSequence")), 0
        )
        derivations = elements(group, "DerivationImageSequence")
        images = [image for one in derivations for image in images_of(one, "SourceImageSequence")]
        yield _Mask(segment, images[0] if images else ("", None), pixels > 0)


def _segment_rows(segment: Dataset, masks: Iterable[_Mask], sources: SourceFiles) -> list[tuple[str, str]]:
    number = int(segment.SegmentNumber)
    own = [mask for mask in masks if mask.segment == number]
    kinds = (elements(segment, f"SegmentedProperty{part}CodeSequence") for part in ("Category", "Type"))
    return [
        ("Segment", f"{number}: {segment.get('SegmentLabel', '')}"),
        ("Description", str(segment.get("SegmentDescription", ""))),
        ("Kind", ", ".join(str(code.CodeMeaning) for codes in kinds for code in codes)),
        ("Algorithm", f"{segment.get('SegmentAlgorithmType', '')} {segment.get('SegmentAlgorithmName', '')}".strip()),
        ("Pixels", str(sum(int(mask.pixels.sum()) for mask in own))),
        ("Images", "\n".join(dict.fromkeys(caption(mask.image, sources) for mask in own))),
    ]


def _draw(masks: Iterable[_Mask], image: ImageKey, colours: dict[int, Colour], sources: SourceFiles) -> Image.Image:
    """The image, gray, with each mask tinted in the colour of its segment; on black where the image is gone."""
    masks = list(masks)
    stored = sources.stored_values(*image)
    shown = np.zeros(masks[0].pixels.shape, np.uint8) if stored is None else gray(stored, limits_of(stored))
    tinted = np.repeat(shown[..., np.newaxis], 3, axis=2).astype(np.float32)
    for mask in masks:
        if mask.pixels.shape == shown.shape:
            colour = np.array(colours.get(mask.segment, NO_COLOUR), np.float32)
            tinted[mask.pixels] = (1 - _OPACITY) * tinted[mask.pixels] + _OPACITY * colour
    picture = Image.fromarray(tinted.round().astype(np.uint8))
    enlarge = max(1, round(_SHORTER_SIDE_PX / min(picture.size)))
    return picture.resize((picture.width * enlarge, picture.height * enlarge), Image.Resampling.NEAREST)
