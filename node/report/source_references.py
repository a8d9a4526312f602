"""References from an object that the node makes to the images that it was made from."""

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset

from config import codes
from inference.findings import ImageReference
from node.report.coding import concept
from node.report.evidence import SourceImages
from node.report.patient_study import copy_elements, decoded_text

_ByStudy = dict[str, dict[str, list[Dataset]]]  # references by Study and Series Instance UID


def source_items(images: Iterable[ImageReference], sources: SourceImages, *, preserved: bool) -> list[Dataset]:
    """Items of a Source Image Sequence (PS3.3 C.7.6.1.1.4): one per image, so that each names at most one frame.

    `preserved`: each pixel lies where that of the source lies.
    """
    items = []
    for image in dict.fromkeys(images):
        item = Dataset()
        item.ReferencedSOPClassUID = str(sources.header(image).SOPClassUID)
        item.ReferencedSOPInstanceUID = image.sop_instance_uid
        if image.frame_number is not None:
            item.ReferencedFrameNumber = image.frame_number
        item.SpatialLocationsPreserved = "YES" if preserved else "NO"
        item.PurposeOfReferenceCodeSequence = [concept(codes.SOURCE_IMAGE_FOR_PROCESSING)]
        items.append(item)
    return items


def set_referenced_instances(dataset: Dataset, images: Iterable[ImageReference], sources: SourceImages) -> None:
    """Common Instance Reference (PS3.3 C.12.2): instances of the report's study, and those of other studies."""
    uids = dict.fromkeys(image.sop_instance_uid for image in images)
    by_study = _by_study(sources.headers[uid] for uid in uids)
    _remove(dataset, "ReferencedSeriesSequence", "StudiesContainingOtherReferencedInstancesSequence")
    if own := by_study.pop(sources.study_instance_uid, None):
        dataset.ReferencedSeriesSequence = _series_items(own, "ReferencedInstanceSequence")
    if by_study:
        dataset.StudiesContainingOtherReferencedInstancesSequence = _study_items(by_study, "ReferencedInstanceSequence")


def set_evidence(document: Dataset, evidence: Iterable[Dataset]) -> None:
    """The evidence of a document (PS3.3 C.17.2): images of its own study, and those of other studies."""
    by_study = _by_study(evidence)
    _remove(document, "CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
    study = str(document.StudyInstanceUID)
    if own := by_study.pop(study, None):  # Type 1C: not there when no image of this study can be referred to
        document.CurrentRequestedProcedureEvidenceSequence = _study_items({study: own}, "ReferencedSOPSequence")
    if by_study:
        document.PertinentOtherEvidenceSequence = _study_items(by_study, "ReferencedSOPSequence")


def copy_lossy_compression(images: Sequence[ImageReference], sources: SourceImages, dataset: Dataset) -> None:
    """Once lossy, always lossy (PS3.3 C.7.6.1.1.5): of the first of the images that was ever compressed with loss."""
    headers = (sources.headers[image.sop_instance_uid] for image in images)
    lossy = next((one for one in headers if decoded_text(one, "LossyImageCompression") == "01"), None)
    if lossy is not None:
        copy_elements(
            lossy, dataset, ["LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"]
        )


def _by_study(headers: Iterable[Dataset]) -> _ByStudy:
    """A reference to each instance, once."""
    found: _ByStudy = {}
    for header in {str(header.SOPInstanceUID): header for header in headers}.values():
        item = Dataset()
        item.ReferencedSOPClassUID = str(header.SOPClassUID)
        item.ReferencedSOPInstanceUID = str(header.SOPInstanceUID)
        series = found.setdefault(str(header.StudyInstanceUID), {})
        series.setdefault(str(header.SeriesInstanceUID), []).append(item)
    return found


def _study_items(by_study: _ByStudy, references: str) -> list[Dataset]:
    items = []
    for uid, series in by_study.items():
        item = Dataset()
        item.StudyInstanceUID, item.ReferencedSeriesSequence = uid, _series_items(series, references)
        items.append(item)
    return items


def _series_items(series: dict[str, list[Dataset]], references: str) -> list[Dataset]:
    """`references` is the keyword of the sequence that names the instances of a series."""
    items = []
    for uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID = uid
        setattr(item, references, instances)
        items.append(item)
    return items


def _remove(dataset: Dataset, *keywords: str) -> None:
    for keyword in keywords:
        if keyword in dataset:
            del dataset[keyword]
