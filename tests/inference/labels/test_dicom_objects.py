"""Structured reports and segmentations as annotations: the node's own, and what other programs write."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from config.settings import ReportSettings
from inference.findings import Box, Findings, Verdict
from inference.labels.annotation import Annotations, ImageKey
from inference.labels.annotation_files import read_annotations
from inference.labels.check import check_folder
from inference.labels.dicom_folder import read_dicom_folder
from inference.labels.faults import FaultCode, PatientKey
from inference.labels.image_index import ImageIndex
from inference.labels.segmentation import boxes_of_mask
from node.report import build_report
from tests.inference.labels.drawn_objects import content, drawn_segmentation, finding, group, region, viewer_report
from tests.inference.labels.hospital_folder import HospitalFolder, only, silent
from tests.inference.mr_images import COLUMNS, ROWS
from tests.node.report.report_sources import ROOT, Study, classic_study, context_of, enhanced_study, findings_of


def annotations_of(folder: Path) -> Annotations:
    found = read_dicom_folder(folder, silent)
    images = [one for one in found.instances if one.head.modality == "MR"]
    return read_annotations(found, ImageIndex(images), silent)


def write_reports(study: Study, findings: Findings, folder: Path, *objects: str) -> None:
    context = context_of(study, settings=ReportSettings(objects=objects))
    for number, made in enumerate(build_report(findings, study.images, context)):
        made.dataset.save_as(folder / f"report-{number}", enforce_file_format=True)


def lesion_boxes(findings: Findings) -> set[tuple[str, int | None, Box]]:
    return {(one.image.sop_instance_uid, one.image.frame_number, one.box) for one in findings.lesions}


def read_boxes(read: Annotations) -> set[tuple[str, int | None, Box]]:
    return {(one.image.sop_instance_uid, one.image.frame, one.box) for one in read.boxes}


@pytest.mark.parametrize("make_study", [classic_study, enhanced_study])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_boxes_and_classes_of_the_nodes_own_report_are_read(
    tmp_path: Path, make_study: Any, verdict: Verdict
) -> None:
    study = make_study(tmp_path)
    findings = findings_of(study, verdict)
    write_reports(study, findings, tmp_path)

    read = annotations_of(tmp_path)

    assert read_boxes(read) == lesion_boxes(findings)
    assert {one.verdict for one in read.boxes} == {verdict}


def test_the_fused_class_of_the_nodes_own_report_counts_and_not_the_detectors(tmp_path: Path) -> None:
    study = classic_study(tmp_path)
    findings = findings_of(study, "malignant")
    lesions = tuple(replace(one, detector_verdict=Verdict.BENIGN) for one in findings.lesions)
    write_reports(study, replace(findings, lesions=lesions), tmp_path)

    assert {one.verdict for one in annotations_of(tmp_path).boxes} == {Verdict.MALIGNANT}


def test_what_an_algorithm_drew_is_read_with_a_warning(tmp_path: Path) -> None:
    study = classic_study(tmp_path)
    write_reports(study, findings_of(study, "benign"), tmp_path, "segmentations")

    codes_of_faults = {fault.code for fault in annotations_of(tmp_path).faults}

    assert codes_of_faults == {FaultCode.ANNOTATION_BY_ALGORITHM}


@pytest.mark.parametrize("make_study", [classic_study, enhanced_study])
def test_the_boxes_of_the_nodes_own_segmentations_are_read(tmp_path: Path, make_study: Any) -> None:
    study = make_study(tmp_path)
    findings = findings_of(study, "benign")
    write_reports(study, findings, tmp_path, "segmentations")
    (tmp_path / "report-0").unlink()  # the SR

    read = annotations_of(tmp_path)

    assert len(read.boxes) == len(findings.lesions)
    assert {(uid, frame) for uid, frame, _ in read_boxes(read)} == {
        (uid, frame) for uid, frame, _ in lesion_boxes(findings)
    }
    assert {one.verdict for one in read.boxes} == {Verdict.BENIGN}
    by_image = {one.image: one.box for one in read.boxes}
    for lesion in findings.lesions[:1]:  # alone on its image
        found = by_image[ImageKey(lesion.image.sop_instance_uid, lesion.image.frame_number)]
        edges = zip((found.x0, found.y0, found.x1, found.y1), _edges(lesion.box), strict=True)
        assert all(abs(a - b) <= 0.5 for a, b in edges)


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def test_a_box_that_report_and_segmentation_both_give_is_taken_once(tmp_path: Path) -> None:
    study = classic_study(tmp_path, BodyPartExamined="LSPINE", RepetitionTime=3000.0, EchoTime=100.0)
    findings = findings_of(study, "benign")
    write_reports(study, findings, tmp_path, "segmentations")
    (tmp_path / "pathology.csv").write_text("patient_id,label\nP-0001,benign\n")

    checked = check_folder(tmp_path, silent)

    wanted = {one.image.sop_instance_uid for one in findings.lesions}
    unread = [fault for fault in checked.faults if fault.code is FaultCode.BOX_NOT_USED]
    boxes = sum(len(on_slice) for patient in checked.patients for stack in patient.stacks for on_slice in stack.boxes)
    assert wanted
    assert unread == []
    assert boxes == len(findings.lesions)


def test_each_connected_part_of_a_mask_gives_a_box_from_edge_to_edge() -> None:
    mask = np.zeros((10, 12), dtype=np.bool_)
    mask[1:4, 2:5] = True
    mask[4, 5] = True  # touches by a corner
    mask[8, 9:11] = True

    assert boxes_of_mask(mask) == [Box(x0=2, y0=1, x1=6, y1=5), Box(x0=9, y0=8, x1=11, y1=9)]


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_segmentation_drawn_by_a_person_needs_no_warning(tmp_path: Path, kind: str) -> None:
    study = classic_study(tmp_path)
    images = [study.images[one.sop_instance_uid] for one in study.references(0)]
    masks = np.zeros((len(images), 96, 64, 2), dtype=np.uint8)
    masks[1, 10:30, 20:40, 0] = 1
    masks[2, 50:60, 5:25, 1] = 1
    drawn_segmentation(tmp_path / "drawn.dcm", images, masks, "malignant lesion", "lesion, non-malignant", kind=kind)

    read = annotations_of(tmp_path)

    assert [(one.image.sop_instance_uid, one.box, one.verdict) for one in read.boxes] == [
        (images[1].SOPInstanceUID, Box(x0=20, y0=10, x1=40, y1=30), Verdict.MALIGNANT),
        (images[2].SOPInstanceUID, Box(x0=5, y0=50, x1=25, y1=60), None),
    ]
    assert read.faults == ()


def test_a_segmentation_of_images_that_are_not_there_is_a_fault(tmp_path: Path) -> None:
    study = classic_study(tmp_path)
    findings = findings_of(study, "benign")
    write_reports(study, findings, tmp_path, "segmentations")
    (tmp_path / "report-0").unlink()
    gone = findings.lesions[0].image.sop_instance_uid
    study.files[gone].unlink()

    faults = [fault for fault in annotations_of(tmp_path).faults if fault.code is FaultCode.ANNOTATION_WITHOUT_IMAGE]

    assert {fault.place.sop_instance_uid for fault in faults} == {gone}
    assert {fault.patients for fault in faults} == {(PatientKey("P-0001"),)}


SECOND_IMAGE = f"{ROOT}.1.1.2"  # of `classic_study`
RECTANGLE = (10.5, 20, 30, 20, 30, 44.25, 10.5, 44.25, 10.5, 20)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (finding("Malignant neoplasm of spine"), Verdict.MALIGNANT),
        (finding("benign"), Verdict.BENIGN),
        (finding("not malignant"), None),
        (content("TEXT", ("121106", "DCM", "Comment"), TextValue="looks benign"), Verdict.BENIGN),
        (content("TEXT", ("121106", "DCM", "Comment"), TextValue="benign or malignant?"), None),
    ],
)
def test_the_regions_that_a_viewer_writes_are_read_with_the_class_that_is_said(
    tmp_path: Path, said: Dataset, verdict: Verdict | None
) -> None:
    classic_study(tmp_path)
    viewer_report(tmp_path / "viewer.dcm", group(said, region(SECOND_IMAGE, RECTANGLE)))

    read = annotations_of(tmp_path)

    assert [(one.image, one.box, one.verdict) for one in read.boxes] == [
        (ImageKey(SECOND_IMAGE), Box(x0=10.5, y0=20, x1=30, y1=44.25), verdict)
    ]
    assert read.faults == ()


@pytest.mark.parametrize(
    ("drawn", "code"),
    [
        (region("1.2.3.4", RECTANGLE), FaultCode.ANNOTATION_WITHOUT_IMAGE),
        (region(SECOND_IMAGE, (10, 20, 30, 40)), FaultCode.SHAPE_NOT_A_BOX),  # a length
        (region(SECOND_IMAGE, (10, 20), "POINT"), FaultCode.SHAPE_NOT_A_BOX),
        (content("SCOORD3D", None, GraphicType="POLYGON"), FaultCode.SHAPE_NOT_A_BOX),
    ],
)
def test_a_region_that_gives_no_box_is_a_fault(tmp_path: Path, drawn: Dataset, code: FaultCode) -> None:
    classic_study(tmp_path)
    viewer_report(tmp_path / "viewer.dcm", group(drawn))

    read = annotations_of(tmp_path)

    assert read.boxes == ()
    fault = only(read.faults)
    assert (fault.code, fault.place.file, fault.patients) == (code, "viewer.dcm", (PatientKey("P-0001"),))


@pytest.mark.parametrize("number", ["P-0001", "OTHER"])
def test_a_region_whose_image_is_lost_is_an_error_of_the_patient_of_the_report_whatever_it_says_of_the_issuer(
    hospital: HospitalFolder, number: str
) -> None:
    """The report names no issuer. Where its patient has no images here, nobody knows whose the lost region is."""
    hospital.patient(number, IssuerOfPatientID="North")
    viewer_report(hospital.root / "viewer.dcm", group(region("1.2.3.4", RECTANGLE)))

    checked = hospital.check()

    assert only(checked.faults).code is FaultCode.ANNOTATION_WITHOUT_IMAGE
    known = number == "P-0001"
    assert [one.key in checked.faulty for one in checked.patients] == [known]
    assert len(checked.errors_of_nobody) == (not known)


def test_a_segmentation_of_other_pixels_is_an_error_of_the_images_patient_whoever_the_segmentation_names(
    hospital: HospitalFolder,
) -> None:
    needed = {"PatientSex": "F", "AccessionNumber": "1", "StudyID": "1", "StudyTime": "120000"}
    images = [dcmread(file) for file in hospital.series("A", **needed)]
    file = hospital.root / "drawn.dcm"
    drawn_segmentation(file, images, np.ones((len(images), ROWS, COLUMNS, 1), dtype=np.uint8), "benign")
    foreign = dcmread(file)
    foreign.PatientID = "OTHER"
    for frame in foreign.PerFrameFunctionalGroupsSequence:
        frame.DerivationImageSequence[0].SourceImageSequence[0].SpatialLocationsPreserved = "NO"
    foreign.save_as(file)
    hospital.pathology("A,benign")

    faults = hospital.faults(FaultCode.IMAGE_SIZE_DIFFERS)

    assert {fault.patients for fault in faults} == {(PatientKey("OTHER"), PatientKey("A"))}


def test_a_damaged_segmentation_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    study = classic_study(tmp_path)
    write_reports(study, findings_of(study, "benign"), tmp_path, "segmentations")
    damaged = tmp_path / "report-1"
    damaged.write_bytes(damaged.read_bytes()[:-900])

    faults = [one for one in annotations_of(tmp_path).faults if one.code is FaultCode.ANNOTATION_UNREADABLE]

    assert [fault.place.file for fault in faults] == ["report-1"]
