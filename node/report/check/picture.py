"""Secondary Captures: pixels that a viewer can show, and the images that they were made from."""

from collections.abc import Iterable
from typing import Final

from pydicom.datadict import tag_for_keyword

from config import codes
from node.report.check.content import key
from node.report.check.reading import ReadDataset, code, data, items, number, text, texts, value
from node.report.check.received import ReceivedReport

_PIECE_BYTES: Final = 1 << 16
_RGB: Final = {
    "SamplesPerPixel": 3,
    "PlanarConfiguration": 0,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
}


def picture_faults(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    for keyword, expected in _RGB.items():
        if text(dataset, keyword) != str(expected):
            yield f"{keyword} is not {expected}"
    if text(dataset, "PhotometricInterpretation") != "RGB":
        yield "PhotometricInterpretation is not RGB"
    if text(dataset, "BurnedInAnnotation") != "NO":  # no patient's name or number is drawn
        yield "BurnedInAnnotation is not NO"
    if not text(dataset, "ConversionType"):
        yield "ConversionType is missing"
    yield from _pixels(dataset)
    yield from _frame_labels(dataset)
    for item in items(dataset, "SourceImageSequence"):
        if code(item, "PurposeOfReferenceCodeSequence")[:2] != key(codes.SOURCE_IMAGE_FOR_PROCESSING):
            yield "refers to a source image for another purpose"


def source_faults(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    """Of an overlay: it shows at least one image. A summary may show none."""
    if not items(dataset, "SourceImageSequence"):
        yield "does not say which image it shows"


def _frame_labels(dataset: ReadDataset) -> Iterable[str]:
    """PS3.3 C.8.6.4: what the frame increment pointer points to has a value for each frame."""
    frames = number(dataset, "NumberOfFrames")
    if frames and value(dataset, "FrameIncrementPointer") != tag_for_keyword("FrameLabelVector"):
        yield "its frames do not follow their labels"
    if len(texts(dataset, "FrameLabelVector")) != frames:
        yield f"has {len(texts(dataset, 'FrameLabelVector'))} labels for {frames} frames"


def _pixels(dataset: ReadDataset) -> Iterable[str]:
    pixels = data(dataset, "PixelData")
    size = number(dataset, "Rows") * number(dataset, "Columns") * 3 * (number(dataset, "NumberOfFrames") or 1)
    if size == 0 or len(pixels) != size + size % 2:
        yield f"{len(pixels)} bytes of pixels, {size} expected"
    elif _all_alike(pixels):
        yield "all of its pixels are alike"


def _all_alike(pixels: bytes) -> bool:
    """Looks at a piece at a time: the first one tells of most pictures."""
    pieces = (pixels[start : start + _PIECE_BYTES] for start in range(0, len(pixels), _PIECE_BYTES))
    return all(piece.count(pixels[0]) == len(piece) for piece in pieces)
