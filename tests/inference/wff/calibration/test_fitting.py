from dataclasses import replace

import pytest

from inference.errors import CalibrationError
from inference.evaluation.intervals import Estimate
from inference.evaluation.log_loss import log_loss, log_losses
from inference.findings import Verdict
from inference.wff.age import AgeTable, age_bin
from inference.wff.calibration.fitting import FOLDS, LEAST_OF_A_CLASS, PARENT_PATIENTS, SiteModel, calibrate
from inference.wff.config import FusionConfig
from inference.wff.patients import ClassifiedPatient
from tests.inference.wff.classified_patients import BY_DETECTOR, Law, patient

PARENT = SiteModel(BY_DETECTOR, AgeTable())
TOO_SURE = Law(0.4, -0.8)


def value(one: Estimate | None) -> float:
    assert one is not None
    return one.value


def test_a_model_that_is_too_sure_at_a_site_is_made_honest_there() -> None:
    made = calibrate(PARENT, TOO_SURE.draw(300, seed=1))

    assert made.model.fusion.calibration_slope == pytest.approx(0.4, rel=0.25)
    assert not made.is_worse
    assert made.after.log_loss < 0.85 * made.before.log_loss
    before, after = made.before.probabilities, made.after.probabilities
    assert after.brier.value < before.brier.value
    assert after.expected_error.value < before.expected_error.value
    assert value(before.slope) == pytest.approx(0.4, rel=0.25)
    assert value(after.slope) == pytest.approx(1.0, abs=0.15)
    assert value(after.intercept) == pytest.approx(0.0, abs=0.15)
    assert made.is_better
    assert made.change.value == pytest.approx(made.after.log_loss - made.before.log_loss)
    assert made.change.high < 0
    assert made.after.accuracy.value > made.before.accuracy.value


def test_nothing_but_the_calibration_and_the_age_table_changes() -> None:
    parent = SiteModel(FusionConfig(tau=0.35, lambda_detector=0.6, lambda_sequence=0.0, lambda_age=0.4), AgeTable())

    made = calibrate(parent, TOO_SURE.draw(60, seed=2))

    assert made.model.fusion.is_calibrated
    assert replace(made.model.fusion, calibration_slope=1.0, calibration_intercept=0.0) == parent.fusion


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_told_was_not_measured_on_the_patients_that_were_fitted_to(seed: int) -> None:
    patients = TOO_SURE.draw(60, seed=seed)
    truth = [one.patient.verdict is Verdict.MALIGNANT for one in patients]

    made = calibrate(PARENT, patients)

    votes = [made.model.read(one).vote for one in patients]
    flattered = log_loss([vote.mean for vote in votes if vote is not None], truth)
    assert flattered < made.after.log_loss < made.before.log_loss


def _turned(one: ClassifiedPatient) -> ClassifiedPatient:
    other = Verdict.BENIGN if one.patient.verdict is Verdict.MALIGNANT else Verdict.MALIGNANT
    return replace(one, detected=replace(one.detected, patient=replace(one.patient, verdict=other)))


def test_a_well_calibrated_model_is_told_that_few_cases_make_it_worse() -> None:
    made = calibrate(PARENT, Law(1.0, 0.0).draw(40, seed=10))

    assert made.is_worse
    assert 0 < made.change.low < made.change.value < made.change.high
    assert "The calibration makes the model worse" in made.worth


def test_a_rise_of_the_log_loss_that_chance_may_have_made_is_neither_called_worse_nor_better() -> None:
    """The point estimate alone would say worse."""
    made = calibrate(PARENT, Law(1.0, 0.0).draw(40, seed=5))

    assert made.after.log_loss > made.before.log_loss
    assert made.change.low < 0 < made.change.high
    assert not made.is_worse
    assert not made.is_better
    assert "do not show that the calibration helps" in made.worth


def test_the_doubt_about_the_change_is_that_of_the_differences_of_each_patient() -> None:
    patients = TOO_SURE.draw(120, seed=4)

    made = calibrate(PARENT, patients)

    apart = made.change.high - made.change.low
    truth = [one.patient.verdict is Verdict.MALIGNANT for one in patients]
    votes = [PARENT.read(one).vote for one in patients]
    alone = log_losses([vote.mean for vote in votes if vote is not None], truth).std() * 2 * 1.96 / 120**0.5
    assert apart < 0.8 * alone  # far less than the doubt about the log loss itself


def test_an_earlier_calibration_is_replaced_not_calibrated_once_more() -> None:
    patients = TOO_SURE.draw(80, seed=5)
    first = calibrate(PARENT, patients)
    again = replace(PARENT.fusion, calibration_slope=3.0, calibration_intercept=1.0)

    second = calibrate(SiteModel(again, PARENT.age_table), patients)

    assert second.model == first.model
    assert second.before != first.before


@pytest.mark.parametrize("verdict", list(Verdict))
def test_too_few_patients_of_a_class_are_refused(verdict: Verdict) -> None:
    other = Verdict.BENIGN if verdict is Verdict.MALIGNANT else Verdict.MALIGNANT
    few = [patient(f"f{n}", verdict, [[0.5]]) for n in range(LEAST_OF_A_CLASS - 1)]
    silent = [patient(f"s{n}", verdict, [[]]) for n in range(4)]
    many = [patient(f"m{n}", other, [[0.5]]) for n in range(30)]

    with pytest.raises(CalibrationError, match=f"9 {verdict} patients with a probability, beside 4 in whom no lesion"):
        calibrate(PARENT, few + silent + many)


def test_a_model_that_says_the_opposite_is_refused() -> None:
    with pytest.raises(CalibrationError, match="does not rise with malignancy"):
        calibrate(PARENT, [_turned(p) for p in Law(1.0, 0.0).draw(80, seed=6)])


def test_patients_without_detection_count_as_benign_and_have_no_probability() -> None:
    patients = TOO_SURE.draw(40, seed=7)
    silent = [patient("s0", Verdict.MALIGNANT, [[]]), patient("s1", Verdict.BENIGN, [[]]), patient("x", None, [[0.9]])]

    made = calibrate(PARENT, patients + silent)

    assert (made.cases.patients, made.cases.undetected, made.cases.with_age) == (42, 2, 40)
    assert made.before.probabilities.patients == 40
    assert made.before.accuracy.total == 42
    assert made.before.accuracy.hits == calibrate(PARENT, patients).before.accuracy.hits + 1


def test_few_cases_of_an_age_do_not_overturn_the_parents_table() -> None:
    patients = [patient(f"m{n}", Verdict.MALIGNANT, [[0.7]], age_years=45.0) for n in range(12)]
    patients += [patient(f"b{n}", Verdict.BENIGN, [[0.3]], age_years=75.0) for n in range(12)]

    table = calibrate(PARENT, patients).model.age_table.malignant

    before = PARENT.age_table.malignant
    n, m = 12, PARENT_PATIENTS
    assert table[age_bin(45)] == pytest.approx((n * 13 / 14 + m * before[age_bin(45)]) / (n + m))
    assert table[age_bin(75)] == pytest.approx((n * 1 / 14 + m * before[age_bin(75)]) / (n + m))
    assert [table[b] for b in (0, 1, 2, 3, 5, 6, 8, 9)] == [before[b] for b in (0, 1, 2, 3, 5, 6, 8, 9)]


def test_the_age_table_of_the_site_is_part_of_what_is_calibrated() -> None:
    by_age = SiteModel(FusionConfig(tau=0.3, lambda_detector=0.0, lambda_sequence=0.0, lambda_age=1.0), AgeTable())
    old = [patient(f"o{n}", Verdict.BENIGN, [[0.5]], age_years=75.0) for n in range(40)]
    young = [patient(f"y{n}", Verdict.MALIGNANT, [[0.5]], age_years=25.0) for n in range(40)]

    made = calibrate(by_age, old + young)

    assert made.before.accuracy.value == 0.0
    assert made.after.accuracy.value == 1.0  # at this site the young have the malignant lesions


def test_the_folds_part_each_class_evenly() -> None:
    patients = [patient(f"m{n}", Verdict.MALIGNANT, [[0.4 + 0.01 * n]]) for n in range(10)]
    patients += [patient(f"b{n}", Verdict.BENIGN, [[0.3 + 0.01 * n]]) for n in range(10)]

    made = calibrate(PARENT, patients)

    assert FOLDS == 5
    assert made.after.probabilities.patients == 20
    assert calibrate(PARENT, patients) == made
