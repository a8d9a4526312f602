"""References from an image that the node makes to the images that it was made from."""

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset

from config import codes
from inference.findings import ImageReference
from node.report.coding import concept
from node.report.evidence import SourceImages
from node.report.patient_study import copy_elements, decoded_text


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
    by_study: dict[str, dict[str, list[Dataset]]] = {}
    for uid in dict.fromkeys(image.sop_instance_uid for image in images):
        header, item = sources.headers[uid], Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = str(header.SOPClassUID), uid
        series = by_study.setdefault(str(header.StudyInstanceUID), {})
        series.setdefault(str(header.SeriesInstanceUID), []).append(item)
    for keyword in ("ReferencedSeriesSequence", "StudiesContainingOtherReferencedInstancesSequence"):
        if keyword in dataset:
            del dataset[keyword]
    if own := by_study.pop(sources.study_instance_uid, None):
        dataset.ReferencedSeriesSequence = _series_items(own)
    others = []
    for study, series in by_study.items():
        other = Dataset()
        other.StudyInstanceUID, other.ReferencedSeriesSequence = study, _series_items(series)
        others.append(other)
    if others:
        dataset.StudiesContainingOtherReferencedInstancesSequence = others


def copy_lossy_compression(images: Sequence[ImageReference], sources: SourceImages, dataset: Dataset) -> None:
    """Once lossy, always lossy (PS3.3 C.7.6.1.1.5): of the first of the images that was ever compressed with loss."""
    headers = (sources.headers[image.sop_instance_uid] for image in images)
    lossy = next((one for one in headers if decoded_text(one, "LossyImageCompression") == "01"), None)
    if lossy is not None:
        copy_elements(
            lossy, dataset, ["LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"]
        )


def _series_items(series: dict[str, list[Dataset]]) -> list[Dataset]:
    items = []
    for uid, instances in series.items():
        item = Dataset()
        item.SeriesInstanceUID, item.ReferencedInstanceSequence = uid, instances
        items.append(item)
    return items
