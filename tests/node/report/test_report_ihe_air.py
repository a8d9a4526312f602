"""IHE Radiology "AI Results" (AIR, Rev. 1.3), Evidence Creator: each row of its checklist, each in a test of its own.

Rows: 1 machine-readable semantics, 2 the primitives, 3 qualitative findings in Comprehensive 3D SR with TID 1500,
4 the procedure is the imaging procedure, 5 regions are named Image Region with their graphic type, 6 one item of
Contributing Equipment per algorithm, 7 a Device UID that changes with the model, 8 the tree and the equipment say the
same, 9 the header of the document, 10 the transaction Creator Images Stored (RAD-18: C-STORE), 11 tracking, evidence
and study, 12 the description of the implementation (docs/conformance.md).
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ImageDraw
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from config.reporting import OBJECT_NAMES, ObjectName
from config.settings import ReportSettings
from inference.findings import Findings, Verdict
from node.embedded_archive import EmbeddedArchive
from node.report import CheckedObject, ReportObject, build_report
from node.store_scu import StoreOutcome, store
from tests.node.network.peers import LOOPBACK, data_set_of
from tests.node.report.conftest import STYLES, VERDICTS
from tests.node.report.report_sources import BUNDLE, Study, context_of, findings_of
from tests.node.report.test_report_structured import coded, evidence, items, number, walk

BuiltReport = Callable[[str, str], list[ReportObject]]
WITH_BOXES = ("benign", "malignant", "tie")
OVERALL = {"benign": "Benign", "malignant": "Malignant", "tie": "Malignant"} | {
    "negative": "No lesion detected",
    "not_analysed": "Not analysed",
}
SAID_OF = {Verdict.BENIGN: "Benign", Verdict.MALIGNANT: "Malignant", None: "Indeterminate result"}
SCALE = {"BENIGN  0 %", "50 %", "100 %  MALIGNANT"}

every_verdict = pytest.mark.parametrize("verdict", VERDICTS)
every_style = pytest.mark.parametrize("style", STYLES)


def built(study: Study, findings: Findings, *objects: ObjectName) -> list[CheckedObject]:
    return build_report(findings, study.images, context_of(study, settings=ReportSettings(objects=objects)))


def recorded_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with every line of text that is drawn into a picture."""
    drawn: list[str] = []
    draw = ImageDraw.ImageDraw.text

    def record(self: ImageDraw.ImageDraw, xy: object, text: str, *arguments: object, **options: object) -> None:
        drawn.append(text)
        draw(self, xy, text, *arguments, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    return drawn


def numbers(pattern: str, lines: Iterable[str]) -> set[float]:
    return {float(found) for line in lines for found in re.findall(pattern, line)}


def values(sr: Dataset, unit: str) -> set[float]:
    """All measured values of a unit (UCUM)."""
    measured = [item for item in walk(sr) if item.ValueType == "NUM"]
    units = [item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue for item in measured]
    return {number(item) for item, one in zip(measured, units, strict=True) if one == unit}


def places(references: Iterable[Dataset]) -> list[tuple[str, int | None]]:
    """Image and frame."""
    return [(str(one.ReferencedSOPInstanceUID), one.get("ReferencedFrameNumber")) for one in references]


def document(report: BuiltReport, style: str, verdict: str) -> Dataset:
    return report(style, verdict)[0].dataset


@every_verdict
def test_row_1_the_results_of_patient_sequences_and_boxes_are_coded(
    studies: dict[str, Study], report: BuiltReport, verdict: str
) -> None:
    findings = findings_of(studies["classic"], verdict)
    sr = document(report, "classic", verdict)

    assert [coded(item) for item in items(sr, "Overall Assessment")] == [OVERALL[verdict]]
    assert [
        (items(group, "Series Instance UID")[0].UID, coded(items(group, "Assessment Category")[0]))
        for group in items(sr, "Result of one sequence")
    ] == [(vote.series_instance_uid, SAID_OF[vote.verdict]) for vote in findings.sequences]
    assert [coded(items(group, "Assessment Category")[0]) for group in items(sr, "Measurement Group")] == [
        SAID_OF[lesion.verdict] for lesion in findings.lesions
    ]


@pytest.mark.parametrize("verdict", WITH_BOXES)
@every_style
def test_row_1_every_image_with_a_box_has_its_regions_in_the_structured_report(
    report: BuiltReport, style: str, verdict: str
) -> None:
    sr, *beside = report(style, verdict)

    pictured = [made.dataset.SourceImageSequence[0] for made in beside if made.kind == "overlay"]
    regions = [item.ContentSequence[0].ReferencedSOPSequence[0] for item in items(sr.dataset, "Image Region")]
    assert pictured
    assert set(places(pictured)) == set(places(regions))


@every_verdict
def test_row_1_every_number_on_the_pictures_is_a_coded_value(
    studies: dict[str, Study], monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    drawn = recorded_texts(monkeypatch)
    findings = findings_of(studies["classic"], verdict)

    sr = built(studies["classic"], findings, "overlays", "overlay_frames", "summary")[0].dataset

    said = {line for line in drawn if line not in SCALE and not line.startswith("Validated on")}
    assert {"For research use only. Not for diagnosis."} <= said
    found = {
        "%": numbers(r"([\d.]+) %", said),
        "a": numbers(r"Age (\d+) years", said),
        "1": numbers(r"(\d+) of \d+ slices vote", said) | numbers(r"slices vote, (\d+) malignant", said),
    }
    scores = {round(number(item) / 100, 2) for item in items(sr, "Certainty of Finding")}
    assert {unit: left for unit, one in found.items() if (left := one - values(sr, unit))} == {}
    assert numbers(r"score ([\d.]+)$", said) == scores
    assert {bool(one) for one in found.values()} == {findings.decision is not None}


def test_row_2_the_primitives_are_findings_measurements_regions_tracking_and_image_references(
    report: BuiltReport,
) -> None:
    for group in items(document(report, "classic", "malignant"), "Measurement Group"):
        assert items(group, "Assessment Category")  # qualitative finding
        assert 0 <= number(items(group, "Probability of cancer")[0]) <= 100  # measurement
        assert items(group, "Image Region")  # region
        assert items(group, "Tracking Unique Identifier")  # tracking
        assert [item for item in walk(group) if item.ValueType == "IMAGE"]  # image reference


@every_verdict
@every_style
def test_row_3_findings_stand_in_a_comprehensive_3d_sr_of_template_1500(
    report: BuiltReport, style: str, verdict: str
) -> None:
    sr = document(report, style, verdict)

    assert sr.SOPClassUID == Comprehensive3DSRStorage
    template = sr.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")


@every_verdict
def test_row_4_the_procedure_reported_is_the_imaging_procedure_not_the_algorithm(
    report: BuiltReport, verdict: str
) -> None:
    (procedure,) = items(document(report, "classic", verdict), "Procedure reported")

    code = procedure.ConceptCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("25056-3", "LN")  # MRI unspecified body region


@pytest.mark.parametrize("verdict", WITH_BOXES)
@every_style
def test_row_5_each_region_is_an_image_region_with_its_graphic_type_on_one_image(
    report: BuiltReport, style: str, verdict: str
) -> None:
    regions = items(document(report, style, verdict), "Image Region")

    assert len(regions) == 4
    for region in regions:
        name = region.ConceptNameCodeSequence[0]
        assert (name.CodeValue, name.CodingSchemeDesignator) == ("111030", "DCM")
        assert (region.ValueType, region.GraphicType) == ("SCOORD", "POLYLINE")
        assert len(region.ContentSequence) == 1
        assert region.ContentSequence[0].RelationshipType == "SELECTED FROM"


@every_verdict
def test_row_6_every_object_names_each_algorithm_as_contributing_equipment(report: BuiltReport, verdict: str) -> None:
    for made in report("classic", verdict):
        equipment = made.dataset.ContributingEquipmentSequence
        names = [item.ManufacturerModelName for item in equipment]
        assert names == [
            "SpineNode WFF",
            "SpineNode WFF detector",
            "SpineNode WFF sequence classifier",
            "SpineNode WFF fusion",
        ]
        for item in equipment:
            purpose = item.PurposeOfReferenceCodeSequence[0]
            assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")
            assert item.Manufacturer == "SpineNode"
            assert item.SoftwareVersions
            assert item.DeviceUID
        assert len({item.DeviceUID for item in equipment}) == len(equipment)


def test_row_7_the_device_uids_change_with_the_weights_and_with_nothing_else(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    retrained = replace(BUNDLE, sha256="cd" * 32)

    def devices(verdict: str, bundle: object, revision: int) -> list[str]:
        findings = replace(findings_of(study, verdict), bundle=bundle)  # type: ignore[arg-type]  # a BundleIdentity
        context = context_of(study, revision=revision, settings=ReportSettings(objects=()))
        made = build_report(findings, study.images, context)[0].dataset
        return [str(item.DeviceUID) for item in made.ContributingEquipmentSequence]

    assert devices("malignant", BUNDLE, 1) == devices("negative", BUNDLE, 2)
    assert not set(devices("malignant", BUNDLE, 1)) & set(devices("malignant", retrained, 1))


@every_verdict
def test_row_8_the_tree_names_the_algorithm_as_the_equipment_does(report: BuiltReport, verdict: str) -> None:
    sr = document(report, "classic", verdict)
    whole = sr.ContributingEquipmentSequence[0]

    assert {item.UID for item in items(sr, "Device Observer UID")} == {whole.DeviceUID}
    assert {item.TextValue for item in items(sr, "Device Observer Manufacturer")} == {whole.Manufacturer}
    assert {item.TextValue for item in items(sr, "Device Observer Model Name")} == {whole.ManufacturerModelName}
    assert {item.TextValue for item in items(sr, "Algorithm Name")} == {whole.ManufacturerModelName}
    assert {item.TextValue for item in items(sr, "Algorithm Version")} == {str(whole.SoftwareVersions)}


@every_verdict
def test_row_9_the_header_says_complete_or_partial_and_unverified_and_preliminary(
    report: BuiltReport, verdict: str
) -> None:
    sr = document(report, "classic", verdict)

    assert sr.CompletionFlag == ("PARTIAL" if verdict == "not_analysed" else "COMPLETE")
    assert (sr.VerificationFlag, sr.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert "ReferencedPerformedProcedureStepSequence" in sr
    assert "PerformedProcedureCodeSequence" in sr


@every_verdict
def test_row_10_every_object_goes_to_the_image_manager_by_c_store(
    studies: dict[str, Study], tmp_path: Path, verdict: str
) -> None:
    study = studies["classic"]
    files = {}
    for index, made in enumerate(built(study, findings_of(study, verdict), *OBJECT_NAMES)):
        files[tmp_path / f"{index:03d}.dcm"] = str(made.dataset.SOPClassUID)
        (tmp_path / f"{index:03d}.dcm").write_bytes(made.content)
    image_manager = EmbeddedArchive(tmp_path / "archive")
    image_manager.start()
    try:
        results = store(
            list(files),
            host=LOOPBACK,
            port=image_manager.port,
            called_ae_title="ARCHIVE",
            calling_ae_title="SPINENODE",
            timeout_s=30.0,
        )
    finally:
        image_manager.stop()

    assert [(one.path, one.outcome, one.status) for one in results] == [(path, StoreOutcome.SENT, 0) for path in files]
    assert [sop_class for sop_class, _ in image_manager.stored()] == list(files.values())
    assert [data_set_of(path) for _, path in image_manager.stored()] == [data_set_of(path) for path in files]


@pytest.mark.parametrize("verdict", WITH_BOXES)
@every_style
def test_row_11_findings_are_tracked_in_the_study_of_their_images_which_are_all_evidence(
    studies: dict[str, Study], report: BuiltReport, style: str, verdict: str
) -> None:
    sr = document(report, style, verdict)
    groups = items(sr, "Measurement Group")
    images = studies[style].images

    uids = [str(items(group, "Tracking Unique Identifier")[0].UID) for group in groups]
    identifiers = [str(items(group, "Tracking Identifier")[0].TextValue) for group in groups]
    assert len(set(uids)) == len(set(identifiers)) == len(groups)
    assert evidence(sr) == set(images)
    assert {image.StudyInstanceUID for image in images.values()} == {sr.StudyInstanceUID}
    assert sr.SeriesInstanceUID not in {image.SeriesInstanceUID for image in images.values()}


def test_row_12_the_implementation_is_described_in_the_conformance_statement() -> None:
    page = (Path(__file__).parents[3] / "docs" / "conformance.md").read_text()

    assert "## AI results (IHE AIR)" in page
    for row in ("System name", "Algorithm", "IODs", "Primitives"):
        assert f"| {row} |" in page
