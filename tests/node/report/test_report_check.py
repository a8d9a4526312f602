"""The self-check finds what validators do not."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from inference.findings import Box
from node.report import ReportCheckError, ReportObject, build_report
from node.report.check import check_objects
from tests.node.report.report_sources import ROOT, Study, context_of, findings_of
from tests.node.report.test_report_structured import items

Damage = Callable[[Dataset], None]


def region(sr: Dataset) -> Dataset:
    return items(sr, "Image Region")[0]


def open_polyline(sr: Dataset) -> None:
    region(sr).GraphicData = region(sr).GraphicData[:8]


def box_outside_the_image(sr: Dataset) -> None:
    region(sr).GraphicData = [10, 10, 65, 10, 65, 20, 10, 20, 10, 10]


def box_left_of_the_image(sr: Dataset) -> None:
    region(sr).GraphicData = [-1, 10, 20, 10, 20, 20, -1, 20, -1, 10]


def flat_box(sr: Dataset) -> None:
    region(sr).GraphicData = [10, 10, 20, 10, 20, 10, 10, 10, 10, 10]


def no_tracking_uid(sr: Dataset) -> None:
    items(sr, "Tracking Unique Identifier")[0].UID = ""


def no_tracking_identifier(sr: Dataset) -> None:
    group = items(sr, "Measurement Group")[0]
    group.ContentSequence = [c for c in group.ContentSequence if c is not items(sr, "Tracking Identifier")[0]]


def unknown_image(sr: Dataset) -> None:
    region(sr).ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = f"{ROOT}.404"


def image_not_in_evidence(sr: Dataset) -> None:
    del sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]


def wrong_template(sr: Dataset) -> None:
    sr.ContentTemplateSequence[0].TemplateIdentifier = "1410"


def claims_to_be_verified(sr: Dataset) -> None:
    sr.VerificationFlag = "VERIFIED"


def title_without_boxes(sr: Dataset) -> None:
    sr.ConceptNameCodeSequence[0].CodeValue = "126001"


def other_patient(sr: Dataset) -> None:
    sr.PatientID = "P-0002"


def other_study(sr: Dataset) -> None:
    sr.StudyInstanceUID = f"{ROOT}.404"


def no_name(sr: Dataset) -> None:
    del sr.PatientName


DAMAGES: dict[Damage, str] = {
    open_polyline: "not a closed rectangle",
    box_outside_the_image: "outside its image of 64 x 96",
    box_left_of_the_image: "outside its image",
    flat_box: "no area",
    no_tracking_uid: "UID for tracking is missing",
    no_tracking_identifier: "TextValue for tracking is missing",
    unknown_image: "no image of the case",
    image_not_in_evidence: "not among its evidence",
    wrong_template: "TemplateIdentifier",
    claims_to_be_verified: "verified",
    title_without_boxes: "the title 126001",
    other_patient: "PatientID differs",
    other_study: "StudyInstanceUID differs",
    no_name: "PatientName is missing",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_report_does_not_leave(
    studies: dict[str, Study], report: Callable[[str, str], list[ReportObject]], damage: Damage
) -> None:
    study = studies["classic"]
    sr = deepcopy(report("classic", "malignant")[0].dataset)
    damage(sr)

    with pytest.raises(ReportCheckError, match=DAMAGES[damage]):
        check_objects([ReportObject(kind="sr", dataset=sr)], study.images, study.images[min(study.images)])


def test_a_picture_of_an_enhanced_image_without_frame_number_does_not_leave(
    studies: dict[str, Study], report: Callable[[str, str], list[ReportObject]]
) -> None:
    study = studies["enhanced"]
    overlay = deepcopy(report("enhanced", "malignant")[1].dataset)
    del overlay.SourceImageSequence[0].ReferencedFrameNumber

    with pytest.raises(ReportCheckError, match="without a frame number"):
        check_objects([ReportObject(kind="overlay", dataset=overlay)], study.images, study.images[min(study.images)])


def test_the_message_names_no_patient(
    studies: dict[str, Study], report: Callable[[str, str], list[ReportObject]]
) -> None:
    study = studies["classic"]
    sr = deepcopy(report("classic", "malignant")[0].dataset)
    sr.PatientID = "P-0002"

    with pytest.raises(ReportCheckError) as caught:
        check_objects([ReportObject(kind="sr", dataset=sr)], study.images, study.images[min(study.images)])

    assert not any(word in str(caught.value) for word in ("P-0001", "P-0002", "Doe"))


def test_a_box_that_the_model_puts_outside_the_image_is_refused(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    outside = replace(findings.lesions[0], box=Box(x0=50, y0=10, x1=70, y1=20))

    with pytest.raises(ReportCheckError, match="outside its image"):
        build_report(replace(findings, lesions=(outside,)), study.images, context_of(study))


def test_a_lesion_on_an_image_of_another_patient_is_refused(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    images = deepcopy(study.images)
    images[findings.lesions[-1].image.sop_instance_uid].PatientID = "P-0002"

    with pytest.raises(ReportCheckError, match="another PatientID"):
        build_report(findings, images, context_of(study))


def test_rounding_at_the_edge_of_the_image_is_accepted(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    edge = replace(findings.lesions[0], box=Box(x0=-1e-4, y0=0, x1=64.0001, y1=96))

    objects = build_report(replace(findings, lesions=(edge,)), study.images, context_of(study))

    assert objects[0].kind == "sr"
