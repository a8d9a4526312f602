import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from inference.datasets import SpineRegion
from inference.errors import EvaluationError
from inference.evaluation.metrics import Confusion
from inference.evaluation.page import evaluation_page
from inference.evaluation.readers import ReaderVerdicts
from inference.evaluation.results import Evaluation, RegionRow
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.age import AgeTable
from inference.wff.config import FusionConfig
from inference.wff.evaluation.patients import evaluate_patients
from inference.wff.evaluation.strategies import OWN
from inference.wff.model import Images, SliceBoxes, WffModel
from inference.wff.reading import DetectedBox
from tests.inference.evaluation.evaluations import example_subject
from tests.inference.wff.labelled_patients import T1, T2, Case, detected, write_patients

BENIGN, MALIGNANT = Verdict.BENIGN, Verdict.MALIGNANT
NOWHERE = DetectedBox(Box(x0=2, y0=2, x1=12, y1=12), BENIGN, 0.8)


def both(said: Verdict | None) -> dict[SequenceKind, Verdict | None]:
    return {T1: said, T2: said}


CASES = (
    Case(MALIGNANT, both(MALIGNANT), site="north", lesion_type="metastasis"),
    Case(MALIGNANT, {T1: BENIGN, T2: MALIGNANT}, score=0.8, site="north", lesion_type="metastasis"),
    Case(MALIGNANT, both(None), site="south", regions=(SpineRegion.THORACIC, SpineRegion.LUMBAR)),
    Case(BENIGN, both(BENIGN), score=0.7, site="south", lesion_type="hemangioma"),
    Case(BENIGN, both(MALIGNANT), score=0.6, site="north", regions=(SpineRegion.THORACIC,)),
    Case(BENIGN, {T1: BENIGN}, site="south"),
    Case(None, both(None), extra={T1: NOWHERE}),
    Case(None, both(None)),
)
BY_DETECTOR = FusionConfig(lambda_detector=0.45, lambda_sequence=0.0, lambda_age=0.0)


@pytest.fixture
def model(micro_model: WffModel) -> WffModel:
    """Decides by the detector alone."""
    return micro_model.with_fusion(BY_DETECTOR)


def evaluate(
    folder: Path, model: WffModel, cases: Sequence[Case] = CASES, *, readers: Sequence[ReaderVerdicts] = ()
) -> Evaluation:
    patients = write_patients(folder / "patients", cases)
    return evaluate_patients(model, detected(patients, cases), seed=1, resamples=50, readers=readers)


def test_the_rows_are_the_six_strategies_in_the_order_of_the_paper(tmp_path: Path, model: WffModel) -> None:
    rows = evaluate(tmp_path, model).strategy_rows()

    assert [row.name for row in rows] == ["Det", "Det-Age", "Seq", "Seq-Age", "Det-Seq", "Det-Seq-Age"]
    assert rows[0].weights == (0.45, 0.0, 0.0)


def test_the_bundle_s_own_weights_are_a_row_of_their_own(tmp_path: Path, micro_model: WffModel) -> None:
    own = micro_model.with_fusion(FusionConfig(lambda_detector=0.2, lambda_sequence=0.0, lambda_age=0.8))

    evaluation = evaluate(tmp_path, own)

    assert evaluation.strategy_rows()[-1].name == evaluation.decided_by == OWN
    assert evaluation.decided.weights == (0.2, 0.0, 0.8)


def test_an_undetected_patient_counts_as_called_benign_and_is_counted(tmp_path: Path, model: WffModel) -> None:
    """Of three malignant ones two are found (one by a tie) and one has no detection; one benign is called malignant."""
    det = evaluate(tmp_path, model).strategies[0].performance

    assert det.counts == Confusion(true_malignant=2, missed_malignant=1, true_benign=2, false_malignant=1)
    assert det.undetected == 1


def test_both_scores_of_the_area_are_told(tmp_path: Path, model: WffModel) -> None:
    """Scores 1, .5, 0 against 0, 1, 0: by pairs 2.5, 2 and 1 of 3; the votes are the same here."""
    det = evaluate(tmp_path, model).strategies[0].performance

    assert det.area.value == pytest.approx(5.5 / 9)
    assert det.area_of_votes.value == pytest.approx(5.5 / 9)


def test_lesion_free_patients_count_for_false_alarms_alone(tmp_path: Path, model: WffModel) -> None:
    cohort = evaluate(tmp_path, model).cohort

    assert (cohort.malignant, cohort.benign, cohort.patients) == (3, 3, 6)
    assert (cohort.lesion_free, cohort.lesion_free_alarmed) == (2, 1)
    assert cohort.prevalence == 0.5
    assert (cohort.series, cohort.images) == (15, 60)


def test_the_age_speaks_where_it_has_a_weight(tmp_path: Path, micro_model: WffModel) -> None:
    """A table that says malignant at 50 turns a patient on whom the two sequences differ; the tie said so before, too.
    One that says benign turns him back."""
    counts = {}
    for share in (0.9, 0.1):
        aged = WffModel(
            micro_model.config, *micro_model.nets, AgeTable((share,) * 10)
        ).with_fusion(BY_DETECTOR)  # fmt: skip
        counts[share] = evaluate(tmp_path / str(share), aged).strategies[1].performance.counts

    assert counts[0.9].true_malignant == 2
    assert counts[0.1].true_malignant == 1


def test_fewer_sequences_vote_on_the_patients_who_have_both_kinds(tmp_path: Path, model: WffModel) -> None:
    evaluation = evaluate(tmp_path, model)

    det = {row.sequences: row.performance.counts for row in evaluation.sequences if row.strategy == "Det"}
    assert evaluation.patients_with_both_kinds == 5
    assert det["T1 only"] == Confusion(true_malignant=1, missed_malignant=2, true_benign=1, false_malignant=1)
    assert det["T2 and T2 FS"] == Confusion(true_malignant=2, missed_malignant=1, true_benign=1, false_malignant=1)
    assert det["both"] == det["T2 and T2 FS"]


def test_errors_are_counted_per_region(tmp_path: Path, model: WffModel) -> None:
    """The undetected patient has lesions in two regions and is wrong in both."""
    rows = evaluate(tmp_path, model).regions

    assert rows == (
        RegionRow(region="thoracic", right=0, wrong=2, undetected=1),
        RegionRow(region="lumbar", right=4, wrong=1, undetected=1),
    )


def test_sites_and_types_of_lesion_are_told_apart(tmp_path: Path, model: WffModel) -> None:
    rows = evaluate(tmp_path, model).subgroups

    assert [(row.attribute, row.value) for row in rows] == [
        ("site", "north"),
        ("site", "south"),
        ("type of lesion", "hemangioma"),
        ("type of lesion", "metastasis"),
        ("type of lesion", "not recorded"),
    ]
    assert rows[0].counts == Confusion(true_malignant=2, missed_malignant=0, true_benign=0, false_malignant=1)


def test_readers_are_compared_with_what_the_bundle_decides(tmp_path: Path, model: WffModel) -> None:
    reader = ReaderVerdicts("D1", False, {"P00": BENIGN, "P02": MALIGNANT, "P03": BENIGN, "P04": BENIGN})

    (row,) = evaluate(tmp_path, model, readers=[reader]).readers

    assert row.counts == Confusion(true_malignant=1, missed_malignant=1, true_benign=2, false_malignant=0)
    assert (row.against_model.only_first_right, row.against_model.only_second_right) == (1, 2)


def test_the_detector_is_measured_on_every_box_of_every_patient(tmp_path: Path, model: WffModel) -> None:
    """22 labelled boxes: 12 malignant, of which 2 patients of 3 are found and one sequence has the other class."""
    detector = evaluate(tmp_path, model).detector

    assert detector.per_image is not None
    assert detector.per_patient is not None
    assert (detector.per_image.targets, detector.per_image.units) == (22, 60)
    assert (detector.per_patient.targets, detector.per_patient.units) == (6, 8)
    assert detector.per_image.sensitivity[-1] == pytest.approx(18 / 22)
    assert detector.per_patient.sensitivity[-1] == pytest.approx(5 / 6)
    assert detector.malignant is not None
    assert detector.malignant.value == pytest.approx(6 / 12)  # the two right patients score best


def test_hits_and_false_boxes_are_counted_at_the_threshold(tmp_path: Path, model: WffModel) -> None:
    """All but the undetected patient are hit; at .65 the one who scores .6 is not, and the false box of .8 stays."""
    at_default = evaluate(tmp_path / "low", model).detector
    higher = evaluate(tmp_path / "high", model.with_fusion(replace(BY_DETECTOR, tau=0.65))).detector

    assert (at_default.hit, at_default.labelled) == (5, 6)
    assert (higher.hit, higher.labelled) == (4, 6)
    assert (higher.false_boxes, higher.false_boxes_lesion_free) == (1, 1)


def test_false_boxes_per_lesion_free_patient_have_an_interval_by_patient(tmp_path: Path, model: WffModel) -> None:
    """One box on one of two patients: a resample of them has 0, half a box or one."""
    found = evaluate(tmp_path, model).detector.false_boxes_per_lesion_free

    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_without_lesion_free_patients_their_false_boxes_are_not_told(tmp_path: Path, model: WffModel) -> None:
    cases = [case for case in CASES if case.truth is not None]

    assert evaluate(tmp_path, model, cases).detector.false_boxes_per_lesion_free is None


def test_the_mean_precision_of_the_classes_has_an_interval(tmp_path: Path, model: WffModel) -> None:
    found = evaluate(tmp_path, model).detector

    assert found.benign is not None
    assert found.malignant is not None
    assert found.mean_of_classes is not None
    assert found.mean_of_classes.value == pytest.approx((found.benign.value + found.malignant.value) / 2)
    assert found.mean_of_classes.low < found.mean_of_classes.value < found.mean_of_classes.high


def test_patients_without_a_probability_have_no_part_in_the_calibration(tmp_path: Path, model: WffModel) -> None:
    calibration = evaluate(tmp_path, model).calibration

    assert calibration is not None
    assert calibration.patients == 5


def test_a_model_that_detects_nothing_is_evaluated_all_the_same(tmp_path: Path, model: WffModel) -> None:
    cases = [replace(case, says=both(None), extra={}) for case in CASES]

    evaluation = evaluate(tmp_path, model, cases)

    assert evaluation.decided.performance.undetected == 6
    assert evaluation.decided.performance.area.value == 0.5
    assert evaluation.calibration is None
    assert evaluation.detector.malignant is not None
    assert evaluation.detector.malignant.value == 0.0
    assert "Is the probability" not in evaluation_page(evaluation, example_subject())


def test_each_sequence_is_classified_once_for_all_strategies(
    tmp_path: Path, model: WffModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    classify = model.classify

    def counting(images: Sequence[Images], found: Sequence[Sequence[SliceBoxes]], fusion: FusionConfig) -> object:
        calls.append(len(found))
        return classify(images, found, fusion)

    monkeypatch.setattr(model, "classify", counting)
    evaluate(tmp_path, model)

    assert calls == [2, 2, 2, 2, 2, 1]


def test_the_progress_is_told_after_each_patient_with_a_lesion(tmp_path: Path, model: WffModel) -> None:
    told: list[None] = []
    patients = write_patients(tmp_path / "p", CASES)

    evaluate_patients(model, detected(patients, CASES), seed=1, resamples=10, progress=lambda: told.append(None))

    assert len(told) == 6


def test_the_same_seed_gives_the_same_numbers_and_another_other_intervals(tmp_path: Path, model: WffModel) -> None:
    found = detected(write_patients(tmp_path / "p", CASES), CASES)

    first, same, other = (
        evaluate_patients(model, found, seed=seed, resamples=50).to_json()["strategies"] for seed in (1, 1, 2)
    )

    assert first == same
    assert first != other


def test_the_json_form_is_plain_and_finite(tmp_path: Path, model: WffModel) -> None:
    data = json.loads(json.dumps(evaluate(tmp_path, model).to_json(), allow_nan=False))

    assert data["schema"] == 2
    assert data["cohort"]["prevalence"] == 0.5
    assert data["strategies"][0]["performance"]["counts"]["true_malignant"] == 2
    assert [one["patient_id"] for one in data["diagnoses"]["Det"]] == ["P00", "P01", "P02", "P03", "P04", "P05"]


@pytest.mark.parametrize("kept", [BENIGN, MALIGNANT])
def test_patients_of_one_class_are_refused_in_one_sentence(tmp_path: Path, model: WffModel, kept: Verdict) -> None:
    cases = [case for case in CASES if case.truth in (kept, None)]

    with pytest.raises(EvaluationError, match="needs benign and malignant patients, but there are"):
        evaluate(tmp_path, model, cases)


def test_one_patient_of_a_class_has_no_test_of_areas(tmp_path: Path, model: WffModel) -> None:
    evaluation = evaluate(tmp_path, model, [CASES[0], CASES[3], CASES[4]])

    assert evaluation.fusion_gain is None
    assert evaluation.decided.performance.counts.malignant == 1
