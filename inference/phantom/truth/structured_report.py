"""The planted lesions as a DICOM SR: Comprehensive 3D SR, root template TID 1500 (PS3.16), one per patient.

Each box is a planar ROI group (TID 1410) on its image; the boxes of one lesion share its tracking UID. A patient
without a lesion has a document that says so.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from highdicom import UID
from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    CoordinatesForMeasurement,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard_codes

from inference.findings import Box, Verdict
from inference.phantom.dicom.identifiers import MANUFACTURER, MODEL_NAME, NOTICE
from inference.phantom.dicom.study import StudyFile
from inference.phantom.truth import codes
from inference.phantom.truth.labelled_images import (
    LabelledImage,
    LesionBox,
    labelled_images,
    tracking_identifier,
    tracking_uid,
)
from inference.phantom.truth.objects import WrittenStudy, finish, source_images

_SERIES_NUMBER: Final = 600
_TEMPLATE: Final = "1500"
_CONTAINS: Final = RelationshipTypeValues.CONTAINS


def build_structured_report(study: WrittenStudy) -> Dataset:
    images = [image for image in labelled_images(study.files) if image.boxes]
    verdict = study.patient.truth.label
    title = codes.IMAGING_MEASUREMENT_REPORT if images else codes.ONCOLOGY_MEASUREMENT_REPORT
    root = ContainerContentItem(name=title, template_id=_TEMPLATE, is_content_continuous=False)
    root.ContentSequence = ContentSequence()
    document = Comprehensive3DSR(
        evidence=source_images(study, study.sagittal_numbers[0])[:1],
        content=root,  # highdicom copies and searches the tree, which takes longer than to build it
        series_instance_uid=study.uid("report series"),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=study.uid("report"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=True,
        is_verified=False,
        coding_schemes=[codes.PRIVATE_SCHEME_ITEM],
    )
    document.ContentSequence = _content(study, images, verdict)
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(study)]
    return finish(document, study, number=_SERIES_NUMBER, description="Planted lesions, boxes")


def _content(study: WrittenStudy, images: list[LabelledImage], verdict: Verdict | None) -> ContentSequence:
    procedure = CodeContentItem(codes.PROCEDURE_REPORTED, codes.MRI, RelationshipTypeValues.HAS_CONCEPT_MOD)
    items = ContentSequence()
    items.extend(LanguageOfContentItemAndDescendants(codes.ENGLISH))
    items.extend(_observer(study))
    items.append(procedure)
    if images and verdict is not None:
        groups = [_group(study, image, one, verdict) for image in images for one in image.boxes]
        items.append(_container(codes.IMAGING_MEASUREMENTS, [item for group in groups for item in group]))
    items.append(_container(codes.QUALITATIVE_EVALUATIONS, list(_patient(verdict))))
    return items


def _observer(study: WrittenStudy) -> ObservationContext:
    """TID 1001: the observer is a device (TID 1004), the generator."""
    device = DeviceObserverIdentifyingAttributes(
        uid=study.uid("generator"), name=MODEL_NAME, manufacturer_name=MANUFACTURER, model_name=MODEL_NAME
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=standard_codes.DCM.Device, observer_identifying_attributes=device
        )
    )


def _container(name: CodedConcept, items: list[ContentItem]) -> ContainerContentItem:
    made = ContainerContentItem(name=name, is_content_continuous=False, relationship_type=_CONTAINS)
    made.ContentSequence = ContentSequence(items)
    return made


def _patient(verdict: Verdict | None) -> Iterator[ContentItem]:
    """TID 1500 row 12: what is said about the patient, without coordinates."""
    assessment = codes.NO_LESION if verdict is None else codes.VERDICTS[verdict]
    yield CodeContentItem(codes.OVERALL_ASSESSMENT, assessment, _CONTAINS)
    yield TextContentItem(codes.COMMENT, NOTICE, _CONTAINS)


def _group(
    study: WrittenStudy, image: LabelledImage, one: LesionBox, verdict: Verdict
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410: one lesion on one image."""
    level = study.patient.truth.lesions[one.lesion - 1].level
    corners, source = _closed_rectangle(one.box), _source(image)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=UID(tracking_uid(study.patient, one.lesion)), identifier=tracking_identifier(one.lesion)
        ),
        referenced_region=ImageRegion(GraphicTypeValues.POLYLINE, corners, source),
        geometric_purpose=codes.BOUNDED_BY,
        finding_category=codes.ABNORMAL_STRUCTURE,
        finding_type=codes.LESION,
        finding_sites=[FindingSite(codes.SITES.get(level[:1], codes.SPINE))],
        measurements=[Measurement(codes.AREA, _area_mm2(image, one), codes.SQUARE_MM)],
        qualitative_evaluations=[QualitativeEvaluation(codes.ASSESSMENT_CATEGORY, codes.VERDICTS[verdict])],
    )
    group[0].ContinuityOfContent = "SEPARATE"  # a list of named values, no running text
    area = next(item for item in group[0].ContentSequence if item.ValueType == "NUM")
    # OHIF 3.13 takes a box into its list of measurements only when a value was inferred from it
    area.ContentSequence = ContentSequence([CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, corners, source)])
    return group


def _area_mm2(image: LabelledImage, one: LesionBox) -> float:
    """Of the lesion itself on this image, not of the box."""
    between_rows, between_columns = image.stack.pixel_spacing_mm
    return round(one.pixels * between_rows * between_columns, 1)


def _source(image: LabelledImage) -> SourceImageForRegion:
    return SourceImageForRegion(
        referenced_sop_class_uid=str(image.file.header.SOPClassUID),
        referenced_sop_instance_uid=str(image.file.header.SOPInstanceUID),
        referenced_frame_numbers=None if image.frame is None else [image.frame],
    )


def _closed_rectangle(box: Box) -> NDArray[np.float64]:
    """(5, 2) corners (column, row), the first repeated. (0, 0) is the outer corner of the first pixel, PS3.3 C.10.5."""
    return np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1], [box.x0, box.y0]])


def _evidence(study: WrittenStudy) -> Dataset:
    """All images of the sagittal series (PS3.3 C.17.2)."""
    evidence = Dataset()
    evidence.StudyInstanceUID = str(study.files[0].header.StudyInstanceUID)
    evidence.ReferencedSeriesSequence = []
    for number in study.sagittal_numbers:
        files, series = study.files_of(number), Dataset()
        series.SeriesInstanceUID = str(files[0].header.SeriesInstanceUID)
        series.ReferencedSOPSequence = [_reference(file) for file in files]
        evidence.ReferencedSeriesSequence.append(series)
    return evidence


def _reference(file: StudyFile) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = str(file.header.SOPClassUID)
    item.ReferencedSOPInstanceUID = str(file.header.SOPInstanceUID)
    return item
