"""The region of a finding is told where the images say it, and only there."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from inference.findings import Box, SequenceKind
from node.report import build_report
from tests.node.report.report_sources import classic_study, context_of, findings_of
from tests.node.report.test_report_structured import coded, items


def region_item(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def site(folder: Path, **attributes: object) -> str:
    study = classic_study(folder, kinds=[SequenceKind.T1, SequenceKind.T2], **attributes)
    sr = build_report(findings_of(study, "malignant"), study.images, context_of(study))[0].dataset
    sites = {coded(item) for item in items(sr, "Finding Site")}
    assert len(sites) == 1
    return sites.pop()


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"BodyPartExamined": "LSPINE"}, "Lumbar spine"),
        ({"BodyPartExamined": "CSPINE"}, "Cervical spine"),
        ({"BodyPartExamined": "TLSPINE", "SeriesDescription": "BWS LWS sag T2"}, "Thoraco-lumbar spine"),
        ({"BodyPartExamined": "LSPINE", "StudyDescription": "MRI lumbar spine"}, "Lumbar spine"),
        ({"AnatomicRegionSequence": [region_item("122495006", "Thoracic spine")]}, "Thoracic spine"),
    ],
)
def test_a_region_that_nothing_contradicts_is_told(
    tmp_path: Path, attributes: dict[str, object], expected: str
) -> None:
    assert site(tmp_path, **attributes) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"BodyPartExamined": "SPINE"},
        {"BodyPartExamined": "LSPINE", "StudyDescription": "MRI cervical spine"},  # a preset left on the scanner
        {"BodyPartExamined": "LSPINE", "ProtocolName": "HWS sag"},
        {"BodyPartExamined": "LSPINE", "AnatomicRegionSequence": [region_item("122494005", "Cervical spine")]},
        {"BodyPartExamined": "CSPINE", "PixelSpacing": [5.0, 5.0]},  # 480 mm: more than a neck
        {"BodyPartExamined": "KNEE"},
        {"BodyPartExamined": "CSPINE", "StudyDescription": "MRI whole spine"},
        {"BodyPartExamined": "LSPINE", "SeriesDescription": "total spine lower"},
    ],
)
def test_in_doubt_the_site_is_the_spine(tmp_path: Path, attributes: dict[str, object]) -> None:
    assert site(tmp_path, **attributes) == "Spine"


def test_a_finding_at_the_edge_of_a_lumbar_image_lies_in_the_spine(tmp_path: Path) -> None:
    study = classic_study(tmp_path, BodyPartExamined="LSPINE", PixelSpacing=[4.0, 4.0])
    findings = findings_of(study, "malignant")
    rows = study.images[findings.lesions[0].image.sop_instance_uid].Rows

    said = []
    for y in (2.0, rows / 2):  # the uppermost vertebra that is seen may be a thoracic one
        lesion = replace(findings.lesions[0], box=Box(x0=10, y0=y - 2, x1=20, y1=y + 2))
        report = build_report(replace(findings, lesions=(lesion,)), study.images, context_of(study))
        said += [coded(item) for item in items(report[0].dataset, "Finding Site")]

    assert said == ["Spine", "Lumbar spine"]


def test_an_image_that_does_not_say_how_it_lies_names_no_region(tmp_path: Path) -> None:
    study = classic_study(tmp_path, BodyPartExamined="LSPINE")
    for header in study.images.values():
        del header.ImageOrientationPatient

    sr = build_report(findings_of(study, "malignant"), study.images, context_of(study))[0].dataset

    assert {coded(item) for item in items(sr, "Finding Site")} == {"Spine"}
