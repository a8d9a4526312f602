"""The key object selection names every image with a box, and says what the result is worth."""

import shutil
import subprocess
import warnings
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from config.settings import ReportSettings
from inference.findings import Findings, SequenceKind
from node.report import MANUFACTURER, ReportObject, build_report, wording
from tests import dciodvfy
from tests.node.report.conftest import STYLES
from tests.node.report.report_sources import (
    Study,
    classic_study,
    context_of,
    findings_of,
    headers_without,
)
from tests.node.report.test_report_presentation_state import moved_to, real_study, replace_images, two_studies, written
from tests.node.report.test_report_structured import evidence, texts

WITH_LESIONS = ("benign", "malignant", "tie")
ALONE = ReportSettings(objects=("key_objects",))

needs_dicom3tools = pytest.mark.skipif(not dciodvfy.installed(), reason="dicom3tools is not installed (dciodvfy)")
needs_dcmtk = pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK is not installed (dsrdump)")


def report(study: Study, findings: Findings, **context: object) -> list[ReportObject]:
    return build_report(findings, study.images, context_of(study, **({"settings": ALONE} | context)))


def selection(study: Study, findings: Findings, **context: object) -> Dataset:
    (made,) = [one.dataset for one in report(study, findings, **context) if one.kind == "key_objects"]
    return made


def selected(document: Dataset) -> list[tuple[str, list[int]]]:
    """SOP Instance UID and frames of each selected image."""
    references = [item.ReferencedSOPSequence for item in document.ContentSequence if item.ValueType == "IMAGE"]
    return [(str(one.ReferencedSOPInstanceUID), frames_of(one)) for (one,) in references]


def frames_of(reference: Dataset) -> list[int]:
    numbers = reference.get("ReferencedFrameNumber", [])
    return [int(numbers)] if isinstance(numbers, int) else [int(one) for one in numbers]


def description(document: Dataset) -> str:
    (text,) = [
        item.TextValue
        for item in document.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeMeaning == "Key Object Description"
    ]
    return str(text)


@pytest.mark.parametrize("verdict", WITH_LESIONS)
def test_each_image_with_a_box_is_selected_once(studies: dict[str, Study], verdict: str) -> None:
    findings = findings_of(studies["classic"], verdict)

    document = selection(studies["classic"], findings)

    assert selected(document) == [
        (uid, []) for uid in dict.fromkeys(x.image.sop_instance_uid for x in findings.lesions)
    ]


def test_of_a_multi_frame_image_the_frames_with_a_box_are_selected(studies: dict[str, Study]) -> None:
    study = studies["enhanced"]
    first, second = (series.images[0].sop_instance_uid for series in study.series[:2])

    assert selected(selection(study, findings_of(study, "malignant"))) == [(first, [2, 3]), (second, [1])]


def test_the_document_is_titled_of_interest_and_gives_no_purpose_of_reference(studies: dict[str, Study]) -> None:
    document = selection(studies["classic"], findings_of(studies["classic"], "malignant"))

    title = document.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning) == ("113000", "DCM", "Of Interest")
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert document.ContinuityOfContent == "SEPARATE"
    images = [item for item in document.ContentSequence if item.ValueType == "IMAGE"]
    assert all("ConceptNameCodeSequence" not in item for item in images)
    assert {item.RelationshipType for item in images} == {"CONTAINS"}


@pytest.mark.parametrize("style", STYLES)
def test_what_is_selected_is_its_evidence_and_nothing_else(studies: dict[str, Study], style: str) -> None:
    document = selection(studies[style], findings_of(studies[style], "malignant"))

    assert evidence(document) == {uid for uid, _ in selected(document)}


@pytest.mark.parametrize("verdict", WITH_LESIONS)
def test_the_description_holds_the_impression_and_the_caveat(studies: dict[str, Study], verdict: str) -> None:
    findings = findings_of(studies["classic"], verdict)
    settings = ReportSettings(objects=("key_objects",), institution_note="Spine study 7.")

    said = description(selection(studies["classic"], findings, settings=settings))

    assert wording.impression(findings) in said
    assert "For research use only. Not for diagnosis." in said
    assert "no clinical meaning" in said
    assert "Spine study 7." in said


def test_the_observer_is_the_device(studies: dict[str, Study]) -> None:
    document = selection(studies["classic"], findings_of(studies["classic"], "malignant"))

    observer = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.get("TextValue") or item.get("UID")
        for item in document.ContentSequence
        if item.RelationshipType == "HAS OBS CONTEXT"
    }
    assert observer["Device Observer Model Name"] == document.ManufacturerModelName
    assert observer["Device Observer UID"] == document.DeviceUID


@pytest.mark.parametrize("verdict", ["negative", "not_analysed"])
@pytest.mark.parametrize("style", STYLES)
def test_without_a_lesion_there_is_none(studies: dict[str, Study], style: str, verdict: str) -> None:
    made = report(studies[style], findings_of(studies[style], verdict))

    assert [one.kind for one in made] == ["sr"]
    assert "could not be made" not in texts(made[0].dataset)


@pytest.mark.parametrize("style", STYLES)
def test_patient_study_series_and_equipment_are_those_of_every_object(studies: dict[str, Study], style: str) -> None:
    source = studies[style].images[min(studies[style].images)]

    document = selection(studies[style], findings_of(studies[style], "malignant"))

    assert document.SOPClassUID == KeyObjectSelectionDocumentStorage
    assert (document.Modality, document.SeriesDescription) == ("KO", "SpineNode WFF key images - malignant")
    assert (document.SeriesNumber, document.InstanceNumber, document.Manufacturer) == (9004, 1, MANUFACTURER)
    assert len(document.ContributingEquipmentSequence) == 4
    assert (document.ContentDate, document.ContentTime) == ("20260304", "101112")
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "AccessionNumber", "StudyDescription"):
        assert document[keyword].value == source[keyword].value


def test_the_same_inputs_give_the_same_bytes(studies: dict[str, Study]) -> None:
    findings = findings_of(studies["enhanced"], "malignant")

    assert written(selection(studies["enhanced"], findings)) == written(selection(studies["enhanced"], findings))


def test_images_of_another_study_are_counted_but_not_selected(tmp_path: Path) -> None:
    study = two_studies(tmp_path)
    findings = findings_of(study, "malignant")
    one, *others = findings.lesions
    spread = replace(findings, lesions=(*others, moved_to(study, one, 3)))

    document = selection(study, spread)

    assert [uid for uid, _ in selected(document)] == list(dict.fromkeys(x.image.sop_instance_uid for x in others))
    assert "1 image with a finding in another study." in description(document)


def test_findings_in_another_study_alone_give_none_and_the_structured_report_says_why(tmp_path: Path) -> None:
    study = two_studies(tmp_path)
    findings = findings_of(study, "malignant")
    elsewhere = replace(findings, lesions=(moved_to(study, findings.lesions[0], 3),))

    made = report(study, elsewhere)

    assert [one.kind for one in made] == ["sr"]
    assert "The key object selection could not be made. All images with a finding are in another study" in texts(
        made[0].dataset
    )


def test_a_released_case_says_that_images_came_under_several_identities(tmp_path: Path) -> None:
    study = classic_study(tmp_path)
    findings = findings_of(study, "malignant")
    study.images[study.series[2].images[0].sop_instance_uid].PatientID = "P-0002"

    document = selection(study, findings, released=True)

    assert "2 patient identities" in description(document)


@pytest.mark.parametrize(
    "keyword", ["PatientID", "PatientName", "PatientSex", "StudyID", "StudyTime", "AccessionNumber", "Modality"]
)
def test_what_the_source_lacks_does_not_stop_it(studies: dict[str, Study], keyword: str) -> None:
    study = replace_images(studies["classic"], headers_without(studies["classic"].images, keyword))

    assert len(selected(selection(study, findings_of(study, "malignant")))) == 3


def test_a_japanese_name_survives(tmp_path: Path) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    study = classic_study(
        tmp_path, kinds=list(SequenceKind)[:2], SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name
    )
    study.images = {uid: dcmread(path, stop_before_pixels=True) for uid, path in study.files.items()}

    read = dcmread(BytesIO(written(selection(study, findings_of(study, "malignant")))))

    assert (read.SpecificCharacterSet, str(read.PatientName)) == ("ISO_IR 192", name)


@needs_dicom3tools
@pytest.mark.parametrize("verdict", WITH_LESIONS)
@pytest.mark.parametrize("style", STYLES)
def test_dciodvfy_finds_no_error(studies: dict[str, Study], tmp_path: Path, style: str, verdict: str) -> None:
    path = tmp_path / "selection.dcm"
    path.write_bytes(written(selection(studies[style], findings_of(studies[style], verdict))))

    assert dciodvfy.errors_of(path) == []


@needs_dcmtk
@pytest.mark.parametrize(("style", "instances"), [("classic", 3), ("enhanced", 2)])
def test_dsrdump_reads_it(studies: dict[str, Study], tmp_path: Path, style: str, instances: int) -> None:
    path = tmp_path / "selection.dcm"
    path.write_bytes(written(selection(studies[style], findings_of(studies[style], "malignant"))))

    run = subprocess.run(["dsrdump", "+Pl", str(path)], capture_output=True, text=True, timeout=60, check=True)

    assert "Key Object Selection Document" in run.stdout
    assert "MALIGNANT. Probability of malignancy 78.4 %" in run.stdout
    assert run.stdout.count("contains IMAGE") == instances
    assert "E: " not in run.stderr


@needs_dicom3tools
def test_the_selection_of_a_real_study_has_no_error(shared_data: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the study has over-long values
        study = real_study(shared_data)
        document = selection(study, findings_of(study, "malignant"))

    path = tmp_path / "selection.dcm"
    path.write_bytes(written(document))
    assert dciodvfy.errors_of(path) == []
    assert len(selected(document)) == 3
