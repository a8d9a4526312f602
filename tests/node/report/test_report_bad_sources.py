"""Hospital headers are incomplete and wrong; a report is made all the same, and identity is copied word for word."""

from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import config as pydicom_config
from pydicom import dcmread, dcmwrite
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import RawDataStorage

from inference.findings import SequenceKind
from node.report import ReportObject, build_report
from tests.node.report.report_sources import (
    ROOT,
    Study,
    classic_study,
    context_of,
    findings_of,
    header,
    headers_without,
)

BuiltReport = Callable[[str, str], list[ReportObject]]

TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


def reread(dataset: Dataset) -> Dataset:
    """The object as a receiver reads it."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def headers_with(images: dict[str, Dataset], keyword: str, value: object) -> dict[str, Dataset]:
    """Headers whose attribute has any value, however wrong, as if read from a file."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    changed = {}
    for uid, dataset in images.items():
        changed[uid] = deepcopy(dataset)
        changed[uid][tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=pydicom_config.IGNORE)
    return changed


@pytest.mark.parametrize("keyword", TYPE_2)
@pytest.mark.parametrize("verdict", ["malignant", "not_analysed"])
def test_a_missing_attribute_is_written_empty(studies: dict[str, Study], keyword: str, verdict: str) -> None:
    study = studies["classic"]

    objects = build_report(findings_of(study, verdict), headers_without(study.images, keyword), context_of(study))

    for made in objects:
        assert reread(made.dataset)[keyword].is_empty


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns about the values that this test is about
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "U"),
        ("PatientSex", "female"),
        ("PatientBirthDate", "1960"),
        ("PatientBirthDate", "19600000"),
        ("PatientBirthDate", "1960.01.01"),
        ("StudyDate", "2024-03-05"),
        ("StudyTime", "10:10:10"),
        ("PatientName", ""),
        ("PatientName", ["Doe", "Jane^Ann"]),
        ("PatientName", "X" * 100),
        ("PatientID", "P" * 70),
        ("StudyID", "S" * 20),
        ("AccessionNumber", "A" * 30),
        ("StudyDescription", "D" * 80),
    ],
)
def test_an_identifying_value_is_copied_word_for_word(studies: dict[str, Study], keyword: str, value: object) -> None:
    study = studies["classic"]
    images = headers_with(study.images, keyword, value)

    objects = build_report(findings_of(study, "not_analysed"), images, context_of(study))

    for made in objects:
        assert str(reread(made.dataset)[keyword].value) == str(images[min(images)][keyword].value)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientAge", "64"), ("PatientAge", "***"), ("PatientBirthTime", ""), ("TimezoneOffsetFromUTC", "CET")]
    + [("TimezoneOffsetFromUTC", offset) for offset in ("+2400", "+9999", "-9900", "+1060")],
)
def test_an_optional_value_without_meaning_is_dropped(studies: dict[str, Study], keyword: str, value: str) -> None:
    study = studies["classic"]
    images = headers_with(study.images, keyword, value)

    objects = build_report(findings_of(study, "negative"), images, context_of(study))

    for made in objects:
        assert keyword not in reread(made.dataset)


def nested_codes(depth: int) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99SITE", "One"
    if depth:
        item.EquivalentCodeSequence = nested_codes(depth - 1)
    return [item]


def test_sequences_in_hundreds_of_sequences_are_dropped(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    images = headers_with(study.images, "ProcedureCodeSequence", nested_codes(60))

    (sr, *_) = build_report(findings_of(study, "malignant"), images, context_of(study))

    assert "ProcedureCodeSequence" not in sr.dataset
    assert sr.dataset.StudyInstanceUID == study.images[min(images)].StudyInstanceUID


def test_a_value_that_cannot_be_read_at_all_is_dropped(studies: dict[str, Study], tmp_path: Path) -> None:
    study = studies["classic"]
    path = tmp_path / "weight.dcm"
    first = min(study.images)
    raw = dcmread(study.files[first])
    raw.PatientWeight = "12345"
    raw.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"12345 ", b"***** "))
    images = study.images | {first: dcmread(path, stop_before_pixels=True)}

    objects = build_report(findings_of(study, "negative"), images, context_of(study))

    assert "PatientWeight" not in objects[0].dataset


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "character_set", ["", "ISO_IR 6", ["", "ISO 2022 IR 87"], ["ISO_IR 100", "ISO 2022 IR 87"], "NO_SUCH_SET"]
)
def test_any_character_set_of_the_source_is_survived(studies: dict[str, Study], character_set: object) -> None:
    study = studies["classic"]
    images = headers_with(study.images, "SpecificCharacterSet", character_set)

    for made in build_report(findings_of(study, "not_analysed"), images, context_of(study)):
        assert reread(made.dataset).SpecificCharacterSet == "ISO_IR 192"
        assert reread(made.dataset).PatientName == "Doe^Jane"


@pytest.mark.parametrize(
    "keyword", ["WindowCenter", "SliceThickness", "InstanceNumber", "Modality", "StudyDescription", "PatientAge"]
)
def test_attributes_that_reports_can_do_without_may_be_missing(studies: dict[str, Study], keyword: str) -> None:
    study = studies["classic"]

    objects = build_report(findings_of(study, "malignant"), headers_without(study.images, keyword), context_of(study))

    assert [made.kind for made in objects] == ["sr", "overlay", "overlay", "overlay", "summary"]


def test_an_unusual_object_in_the_study_does_no_harm(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    raw_data = header(series=f"{ROOT}.1.77", instance=f"{ROOT}.1.77.1", sop_class=RawDataStorage)
    private = header(series=f"{ROOT}.1.0", instance=f"{ROOT}.1.0.1", sop_class="1.3.12.2.1107.5.9.1")
    headless = Dataset()
    images = study.images | {"a": raw_data, "b": private, "c": headless}

    objects = build_report(findings_of(study, "malignant"), images | {f"{ROOT}.1.0.1": private}, context_of(study))

    assert len(objects) == 5


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_image_with_an_invalid_uid_can_still_be_referred_to(tmp_path: Path) -> None:
    study = classic_study(tmp_path, kinds=list(SequenceKind)[:2], study=f"{ROOT}.03.4")

    objects = build_report(findings_of(study, "malignant"), study.images, context_of(study))

    assert reread(objects[0].dataset).StudyInstanceUID == f"{ROOT}.03.4"
    assert [made.kind for made in objects] == ["sr", "overlay", "overlay", "overlay", "summary"]


def without_pixels(study: Study, folder: Path, *uids: str) -> dict[str, Path]:
    """The files of the study, these ones cut short."""
    cut = {}
    for uid in uids:
        cut[uid] = folder / f"{uid}.dcm"
        cut[uid].write_bytes(study.files[uid].read_bytes()[:-4000])
    return study.files | cut


def test_one_damaged_slice_takes_no_other_picture_with_it(studies: dict[str, Study], tmp_path: Path) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    damaged = without_pixels(study, tmp_path, findings.lesions[0].image.sop_instance_uid)

    objects = build_report(findings, study.images, context_of(study, files=damaged))

    assert [made.dataset.InstanceNumber for made in objects if made.kind == "overlay"] == [2, 3]


def test_pictures_that_cannot_be_decoded_do_not_stop_the_structured_report(
    studies: dict[str, Study], tmp_path: Path
) -> None:
    study = studies["classic"]
    damaged = without_pixels(study, tmp_path, *study.files)

    objects = build_report(findings_of(study, "malignant"), study.images, context_of(study, files=damaged))

    assert [made.kind for made in objects] == ["sr", "summary"]


def test_a_disk_that_cannot_be_read_is_no_damaged_slice(studies: dict[str, Study]) -> None:
    """A retry may show the picture: it is not left out for good."""
    study = studies["classic"]
    gone = dict.fromkeys(study.files, Path("/nowhere/at/all.dcm"))

    with pytest.raises(FileNotFoundError):
        build_report(findings_of(study, "malignant"), study.images, context_of(study, files=gone))


def test_the_issuer_of_the_patient_id_is_copied(tmp_path: Path) -> None:
    study = classic_study(tmp_path, IssuerOfPatientID="HOSPITAL-A")

    objects = build_report(findings_of(study, "malignant"), study.images, context_of(study))

    assert {str(reread(made.dataset).IssuerOfPatientID) for made in objects} == {"HOSPITAL-A"}
