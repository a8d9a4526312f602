"""What the structured report says, and how."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, MRImageStorage

from config.settings import ReportSettings
from inference.findings import Findings, Reason, SequenceKind, SeriesLeftOut, Verdict
from node.report import MANUFACTURER, ReportError, ReportObject, build_report
from tests.node.report.report_sources import (
    BUNDLE,
    ROOT,
    Study,
    classic_study,
    context_of,
    findings_of,
)

BuiltReport = Callable[[str, str], list[ReportObject]]
KINDS = list(SequenceKind)
PREVIOUS = SimpleNamespace(
    sop_class_uid=Comprehensive3DSRStorage,
    sop_instance_uid=f"{ROOT}.8.1",
    series_instance_uid=f"{ROOT}.8",
    study_instance_uid=f"{ROOT}.1",
)


def document(objects: list[ReportObject]) -> Dataset:
    return objects[0].dataset


def items(parent: Dataset, name: str) -> list[Dataset]:
    """All content items below `parent` whose concept name has this meaning."""
    return [item for item in walk(parent) if item.ConceptNameCodeSequence[0].CodeMeaning == name]


def walk(parent: Dataset) -> Iterator[Dataset]:
    for child in parent.get("ContentSequence", ()):
        yield child
        yield from walk(child)


def coded(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeMeaning)


def number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def texts(parent: Dataset) -> str:
    return "\n".join(str(item.TextValue) for item in walk(parent) if item.ValueType == "TEXT")


def evidence(sr: Dataset, keyword: str = "CurrentRequestedProcedureEvidenceSequence") -> set[str]:
    return {
        str(reference.ReferencedSOPInstanceUID)
        for study in sr.get(keyword, ())
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }


def build_sr(study: Study, findings: Findings, **context: object) -> Dataset:
    alone = {"settings": ReportSettings(objects=())}
    return document(build_report(findings, study.images, context_of(study, **(alone | context))))


def test_each_lesion_has_a_box_on_its_own_image(studies: dict[str, Study], report: BuiltReport) -> None:
    lesions = findings_of(studies["classic"], "malignant").lesions

    groups = items(document(report("classic", "malignant")), "Measurement Group")

    boxes = [items(group, "Image Region")[0] for group in groups]
    assert [list(box.GraphicData) for box in boxes] == [
        [b.x0, b.y0, b.x1, b.y0, b.x1, b.y1, b.x0, b.y1, b.x0, b.y0] for b in (lesion.box for lesion in lesions)
    ]
    images = [box.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for box in boxes]
    assert images == [lesion.image.sop_instance_uid for lesion in lesions]
    assert {box.GraphicType for box in boxes} == {"POLYLINE"}


def test_a_lesion_group_carries_class_probability_score_and_site(report: BuiltReport) -> None:
    group = items(document(report("classic", "malignant")), "Measurement Group")[1]

    assert coded(items(group, "Assessment Category")[0]) == "Malignant"
    assert coded(items(group, "Finding Site")[0]) == "Spine"
    assert coded(items(group, "Geometric purpose of region")[0]) == "Bounded by"
    assert number(items(group, "Probability of cancer")[0]) == 78.4
    assert number(items(group, "Certainty of Finding")[0]) == 81.0
    assert items(group, "Tracking Identifier")[0].TextValue == "SpineNode lesion 2"


def test_the_class_of_a_lesion_is_that_of_its_image_and_the_detectors_own_is_named_as_such(
    report: BuiltReport,
) -> None:
    group = items(document(report("classic", "malignant")), "Measurement Group")[2]

    assert coded(items(group, "Assessment Category")[0]) == "Malignant"
    assert number(items(group, "Probability of cancer")[0]) == 78.4
    assert coded(items(group, "Detector class, before the fusion")[0]) == "Benign"


def test_boxes_of_an_enhanced_image_name_their_frame(studies: dict[str, Study], report: BuiltReport) -> None:
    lesions = findings_of(studies["enhanced"], "malignant").lesions

    regions = items(document(report("enhanced", "malignant")), "Image Region")

    frames = [region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber for region in regions]
    assert frames == [lesion.image.frame_number for lesion in lesions]


@pytest.mark.parametrize(
    ("verdict", "title", "groups"),
    [("malignant", "126000", 4), ("negative", "126001", 0), ("not_analysed", "126001", 0)],
)
def test_only_a_report_with_boxes_has_the_title_that_viewers_read_boxes_from(
    report: BuiltReport, verdict: str, title: str, groups: int
) -> None:
    sr = document(report("classic", verdict))

    assert sr.ConceptNameCodeSequence[0].CodeValue == title
    assert len(items(sr, "Measurement Group")) == groups


@pytest.mark.parametrize(
    ("verdict", "summary", "assessment"),
    [
        ("malignant", "111242", "Malignant"),
        ("benign", "111242", "Benign"),
        ("tie", "111242", "Malignant"),
        ("negative", "111241", "No lesion detected"),
        ("not_analysed", "111245", "Not analysed"),
    ],
)
def test_the_outcome_of_the_run_and_the_assessment_are_coded(
    report: BuiltReport, verdict: str, summary: str, assessment: str
) -> None:
    sr = document(report("classic", verdict))

    assert items(sr, "CAD Processing and Findings Summary")[0].ConceptCodeSequence[0].CodeValue == summary
    assert coded(items(sr, "Overall Assessment")[0]) == assessment


def test_a_damaged_series_makes_the_run_incomplete(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    damaged = SeriesLeftOut(
        series_instance_uid=f"{ROOT}.7",
        study_instance_uid=f"{ROOT}.1",
        reason=Reason.BROKEN_PIXELS,
        detail="",
        instance_count=3,
    )

    sr = build_sr(study, replace(findings_of(study, "negative"), series_left_out=(damaged,)))

    assert items(sr, "CAD Processing and Findings Summary")[0].ConceptCodeSequence[0].CodeValue == "111243"


def test_each_sequence_states_its_votes(report: BuiltReport) -> None:
    first, _, third = items(document(report("classic", "malignant")), "Result of one sequence")

    assert coded(items(first, "Assessment Category")[0]) == "Malignant"
    assert number(items(first, "Images in the sequence")[0]) == 5
    assert number(items(first, "Voting images")[0]) == 3
    assert number(items(first, "Images voting malignant")[0]) == 3
    assert number(items(first, "Probability of cancer")[0]) == 78.4
    assert number(items(first, "Malignant probability of the sequence classifier")[0]) == 70.0
    assert coded(items(third, "Outcome of the vote")[0]) == "Abstained, no image voted"
    assert coded(items(third, "Assessment Category")[0]) == "Indeterminate result"


def test_a_tie_is_said_in_code_and_words(report: BuiltReport) -> None:
    sr = document(report("classic", "tie"))

    assert "Tie, decided by the mean probability" in [coded(item) for item in items(sr, "Outcome of the vote")]
    assert "The votes were tied; the mean probability decided for malignant." in texts(sr)


@pytest.mark.parametrize(("probability", "explained"), [(0.46, True), (0.5, False), (0.54, False)])
def test_a_verdict_against_the_mean_probability_is_explained(
    studies: dict[str, Study], probability: float, explained: bool
) -> None:
    findings = findings_of(studies["classic"], "malignant")
    assert findings.decision is not None
    decision = replace(findings.decision, probability_malignant=probability)

    sr = build_sr(studies["classic"], replace(findings, decision=decision))

    sentence = "The majority of the votes decided for malignant, against the mean probability."
    assert (sentence in items(sr, "Impression")[0].TextValue) is explained


def test_a_sequence_that_votes_against_its_mean_probability_says_so(studies: dict[str, Study]) -> None:
    findings = findings_of(studies["classic"], "malignant")
    first, *others = findings.sequences

    sr = build_sr(studies["classic"], replace(findings, sequences=(replace(first, mean_probability=0.41), *others)))

    said = [texts(result) for result in items(sr, "Result of one sequence")]
    assert ["against the mean probability" in text for text in said] == [True, False, False]


@pytest.mark.parametrize(("weight", "told"), [(0.0, True), (0.45, False)])
def test_a_model_that_gives_the_detector_no_weight_says_that_images_of_a_sequence_share_one_probability(
    studies: dict[str, Study], weight: float, told: bool
) -> None:
    findings = replace(findings_of(studies["classic"], "malignant"), parameters={"lambda_detector": weight})

    sr = build_sr(studies["classic"], findings)

    assert ("all images of a sequence have the same probability" in texts(sr)) is told


def test_the_region_and_the_images_of_the_sequence_classifier_are_named(
    studies: dict[str, Study], report: BuiltReport
) -> None:
    clip = findings_of(studies["classic"], "malignant").sequences[0].clip_images

    first, _, third = items(document(report("classic", "malignant")), "Result of one sequence")

    said = "The sequence classifier read columns 10 to 22 and rows 9 to 21 (12.0 x 12.0 mm) of 3 images."
    assert said in texts(first)
    named = [item.UID for item in items(first, "Image read by the sequence classifier")]
    assert named == [image.sop_instance_uid for image in clip]
    assert "sequence classifier read" not in texts(third)


def test_a_released_case_of_two_patient_ids_says_so_in_its_study(tmp_path: Path) -> None:
    one = classic_study(_folder(tmp_path, "a"), study=f"{ROOT}.4", kinds=KINDS[:2])
    other = classic_study(_folder(tmp_path, "b"), study=f"{ROOT}.5", kinds=KINDS[:1], PatientID="P-0002")
    both = _together(one, other)

    objects = build_report(findings_of(both, "malignant"), both.images, context_of(both, released=True))

    sr = document(objects)
    assert {(made.dataset.PatientID, made.dataset.StudyInstanceUID) for made in objects} == {("P-0001", f"{ROOT}.4")}
    assert "images under 2 patient identities" in texts(sr)
    assert "P-0002" not in sr.to_json()


def test_a_released_case_of_one_patient_id_says_nothing_about_it(studies: dict[str, Study]) -> None:
    sr = build_sr(studies["classic"], findings_of(studies["classic"], "malignant"), released=True)

    assert "patient identities" not in texts(sr)


def test_series_used_and_left_out_are_named_with_reasons(report: BuiltReport) -> None:
    sr = document(report("classic", "malignant"))

    used, left_out = items(sr, "Series used"), items(sr, "Series left out")
    assert [items(one, "Series Instance UID")[0].UID for one in used] == [f"{ROOT}.1.{s}" for s in (1, 2, 3)]
    assert "TR 400 ms" in texts(used[0])
    assert coded(items(left_out[0], "Reason why the series was left out")[0]) == "Not sagittal"
    assert "Normal 0.02 along x" in texts(left_out[0])


@pytest.mark.parametrize("verdict", ["benign", "malignant", "tie", "negative", "not_analysed"])
def test_every_report_says_what_it_is_worth(report: BuiltReport, verdict: str) -> None:
    said = texts(document(report("classic", verdict)))

    assert "For research use only. Not for diagnosis." in said
    assert "trained on a synthetic phantom" in said
    assert "no clinical meaning" in said
    assert BUNDLE.trained_on in said
    assert BUNDLE.validated_on in said
    assert BUNDLE.sha256 in said


def test_a_model_trained_on_patients_is_not_called_a_phantom_model(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    bundle = replace(BUNDLE, phantom_trained=False, trained_on="445 patients.", validated_on="140 patients.")

    sr = build_sr(study, replace(findings_of(study, "malignant"), bundle=bundle))

    assert "phantom" not in texts(sr).replace(bundle.name, "").lower()


def test_algorithm_observer_and_equipment_agree(report: BuiltReport) -> None:
    sr = document(report("classic", "malignant"))

    whole, *components = sr.ContributingEquipmentSequence
    assert whole.DeviceUID == items(sr, "Device Observer UID")[0].UID
    assert items(sr, "Device Observer Model Name")[0].TextValue == whole.ManufacturerModelName == "SpineNode WFF"
    assert items(sr, "Device Observer Manufacturer")[0].TextValue == whole.Manufacturer == MANUFACTURER
    assert {item.TextValue for item in items(sr, "Algorithm Name")} == {whole.ManufacturerModelName}
    assert {item.TextValue for item in items(sr, "Algorithm Version")} == {whole.SoftwareVersions}
    assert [item.ManufacturerModelName for item in components] == [
        "SpineNode WFF detector",
        "SpineNode WFF sequence classifier",
        "SpineNode WFF fusion",
    ]
    assert {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in (whole, *components)} == {"109102"}
    assert len({item.DeviceUID for item in (whole, *components)}) == 4


def test_another_training_is_another_device(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    retrained = replace(BUNDLE, sha256="f" * 64)

    first = build_sr(study, findings_of(study, "benign"))
    second = build_sr(study, replace(findings_of(study, "benign"), bundle=retrained))

    assert first.DeviceUID != second.DeviceUID
    assert first.SoftwareVersions != second.SoftwareVersions


def test_no_person_has_verified_the_report(report: BuiltReport) -> None:
    sr = document(report("classic", "malignant"))

    assert (sr.VerificationFlag, sr.PreliminaryFlag, sr.CompletionFlag) == ("UNVERIFIED", "PRELIMINARY", "COMPLETE")


def test_the_times_are_those_of_the_context(report: BuiltReport) -> None:
    for made in report("classic", "malignant"):
        assert (made.dataset.ContentDate, made.dataset.ContentTime) == ("20260304", "101112")
        assert (made.dataset.InstanceCreationDate, made.dataset.InstanceCreationTime) == ("20260304", "101112")


def test_times_are_written_on_the_clock_of_the_source_images(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    headers = {uid: deepcopy(header) for uid, header in study.images.items()}
    for header in headers.values():
        header.TimezoneOffsetFromUTC = "+0930"

    sr = document(build_report(findings_of(study, "negative"), headers, context_of(study)))

    assert (sr.ContentDate, sr.ContentTime, sr.TimezoneOffsetFromUTC) == ("20260304", "194112", "+0930")


def test_all_images_of_the_study_are_evidence(studies: dict[str, Study], report: BuiltReport) -> None:
    assert evidence(document(report("classic", "malignant"))) == set(studies["classic"].images)
    assert evidence(document(report("classic", "not_analysed"))) == set(studies["classic"].images)


def test_a_later_revision_names_the_report_it_replaces_and_has_other_uids(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    first = build_sr(study, findings_of(study, "benign"))

    second = build_sr(study, findings_of(study, "benign"), revision=2, predecessor=PREVIOUS)

    replaced = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert replaced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == PREVIOUS.sop_instance_uid
    assert second.SOPInstanceUID != first.SOPInstanceUID
    assert second.SeriesInstanceUID != first.SeriesInstanceUID
    assert second.SeriesNumber != first.SeriesNumber
    assert "PredecessorDocumentsSequence" not in first


def test_the_same_finding_keeps_its_tracking_uid_in_a_later_revision(studies: dict[str, Study]) -> None:
    study = studies["classic"]

    first, second = (build_sr(study, findings_of(study, "benign"), revision=revision) for revision in (1, 2))

    uids = [[item.UID for item in items(sr, "Tracking Unique Identifier")] for sr in (first, second)]
    assert uids[0] == uids[1]
    assert len(set(uids[0])) == 4


def test_a_finding_keeps_its_tracking_uid_when_the_fusion_decides_otherwise(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "benign")
    turned = tuple(replace(lesion, verdict=Verdict.MALIGNANT) for lesion in findings.lesions)

    first, second = (build_sr(study, one) for one in (findings, replace(findings, lesions=turned)))

    uids = [[item.UID for item in items(sr, "Tracking Unique Identifier")] for sr in (first, second)]
    assert uids[0] == uids[1]


def test_a_case_of_two_studies_is_reported_into_the_one_with_most_eligible_series(tmp_path: Path) -> None:
    small = classic_study(_folder(tmp_path, "a"), study=f"{ROOT}.5", kinds=KINDS[:1], StudyDate="20260305")
    large = classic_study(_folder(tmp_path, "b"), study=f"{ROOT}.4", kinds=KINDS[1:])
    both = Study(
        images=small.images | large.images, files=small.files | large.files, series=small.series + large.series
    )

    sr = build_sr(both, findings_of(both, "malignant"))

    assert sr.StudyInstanceUID == f"{ROOT}.4"
    assert evidence(sr) == set(large.images)
    assert evidence(sr, "PertinentOtherEvidenceSequence") == set(small.images)


def test_among_equal_studies_the_latest_is_chosen(tmp_path: Path) -> None:
    early = classic_study(_folder(tmp_path, "a"), study=f"{ROOT}.6", kinds=KINDS[:1], StudyTime="080000")
    late = classic_study(_folder(tmp_path, "b"), study=f"{ROOT}.4", kinds=KINDS[:1], StudyTime="093000")
    both = _together(early, late)

    sr = build_sr(both, findings_of(both, "negative"))

    assert sr.StudyInstanceUID == f"{ROOT}.4"


def test_an_identity_conflict_is_reported_without_referring_to_the_other_patient(tmp_path: Path) -> None:
    one = classic_study(_folder(tmp_path, "a"), study=f"{ROOT}.4", kinds=KINDS[:1])
    other = classic_study(_folder(tmp_path, "b"), study=f"{ROOT}.4", kinds=KINDS[1:], PatientID="P-0002")
    other.images = {f"{uid}.9": _renamed(header, f"{uid}.9") for uid, header in other.images.items()}
    both = Study(images=one.images | other.images, files=one.files)
    findings = replace(findings_of(both, "not_analysed"), reason=Reason.IDENTITY_CONFLICT)

    sr = build_sr(both, findings)

    referred = {both.images[uid].PatientID for uid in evidence(sr)}
    assert referred == {sr.PatientID}
    assert coded(items(sr, "Reason why the case was not analysed")[0]) == "Patient identity in doubt"


def test_without_one_usable_header_there_is_still_a_report(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    identity = Dataset()
    identity.PatientID, identity.PatientName, identity.StudyInstanceUID = "P-0001", "Doe^Jane", f"{ROOT}.1"
    findings = replace(findings_of(study, "not_analysed"), reason=Reason.UNREADABLE, series_left_out=())

    objects = build_report(findings, {}, context_of(study, identity=identity))

    sr = document(objects)
    assert (sr.PatientID, sr.StudyInstanceUID) == ("P-0001", f"{ROOT}.1")
    assert "CurrentRequestedProcedureEvidenceSequence" not in sr
    assert [made.kind for made in objects] == ["sr", "summary"]


def test_without_any_identity_the_error_says_what_is_missing(studies: dict[str, Study]) -> None:
    study = studies["classic"]

    with pytest.raises(ReportError, match="Study Instance UID"):
        build_report(findings_of(study, "not_analysed"), {}, context_of(study))


def test_findings_about_an_unknown_image_are_refused(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    without = {uid: h for uid, h in study.images.items() if uid != findings.lesions[0].image.sop_instance_uid}

    with pytest.raises(ReportError, match=r"pass all images of the case"):
        build_report(findings, without, context_of(study))


def test_a_site_can_add_a_line_and_leave_pictures_out(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    settings = ReportSettings(institution_note="Ask extension 123", objects=(), series_number_base=7000)

    (only,) = build_report(findings_of(study, "malignant"), study.images, context_of(study, settings=settings))

    assert "Ask extension 123" in texts(only.dataset)
    assert 7000 <= only.dataset.SeriesNumber < 7010


def test_the_request_that_the_images_answer_is_named(tmp_path: Path) -> None:
    request = Dataset()
    request.RequestedProcedureID, request.RequestedProcedureDescription = "RP-7", "MR Wirbelsäule"
    study = classic_study(_folder(tmp_path, "a"), kinds=KINDS[:1], RequestAttributesSequence=[request])

    sr = build_sr(study, findings_of(study, "negative"))

    named = sr.ReferencedRequestSequence[0]
    assert (named.RequestedProcedureID, named.AccessionNumber) == ("RP-7", "A1")
    assert named.RequestedProcedureDescription == "MR Wirbelsäule"
    assert named.StudyInstanceUID == sr.StudyInstanceUID


def test_series_and_objects_of_a_report_are_told_apart(report: BuiltReport) -> None:
    objects = report("classic", "malignant")

    series = {(made.kind, made.dataset.SeriesInstanceUID, made.dataset.SeriesNumber) for made in objects}
    assert len(series) == 3
    assert len({made.dataset.SOPInstanceUID for made in objects}) == len(objects)
    assert {made.kind: made.dataset.SeriesDescription for made in objects} == {
        "sr": "SpineNode WFF SR - malignant",
        "overlay": "SpineNode WFF overlay - malignant",
        "summary": "SpineNode WFF summary - malignant",
    }
    assert MRImageStorage not in {made.dataset.SOPClassUID for made in objects}


def _folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def _together(one: Study, other: Study) -> Study:
    return Study(images=one.images | other.images, files=one.files | other.files, series=one.series + other.series)


def _renamed(header: Dataset, uid: str) -> Dataset:
    copy = deepcopy(header)
    copy.SOPInstanceUID = uid
    return copy
