"""Segmentations and reports as other programs write what a person drew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian


def drawn_segmentation(
    path: Path, images: Sequence[Dataset], masks: NDArray[np.uint8], *labels: str, kind: str = "BINARY"
) -> None:
    """`masks` (images, rows, columns, segments); one label per segment."""
    for image in images:
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    segmentation = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks.astype(np.float32) if kind == "FRACTIONAL" else masks,
        segmentation_type=kind,
        segment_descriptions=[_segment(number, label) for number, label in enumerate(labels, start=1)],
        series_instance_uid=highdicom.UID(),
        series_number=9,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="Drawing Works",
        manufacturer_model_name="Pen",
        software_versions="1",
        device_serial_number="1",
    )
    segmentation.save_as(path)


def _segment(number: int, label: str) -> highdicom.seg.SegmentDescription:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="MANUAL",
    )


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def content(kind: str, name: tuple[str, str, str] | None, *children: Dataset, **attributes: Any) -> Dataset:
    item = Dataset()
    item.ValueType = kind
    if name is not None:
        item.ConceptNameCodeSequence = [code_item(*name)]
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    if children:
        item.ContentSequence = list(children)
    return item


def region(uid: str, points: Sequence[float], kind: str = "POLYLINE") -> Dataset:
    """Below a number, and its image without a name: as dcmjs writes it, for instance from OHIF."""
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", uid
    image = content("IMAGE", None, ReferencedSOPSequence=[reference])
    drawn = content("SCOORD", ("111030", "DCM", "Image Region"), image, GraphicType=kind, GraphicData=list(points))
    return content("NUM", ("42798000", "SCT", "Area"), drawn)


def viewer_report(path: Path, *groups: Dataset) -> None:
    """A TID 1500 report as a viewer writes it for a person."""
    document = Dataset()
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.SOPClassUID, document.SOPInstanceUID = ComprehensiveSRStorage, "1.2.826.0.9.1"
    document.StudyInstanceUID, document.SeriesInstanceUID = "1.2.826.0.9.2", "1.2.826.0.9.3"
    document.Modality, document.PatientID = "SR", "P-0001"
    document.ValueType = "CONTAINER"
    document.ContentSequence = [content("CONTAINER", ("126010", "DCM", "Imaging Measurements"), *groups)]
    document.save_as(path, enforce_file_format=True)


def group(*children: Dataset) -> Dataset:
    return content("CONTAINER", ("125007", "DCM", "Measurement Group"), *children)


def finding(meaning: str) -> Dataset:
    named = code_item("FREETEXT", "99VIEWER", meaning)
    return content("CODE", ("121071", "DCM", "Finding"), ConceptCodeSequence=[named])
