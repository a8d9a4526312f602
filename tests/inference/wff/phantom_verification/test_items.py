"""Each item on patients and scores set by hand: it holds where it should, and tells the fault that it is there for."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from inference.datasets import DataSetWriter, LabelledPatient
from inference.findings import Box, SequenceKind, Verdict
from inference.phantom.law import AGE_TABLE, PhantomTruth
from inference.wff.age import AgeTable, fit_age_table
from inference.wff.config import FusionConfig
from inference.wff.patients import ClassifiedPatient, DetectedPatient
from inference.wff.phantom_verification.cohorts import HALF, NONE, PLAIN, Cohort
from inference.wff.phantom_verification.items_age import age_module
from inference.wff.phantom_verification.items_detection import lesion_free
from inference.wff.phantom_verification.items_verdict import Scored, against_oracle, dose_response, unseen
from inference.wff.phantom_verification.scale import quick_scale
from inference.wff.reading import DetectedBox

SCALE = quick_scale(seed=1)
COUNT = 120
LESION = Box(x0=10, y0=10, x1=22, y1=22)
TRUTH = [n % 2 == 0 for n in range(COUNT)]
BY_DETECTOR = FusionConfig(tau=0.3, lambda_detector=1.0, lambda_sequence=0.0, lambda_age=0.0)


def scores(strength: float, seed: int = 1) -> list[float]:
    """0..1; the stronger, the better they tell the malignant ones."""
    noise = np.random.default_rng(seed).normal(size=COUNT)
    return [float(1 / (1 + np.exp(-strength * (one - 0.5) - n))) for one, n in zip(TRUTH, noise, strict=True)]


def labelled(malignant: bool | None, number: int, age: float = 50.0) -> LabelledPatient:
    verdict = None if malignant is None else (Verdict.MALIGNANT if malignant else Verdict.BENIGN)
    return LabelledPatient(patient_id=f"PH-{number:06d}", age_years=age, verdict=verdict, series=())


PATIENTS = [labelled(malignant, number) for number, malignant in enumerate(TRUTH)]


def scored(strength: float, seed: int = 1) -> Scored:
    return Scored(patients=PATIENTS, scores=scores(strength, seed))


def truth_of(score: float) -> PhantomTruth:
    odds = float(np.log(score / (1 - score)))
    return PhantomTruth(label=None, signs={}, log_odds_signs=odds, log_odds_signs_age=odds, lesions=())


def cohort(oracle: Sequence[float]) -> Cohort:
    truths = {patient.patient_id: truth_of(score) for patient, score in zip(PATIENTS, oracle, strict=True)}
    return Cohort(folder=Path(), patients=tuple(PATIENTS), truths=truths)


def read(patient: LabelledPatient, score: float | None, writer: DataSetWriter) -> ClassifiedPatient:
    """One slice; the detector finds the lesion, or what it takes for one, and says `score`. None: it finds nothing."""
    boxes = [] if patient.verdict is None else [LESION]
    series = writer.add_series(patient.patient_id, 0, SequenceKind.T1, np.zeros((1, 32, 32), dtype=np.uint8), [boxes])
    known = replace(patient, series=(series,))
    found: tuple[DetectedBox, ...] = ()
    if score is not None:
        found = (DetectedBox(LESION, Verdict.MALIGNANT, score), DetectedBox(LESION, Verdict.BENIGN, 1.0 - score))
    return ClassifiedPatient(DetectedPatient(known, ((found,),)), (None,), None)


def framework(folder: Path, said: Sequence[float | None], **more: Any) -> Any:
    writer = DataSetWriter(folder)
    classified = tuple(read(patient, score, writer) for patient, score in zip(PATIENTS, said, strict=True))
    return SimpleNamespace(fusion=BY_DETECTOR, held_out=classified, away=classified, unseen_look=classified, **more)


def test_a_model_nearly_as_good_as_the_oracle_holds(tmp_path: Path) -> None:
    oracle = scores(3.0)
    near = [0.97 * one + 0.03 * other for one, other in zip(oracle, scores(0.0, 2), strict=True)]

    findings = against_oracle(SCALE, framework(tmp_path, near), cohort(oracle))

    assert all(one.holds for one in findings)


def test_a_model_that_beats_the_oracle_is_told_as_a_leak_and_a_poor_one_as_poor(tmp_path: Path) -> None:
    leaking = against_oracle(SCALE, framework(tmp_path / "leak", scores(9.0)), cohort(scores(0.5)))
    poor = against_oracle(SCALE, framework(tmp_path / "poor", scores(0.5)), cohort(scores(4.0)))

    assert [one.holds for one in leaking] == [False, True]
    assert [one.holds for one in poor] == [True, False]


def test_the_dose_response_must_rise_at_both_steps() -> None:
    rising = dose_response(SCALE, {NONE: scored(0.0), HALF: scored(1.2), PLAIN: scored(4.0)})
    fallen = dose_response(SCALE, {NONE: scored(0.0), HALF: scored(1.2), PLAIN: scored(0.0)})

    assert [one.holds for one in rising] == [True, True, True]
    assert [one.holds for one in fallen] == [True, False, False]


def test_false_boxes_are_counted_in_lesion_free_patients_alone(tmp_path: Path) -> None:
    writer = DataSetWriter(tmp_path)
    ill = [read(patient, 0.9, writer) for patient in PATIENTS[:10]]
    quiet = [read(labelled(None, 900 + n), None, writer) for n in range(9)]
    alarmed = [read(labelled(None, 950), 0.9, writer)]
    whole: Any = SimpleNamespace(fusion=BY_DETECTOR, held_out=(*ill, *quiet), away=tuple(alarmed))

    false, hits = lesion_free(SCALE, whole)

    assert (false.value, hits.value) == (0.1, 1.0)
    assert false.holds
    assert hits.holds


def test_unseen_sites_and_looks_are_told_apart(tmp_path: Path) -> None:
    oracle = cohort(scores(4.0))
    good = unseen(SCALE, framework(tmp_path / "good", scores(4.0)), oracle, oracle)
    blind = unseen(SCALE, framework(tmp_path / "blind", [None] * COUNT), oracle, oracle)
    leaking = unseen(SCALE, framework(tmp_path / "leak", scores(9.0)), oracle, cohort(scores(0.5)))

    assert [one.holds for one in good] == [True, True]
    assert not blind[0].holds
    assert not leaking[1].holds
    assert good[0].what != good[1].what


def test_the_age_module_is_held_to_the_law_of_the_ages(tmp_path: Path) -> None:
    known = [
        labelled(n < round(100 * share), 1000 * group + n, age=10.0 * group + 5.0)
        for group, share in enumerate(AGE_TABLE[:9])
        for n in range(100)
    ]
    fitted = fit_age_table([p.age_years or 0.0 for p in known], [p.verdict or Verdict.BENIGN for p in known])
    training = Cohort(folder=Path(), patients=tuple(known), truths={})
    said = scores(2.0)

    learned, wrong = (
        age_module(
            SCALE, framework(tmp_path / name, said, model=SimpleNamespace(age_table=table)), training, cohort(said)
        )
        for name, table in (("learned", fitted), ("wrong", AgeTable(tuple(1.0 - share for share in fitted.malignant))))
    )

    assert learned[0].holds
    assert not wrong[0].holds
