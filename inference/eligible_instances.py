"""Which objects of a series are MR images that can be decoded: what they are, before where they lie."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGExtended12Bit

from inference.findings import Reason
from inference.heads import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE, MULTI_FRAME_MR, InstanceHead

# A file of a few bytes can claim 65535 x 65535 pixels. The largest MR matrix in use is 2048; the largest multi-frame
# objects hold some 1000 frames of 512 x 512. Beyond these nothing is allocated.
MAXIMUM_ROWS_OR_COLUMNS: Final = 4096
MAXIMUM_PIXELS: Final = 2**28

_ENHANCED_MR_COLOR: Final = "1.2.840.10008.5.1.4.1.1.4.3"
_MR_IMAGES: Final = frozenset({MR_IMAGE_STORAGE, ENHANCED_MR_IMAGE_STORAGE, _ENHANCED_MR_COLOR, *MULTI_FRAME_MR})
_GRAY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_LOCALIZER_TYPES: Final = frozenset({"LOCALIZER", "SCOUT", "LOC"})
_LOCALIZER_WORDS: Final = ("LOCALI", "SCOUT", "SURVEY", "3-PLANE", "3PLANE", "3 PLANE", "3-PL")
_FEW_IMAGES: Final = 15  # three planes of five; a word in a description counts only for so few images


class Rejection(Exception):
    """A series is left out. `detail` is one sentence for a person, without patient data."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


def eligible_instances(members: Sequence[InstanceHead]) -> tuple[list[InstanceHead], list[str]]:
    """The MR images of a series that can be decoded, by SOPInstanceUID, and notes on objects set aside.

    Objects that fail are set aside one by one; when none is left, the reason is that of the most of them.

    Raises
    ------
    Rejection
        no image is left, or the series is a localizer.
    """
    kept: dict[str, InstanceHead] = {}
    failed: list[tuple[Reason, str]] = []
    repeated = 0
    for head in sorted(members, key=lambda head: (head.sop_instance_uid, str(head.file))):
        fault = _fault(head)
        if fault is not None:
            failed.append(fault)
        elif head.sop_instance_uid in kept:
            repeated += 1
        else:
            kept[head.sop_instance_uid] = head
    if not kept:
        reason, detail = Counter(failed).most_common(1)[0][0]
        raise Rejection(reason, detail)
    heads = list(kept.values())
    _reject_localizer(heads)
    notes = [f"{count} set aside ({detail})" for (_, detail), count in sorted(Counter(failed).items())]
    if repeated:
        notes.append(f"{repeated} files repeat an instance and were not read")
    return heads, notes


def _fault(head: InstanceHead) -> tuple[Reason, str] | None:
    if head.unreadable is not None:
        return Reason.UNREADABLE, head.unreadable
    if head.rows <= 0 or head.columns <= 0 or not head.frames:
        return Reason.NOT_AN_IMAGE, f"no image: SOP class {head.sop_class_uid}, modality {head.modality or 'absent'}"
    if head.modality != "MR" or head.sop_class_uid not in _MR_IMAGES:
        return Reason.NOT_MR, f"no MR image: SOP class {head.sop_class_uid}, modality {head.modality or 'absent'}"
    if pixels := _unsupported_pixels(head):
        return Reason.UNSUPPORTED_PIXELS, pixels
    return None


def _unsupported_pixels(head: InstanceHead) -> str:
    if head.samples_per_pixel != 1 or head.photometric_interpretation not in _GRAY:
        return f"{head.samples_per_pixel} samples per pixel, {head.photometric_interpretation or 'no photometric'}"
    if head.bits_allocated not in (8, 16, 32):
        return f"BitsAllocated {head.bits_allocated}, supported are 8, 16 and 32"
    if max(head.rows, head.columns) > MAXIMUM_ROWS_OR_COLUMNS:
        return f"claims {head.rows} rows x {head.columns} columns, at most {MAXIMUM_ROWS_OR_COLUMNS} are read"
    if head.rows * head.columns * len(head.frames) > MAXIMUM_PIXELS:
        return f"claims {head.rows} x {head.columns} x {len(head.frames)} pixels, at most {MAXIMUM_PIXELS} are read"
    if head.transfer_syntax_uid == JPEGExtended12Bit and head.bits_stored > 8:
        return f"transfer syntax {head.transfer_syntax_uid} (JPEG Extended 12-bit) has no decoder"
    if not _has_decoder(head.transfer_syntax_uid):
        return f"transfer syntax {head.transfer_syntax_uid or 'absent'} has no decoder"
    return ""


@lru_cache(maxsize=64)
def _has_decoder(transfer_syntax_uid: str) -> bool:
    try:
        return get_decoder(UID(transfer_syntax_uid)).is_available
    except NotImplementedError:  # pydicom's word for a syntax it does not know
        return False


def _reject_localizer(heads: Sequence[InstanceHead]) -> None:
    frames = [(head, frame) for head in heads for frame in head.frames]
    typed = sum(bool(_LOCALIZER_TYPES & {*head.image_type, *frame.acquisition.image_type}) for head, frame in frames)
    if 2 * typed > len(frames):
        raise Rejection(Reason.LOCALIZER, f"ImageType says LOCALIZER on {typed} of {len(frames)} images")
    if len(frames) <= _FEW_IMAGES and all(_described_as_localizer(head) for head in heads):
        raise Rejection(Reason.LOCALIZER, f"named as a localizer, {len(frames)} images")


def _described_as_localizer(head: InstanceHead) -> bool:
    return any(
        word in text.upper()
        for field, text in head.words
        if field in ("SeriesDescription", "ProtocolName")
        for word in _LOCALIZER_WORDS
    )
