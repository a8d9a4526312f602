"""Secondary Captures as PNG, one per frame."""

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from node.report_view.output import Output, png
from node.report_view.references import caption, images_of
from node.report_view.source_files import SourceFiles


def render_capture(dataset: Dataset, sources: SourceFiles) -> list[Output]:
    pictures = [Image.fromarray(pixels) for pixels in iter_pixels(dataset)]
    if len(pictures) == 1:
        shown = list(images_of(dataset, "SourceImageSequence"))
        return [png(pictures[0], caption(shown[0], sources) if len(shown) == 1 else "Picture")]
    return [png(picture, f"Frame {number} of {len(pictures)}") for number, picture in enumerate(pictures, start=1)]
