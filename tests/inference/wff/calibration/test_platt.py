import numpy as np
import pytest

from inference.findings import Verdict
from inference.wff.calibration.platt import Platt, fit_platt
from inference.wff.fusion import log_odds
from tests.inference.wff.classified_patients import BY_DETECTOR, Law, patient


def fit(patients: list) -> Platt:
    return fit_platt(
        [p.read(BY_DETECTOR) for p in patients], [p.patient.verdict is Verdict.MALIGNANT for p in patients]
    )


@pytest.mark.parametrize("law", [Law(0.5, -0.7), Law(1.5, 0.4)])
def test_the_line_that_the_truth_was_drawn_from_is_found(law: Law) -> None:
    fitted = fit(law.draw(4000, seed=1))

    assert fitted.slope == pytest.approx(law.slope, rel=0.1)
    assert fitted.intercept == pytest.approx(law.intercept, abs=0.1)


def test_with_one_slice_per_patient_the_fit_is_the_textbook_logistic_regression() -> None:
    """Newton's method on the smoothed targets, written here by itself."""
    rng = np.random.default_rng(2)
    said = rng.uniform(0.02, 0.98, size=60)
    truth = rng.random(60) < said
    fitted = fit(
        [
            patient(f"P{n}", Verdict.MALIGNANT if y else Verdict.BENIGN, [[p]])
            for n, (p, y) in enumerate(zip(said.tolist(), truth.tolist(), strict=True))
        ]
    )

    x = np.stack([[log_odds(p) for p in said.tolist()], np.ones(60)])
    targets = np.where(truth, (truth.sum() + 1) / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    line = np.array([1.0, 0.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-line @ x))
        line += np.linalg.solve((x * (p * (1 - p))) @ x.T, x @ (targets - p))
    assert (fitted.slope, fitted.intercept) == pytest.approx(tuple(line), abs=1e-4)


def test_a_patient_counts_once_however_many_slices_vote() -> None:
    few = [patient("a", Verdict.MALIGNANT, [[0.6]]), patient("b", Verdict.BENIGN, [[0.7]])] * 5
    few += [patient("c", Verdict.MALIGNANT, [[0.9]]), patient("d", Verdict.BENIGN, [[0.2]])] * 5
    many = [patient("a", Verdict.MALIGNANT, [[0.6] * 9, [0.6]]), *few[1:]]

    assert fit(many).slope == pytest.approx(fit(few).slope, rel=1e-6)


def test_classes_that_are_parted_completely_give_a_finite_slope() -> None:
    parted = [patient(f"m{n}", Verdict.MALIGNANT, [[0.8]]) for n in range(10)]
    parted += [patient(f"b{n}", Verdict.BENIGN, [[0.2]]) for n in range(10)]

    fitted = fit(parted)

    # the smoothed targets of ten against ten are 11/12 and 1/12
    assert fitted.slope == pytest.approx(log_odds(11 / 12) / log_odds(0.8), rel=1e-3)
    assert fitted.intercept == pytest.approx(0.0, abs=1e-3)


def test_a_patient_without_a_vote_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="no vote"):
        fit([patient("a", Verdict.BENIGN, [[]])])
