"""References to images, as items of many sequences hold them."""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from node.report_view.source_files import SourceFiles
from node.report_view.values import elements, values

ImageKey = tuple[str, int | None]  # SOP Instance UID; frame number, where one is named


def images_of(item: Dataset, keyword: str = "ReferencedImageSequence") -> Iterator[ImageKey]:
    """The images of a sequence of Image SOP Instance References (PS3.3 Table 10-3), frame by frame."""
    for reference in elements(item, keyword):
        for frame in values(reference, "ReferencedFrameNumber") or [None]:
            yield str(reference.ReferencedSOPInstanceUID), None if frame is None else int(frame)


def applies(item: Dataset, image: ImageKey) -> bool:
    """An item without references is for all images; one without frames is for all frames."""
    named = list(images_of(item))
    return not named or image in named or (image[0], None) in named


def caption(image: ImageKey, sources: SourceFiles) -> str:
    uid, frame = image
    name = sources.name(uid) or f"image {uid}"
    return name if frame is None else f"{name}, frame {frame}"
