"""The evidence of a document (PS3.3 C.17.2.3): every image it refers to, each once, in its own series and study."""

from collections import Counter
from collections.abc import Iterable, Iterator

from node.report.check.reading import ReadDataset, items, text
from node.report.check.received import ReceivedReport
from node.report.check.references import is_of_patient, referenced


def evidence_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    listed = list(_evidence(dataset))
    counts = Counter(text(instance, "ReferencedSOPInstanceUID") for _, _, instance in listed)
    for uid in referenced(dataset):
        if uid not in counts:
            yield f"refers to {uid}, which is not among its evidence"
    for uid, count in counts.items():
        if count > 1:
            yield f"{uid} stands {count} times among its evidence"
    for study, series, instance in listed:
        uid = text(instance, "ReferencedSOPInstanceUID")
        target = report.target(uid)
        if target is None:
            yield f"its evidence {uid} is no image of the case"
        elif (study, series, text(instance, "ReferencedSOPClassUID")) != _place(target):
            yield f"its evidence {uid} stands in another study, series or SOP Class"
        elif report.one_patient and uid in report.images and not is_of_patient(report.source, target):
            yield f"its evidence {uid} is an image of another PatientID or issuer"


def completeness_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    """A structured report names all images of its study and patient, not only those it has something to say about."""
    listed = {text(instance, "ReferencedSOPInstanceUID") for _, _, instance in _evidence(dataset)}
    for uid, image in report.images.items():
        alike = ("StudyInstanceUID", "PatientID", "IssuerOfPatientID")
        if uid not in listed and all(text(image, key) == text(report.source, key) for key in alike):
            yield f"image {uid} of its study is not among its evidence"


def _evidence(dataset: ReadDataset) -> Iterator[tuple[str, str, ReadDataset]]:
    """Study Instance UID, Series Instance UID and reference."""
    for study in items(dataset, "CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            for instance in items(series, "ReferencedSOPSequence"):
                yield text(study, "StudyInstanceUID"), text(series, "SeriesInstanceUID"), instance


def _place(target: ReadDataset) -> tuple[str, str, str]:
    return text(target, "StudyInstanceUID"), text(target, "SeriesInstanceUID"), text(target, "SOPClassUID")
