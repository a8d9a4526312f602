"""The structured report: Comprehensive 3D SR, root template TID 1500 (PS3.16), one per case revision.

With lesions the title is "Imaging Measurement Report", with one planar ROI group (TID 1410) per box. What belongs to
no box (votes of sequences, the patient's result, series used and left out) stands in the container of row 12: viewers
were seen to fail on measurement groups without coordinates. Without boxes the document is an "Oncology Measurement
Report", which viewers show as text.
"""

from collections.abc import Sequence

import numpy as np
from highdicom import UID
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    CoordinatesForMeasurement,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from config import codes
from inference.findings import Box, Findings, ImageReference, Lesion, Status
from node.report import wording
from node.report.algorithm import algorithm_identification, observation_context
from node.report.coding import ASSESSMENT, concept
from node.report.context import PreviousReport, ReportContext
from node.report.document.content_items import container, in_percent
from node.report.document.evaluations import evaluations
from node.report.document.finding_site import finding_site
from node.report.evidence import SourceImages, identity_note, reference_only
from node.report.finish import CHARACTER_SET, finish, object_identity
from node.report.identifiers import MANUFACTURER, derived_uid
from node.report.patient_study import copy_elements, decoded_items, decoded_text
from node.report.source_references import set_evidence
from node.report.tracking import tracking_identifier

TEMPLATE = "1500"


def build_measurement_report(
    findings: Findings, sources: SourceImages, context: ReportContext, notes: Sequence[str] = ()
) -> Dataset:
    """The finished SR document, UNVERIFIED and PRELIMINARY: no person has read it. `notes` become comments."""
    identity = object_identity("sr", 1, bundle=findings.bundle, context=context, outcome=wording.outcome(findings))
    content = _content(findings, sources, context, notes)
    document = Comprehensive3DSR(
        evidence=[_stand_in(sources)],
        content=_title(findings),  # highdicom copies and searches the tree, which takes longer than to build it
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        manufacturer=MANUFACTURER,
        is_complete=findings.status is not Status.NOT_ANALYSED,
        is_final=False,
        is_verified=False,
        specific_character_set=CHARACTER_SET,
        coding_schemes=[_private_scheme()],
    )
    document.StudyInstanceUID = sources.study_instance_uid
    document.ContentSequence = content
    set_evidence(document, sources.evidence)
    if context.predecessor is not None:
        document.PredecessorDocumentsSequence = [_predecessor(context.predecessor)]
    if requests := _requests(sources):
        document.ReferencedRequestSequence = requests
    return finish(document, sources.source, identity=identity, bundle=findings.bundle, context=context)


def _title(findings: Findings) -> ContainerContentItem:
    title = codes.IMAGING_MEASUREMENT_REPORT if findings.lesions else codes.ONCOLOGY_MEASUREMENT_REPORT
    root = ContainerContentItem(name=concept(title), template_id=TEMPLATE, is_content_continuous=False)
    root.ContentSequence = ContentSequence()
    return root


def _content(
    findings: Findings, sources: SourceImages, context: ReportContext, notes: Sequence[str]
) -> ContentSequence:
    procedure = CodeContentItem(
        concept(codes.PROCEDURE_REPORTED),
        concept(codes.MRI_UNSPECIFIED_BODY_REGION),
        RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    items = ContentSequence()
    items.extend(LanguageOfContentItemAndDescendants(concept(codes.ENGLISH)))
    items.extend(observation_context(findings.bundle))
    items.append(procedure)
    if findings.lesions:
        groups = [_lesion_group(index, findings, sources, context) for index in range(len(findings.lesions))]
        items.append(container(codes.IMAGING_MEASUREMENTS, [item for group in groups for item in group]))
    said = (context.settings.institution_note, identity_note(findings, sources, context), *notes)
    items.append(container(codes.QUALITATIVE_EVALUATIONS, evaluations(findings, *said, late_s=context.late_s)))
    return items


def _lesion_group(
    index: int, findings: Findings, sources: SourceImages, context: ReportContext
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410: one box on one image."""
    lesion = findings.lesions[index]
    image = lesion.image
    corners, source = _closed_rectangle(lesion.box), _source_image(image, sources)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=UID(lesion.tracking_uid), identifier=tracking_identifier(lesion)),
        referenced_region=ImageRegion(GraphicTypeValues.POLYLINE, corners, source),
        geometric_purpose=concept(codes.BOUNDED_BY),
        finding_category=concept(codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE),
        finding_type=concept(codes.LESION),
        finding_sites=[FindingSite(concept(finding_site(sources.header(image), lesion.box)))],
        algorithm_id=algorithm_identification(findings.bundle),
        measurements=_lesion_measurements(lesion),
        qualitative_evaluations=_lesion_classes(lesion),
    )
    group[0].ContinuityOfContent = "SEPARATE"  # a list of named values, no running text
    _say_where_from(group[0], CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, corners, source))
    return group


def _lesion_classes(lesion: Lesion) -> list[QualitativeEvaluation]:
    """The class of the image, by the fused probability, and the detector's own, which may be another."""
    classes = [(codes.ASSESSMENT_CATEGORY, lesion.verdict)]
    if lesion.detector_verdict is not None:
        classes.append((codes.DETECTOR_CLASS, lesion.detector_verdict))
    return [QualitativeEvaluation(concept(name), concept(ASSESSMENT[verdict])) for name, verdict in classes]


def _lesion_measurements(lesion: Lesion) -> list[Measurement]:
    values = (
        (codes.PROBABILITY_OF_CANCER, lesion.probability_malignant),
        (codes.CERTAINTY_OF_FINDING, lesion.score),
    )
    return [Measurement(concept(name), in_percent(value), concept(codes.PERCENT)) for name, value in values]


def _say_where_from(group: Dataset, box: CoordinatesForMeasurement) -> None:
    """Infer the first value of a group from its box (TID 1410 may be extended).

    OHIF 3.13 takes a box into its list of measurements, and shows it on other series than the first, only then.
    """
    value = next(item for item in group.ContentSequence if item.ValueType == "NUM")
    value.ContentSequence = ContentSequence([box])


def _source_image(image: ImageReference, sources: SourceImages) -> SourceImageForRegion:
    return SourceImageForRegion(
        referenced_sop_class_uid=str(sources.header(image).SOPClassUID),
        referenced_sop_instance_uid=image.sop_instance_uid,
        referenced_frame_numbers=None if image.frame_number is None else [image.frame_number],
    )


def _closed_rectangle(box: Box) -> NDArray[np.float64]:
    """(5, 2) corners (column, row), the first repeated. (0, 0) is the outer corner of the first pixel, PS3.3 C.10.5."""
    return np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1], [box.x0, box.y0]])


def _private_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(designator=codes.PRIVATE_SCHEME, name=codes.PRIVATE_SCHEME_NAME)


def _stand_in(sources: SourceImages) -> Dataset:
    """An evidence image for highdicom alone: it wants one, of a SOP class that it knows."""
    header = Dataset()
    header.SOPClassUID = MRImageStorage
    header.SOPInstanceUID = header.SeriesInstanceUID = derived_uid("stand-in")
    header.StudyInstanceUID = sources.study_instance_uid
    return reference_only(header)


def _predecessor(previous: PreviousReport) -> Dataset:
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = previous.sop_class_uid
    instance.ReferencedSOPInstanceUID = previous.sop_instance_uid
    series.SeriesInstanceUID = previous.series_instance_uid
    study.StudyInstanceUID = previous.study_instance_uid
    series.ReferencedSOPSequence = [instance]
    study.ReferencedSeriesSequence = [series]
    return study


def _requests(sources: SourceImages) -> list[Dataset]:
    """Referenced Request Sequence (PS3.3 C.17.2), where the images say which request they answer."""
    requests = []
    for source in decoded_items(sources.source, "RequestAttributesSequence"):
        if not decoded_text(source, "RequestedProcedureID"):
            continue
        request = Dataset()
        request.StudyInstanceUID = sources.study_instance_uid
        request.ReferencedStudySequence = []
        for keyword in (
            "AccessionNumber",
            "PlacerOrderNumberImagingServiceRequest",
            "FillerOrderNumberImagingServiceRequest",
            "RequestedProcedureDescription",
        ):
            setattr(request, keyword, "")
        request.RequestedProcedureCodeSequence = []
        copy_elements(sources.source, request, ["AccessionNumber", "IssuerOfAccessionNumberSequence"])
        copy_elements(
            source,
            request,
            ["RequestedProcedureID", "RequestedProcedureDescription", "RequestedProcedureCodeSequence"],
        )
        requests.append(request)
    return requests
