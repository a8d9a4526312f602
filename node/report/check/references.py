"""References of an object to images: they exist, are of this patient, and name frames that exist."""

from collections.abc import Iterable, Iterator
from typing import Final

from config import codes
from node.report.check.reading import ReadDataset, items, name, nested, number, text, texts, walk
from node.report.check.received import ReceivedReport

# Documents of earlier revisions and requests are no images; the evidence is judged by its own rules
_NO_IMAGES: Final = frozenset(
    {
        "CurrentRequestedProcedureEvidenceSequence",
        "IdenticalDocumentsSequence",
        "PertinentOtherEvidenceSequence",
        "PredecessorDocumentsSequence",
        "ReferencedPerformedProcedureStepSequence",
        "ReferencedRequestSequence",
        "ReferencedStudySequence",
    }
)
# A viewer that is told no frame shows the picture's marks on every one
_ON_ONE_FRAME: Final = frozenset({"SourceImageSequence", "ReferencedSOPSequence"})


def reference_items(dataset: ReadDataset) -> Iterator[tuple[str, ReadDataset]]:
    """Every reference to an image or document at any depth, with the keyword of its sequence."""
    for keyword, item in nested(dataset, _NO_IMAGES):
        if "ReferencedSOPInstanceUID" in item or "ReferencedSOPClassUID" in item:
            yield keyword, item


def referenced(dataset: ReadDataset) -> list[str]:
    """SOP Instance UIDs of the references, in order, each once."""
    return list(dict.fromkeys(text(item, "ReferencedSOPInstanceUID") for _, item in reference_items(dataset)))


def reference_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    told: set[str] = set()
    for keyword, item in reference_items(dataset):
        uid = text(item, "ReferencedSOPInstanceUID")
        target = report.target(uid)
        faults = [f"refers to {uid}, which is no image of the case"] if target is None else []
        if target is not None:
            faults += _faults(keyword, item, target)
            if report.one_patient and uid in report.images and not is_of_patient(report.source, target):
                faults.append(f"refers to {uid}, an image of another PatientID or issuer")
        yield from (fault for fault in faults if fault not in told)
        told.update(faults)
    yield from _series(dataset, report)
    yield from _named_uids(dataset, report)


def is_of_patient(patient: ReadDataset, image: ReadDataset) -> bool:
    """Whether two headers name one patient (PS3.3 C.7.1.1)."""
    return all(text(image, keyword) == text(patient, keyword) for keyword in ("PatientID", "IssuerOfPatientID"))


def frame_numbers(item: ReadDataset) -> list[int]:
    """Referenced Frame Number; an empty list when absent or no number."""
    frames = texts(item, "ReferencedFrameNumber")
    return [int(one) for one in frames] if all(one.isdecimal() for one in frames) else []


def _faults(keyword: str, item: ReadDataset, target: ReadDataset) -> Iterable[str]:
    uid, frames = text(item, "ReferencedSOPInstanceUID"), number(target, "NumberOfFrames") or 1
    if text(item, "ReferencedSOPClassUID") != text(target, "SOPClassUID"):
        yield f"refers to {uid} by another SOP Class"
    if frames > 1 and keyword in _ON_ONE_FRAME and not frame_numbers(item):
        yield f"refers to multi-frame image {uid} without a frame number"
    if any(not 1 <= frame <= frames for frame in frame_numbers(item)):
        yield f"refers to a frame that {uid} does not have"


def referenced_series(dataset: ReadDataset) -> Iterator[tuple[str, str]]:
    """Series Instance UID and SOP Instance UID of what a presentation state or a segmentation refers to as a whole."""
    # Images of other studies stand under their study (PS3.3 C.12.1.2)
    for study in (dataset, *items(dataset, "StudiesContainingOtherReferencedInstancesSequence")):
        for series in items(study, "ReferencedSeriesSequence"):
            for image in items(series, "ReferencedImageSequence", "ReferencedInstanceSequence"):
                yield text(series, "SeriesInstanceUID"), text(image, "ReferencedSOPInstanceUID")


def _series(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    for series, uid in referenced_series(dataset):
        if uid in report.images and text(report.images[uid], "SeriesInstanceUID") != series:
            yield f"refers to {uid} under another series"


def _named_uids(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    """UIDs that the content tree names without referring to them."""
    series = {text(image, "SeriesInstanceUID") for image in report.images.values()}
    left_out = (codes.SERIES_LEFT_OUT.value, codes.SERIES_LEFT_OUT.scheme)
    for parent in (dataset, *walk(dataset)):
        for item in items(parent, "ContentSequence"):
            uid = text(item, "UID")
            if name(item)[0] == codes.CLIP_IMAGE.value and uid not in report.images:
                yield f"names {uid}, which is no image of the case"
            if name(item)[0] == codes.SERIES_INSTANCE_UID.value and name(parent) != left_out and uid not in series:
                yield f"names {uid}, which is no series of the case"
