"""Runs the strategies over labelled patients and gathers everything that is said about them.

The networks have run once per slice (`measurement.detect_all`) and run once per sequence here; every strategy, every
choice of sequences and every curve reads these stored numbers.
"""

from collections.abc import Container, Mapping, Sequence
from typing import Final

from inference.datasets import LabelledPatient
from inference.errors import EvaluationError
from inference.evaluation.comparison import AreaComparison, compare_areas
from inference.evaluation.decision_curve import decision_curve
from inference.evaluation.diagnosis import Diagnosis, performance
from inference.evaluation.intervals import RESAMPLES, Resampling
from inference.evaluation.probability_calibration import ProbabilityCalibration, probability_calibration
from inference.evaluation.readers import ReaderVerdicts, reader_rows
from inference.evaluation.results import Cohort, Evaluation, SequencesRow, StrategyRow
from inference.evaluation.roc import roc_band, roc_curve
from inference.evaluation.subgroups import region_rows, subgroup_rows
from inference.findings import SequenceKind, Verdict
from inference.wff.config import FusionConfig
from inference.wff.evaluation.detector import evaluate_detector
from inference.wff.evaluation.strategies import DETECTOR_ALONE, WHOLE, deciding_strategy, strategies_of, weights_of
from inference.wff.model import WffModel
from inference.wff.patients import ClassifiedPatient, DetectedPatient, Progress, classify_all
from inference.wff.reading import voting_slices

_ALL_KINDS: Final = frozenset(SequenceKind)
_T1: Final = frozenset({SequenceKind.T1})
_T2: Final = frozenset({SequenceKind.T2, SequenceKind.T2FS})
SEQUENCE_CHOICES: Final = {"T1 only": _T1, "T2 and T2 FS": _T2, "both": _ALL_KINDS}


def evaluate_patients(
    model: WffModel,
    detected: Sequence[DetectedPatient],
    *,
    seed: int,
    readers: Sequence[ReaderVerdicts] = (),
    resamples: int = RESAMPLES,
    progress: Progress | None = None,
) -> Evaluation:
    """`seed` is of the bootstrap; `progress` is called after each patient with a lesion.

    Raises EvaluationError when there are no benign or no malignant patients.
    """
    with_lesion = [one for one in detected if one.patient.verdict is not None]
    truth = [one.patient.verdict is Verdict.MALIGNANT for one in with_lesion]
    require_both_classes([one.patient for one in with_lesion])
    own = model.config.fusion
    classified = classify_all(model, with_lesion, own, progress=progress)
    strategies = strategies_of(own)
    decided_by = deciding_strategy(own)
    patients = Resampling(truth, seed=seed, resamples=resamples)
    diagnoses = {name: _diagnoses(classified, fusion, _ALL_KINDS) for name, fusion in strategies.items()}
    decided = diagnoses[decided_by]
    scores = [one.score for one in decided]
    both_kinds = [one for one in classified if _has(one.patient, _T1) and _has(one.patient, _T2)]
    return Evaluation(
        seed=seed,
        resamples=resamples,
        tau=own.tau,
        cohort=_cohort(detected, own.tau),
        strategies=tuple(
            StrategyRow(name=name, weights=weights_of(fusion), performance=performance(diagnoses[name], patients))
            for name, fusion in strategies.items()
        ),
        decided_by=decided_by,
        fusion_gain=_fusion_gain(diagnoses, truth),
        diagnoses=diagnoses,
        roc=tuple(roc_curve(name, [one.score for one in said], truth) for name, said in diagnoses.items()),
        roc_band=roc_band(scores, truth, patients),
        detector=evaluate_detector(detected, tau=own.tau, seed=seed, resamples=resamples),
        sequences=_sequences_rows(both_kinds, strategies, seed=seed, resamples=resamples),
        patients_with_both_kinds=len(both_kinds),
        regions=region_rows(decided, [one.patient.regions for one in classified]),
        subgroups=(
            *subgroup_rows("site", decided, [one.patient.site for one in classified]),
            *subgroup_rows("type of lesion", decided, [one.patient.lesion_type for one in classified]),
        ),
        readers=reader_rows(readers, decided),
        calibration=_calibration(decided, seed=seed, resamples=resamples),
        decision_curve=decision_curve(scores, truth),
    )


def require_both_classes(patients: Sequence[LabelledPatient]) -> None:
    """Raises EvaluationError: without one of the classes no area, sensitivity or specificity means anything."""
    malignant = sum(patient.verdict is Verdict.MALIGNANT for patient in patients)
    benign = sum(patient.verdict is Verdict.BENIGN for patient in patients)
    if not malignant or not benign:
        raise EvaluationError(
            f"an evaluation needs benign and malignant patients, but there are {benign} benign and {malignant} "
            "malignant ones; choose another data set or part"
        )


def _diagnoses(
    classified: Sequence[ClassifiedPatient], fusion: FusionConfig, kinds: Container[SequenceKind]
) -> tuple[Diagnosis, ...]:
    return tuple(diagnosis_of(one, fusion, kinds) for one in classified)


def diagnosis_of(
    one: ClassifiedPatient, fusion: FusionConfig, kinds: Container[SequenceKind] = _ALL_KINDS
) -> Diagnosis:
    """What the votes of the sequences of these kinds say of a patient with a lesion, beside the truth."""
    reading = one.read(fusion, kinds)
    return Diagnosis(
        patient_id=one.patient.patient_id,
        is_malignant=one.patient.verdict is Verdict.MALIGNANT,
        said_malignant=reading.vote is not None and reading.vote.verdict is Verdict.MALIGNANT,
        probability=None if reading.vote is None else reading.vote.mean,
        vote_fraction=reading.vote_fraction_malignant,
    )


def _cohort(detected: Sequence[DetectedPatient], tau: float) -> Cohort:
    verdicts = [one.patient.verdict for one in detected]
    free = [one for one in detected if one.patient.verdict is None]
    return Cohort(
        malignant=verdicts.count(Verdict.MALIGNANT),
        benign=verdicts.count(Verdict.BENIGN),
        lesion_free=len(free),
        lesion_free_alarmed=sum(any(voting_slices(found, tau) for found in one.found) for one in free),
        series=sum(len(one.found) for one in detected),
        images=sum(len(found) for one in detected for found in one.found),
    )


def _fusion_gain(diagnoses: Mapping[str, Sequence[Diagnosis]], truth: Sequence[bool]) -> AreaComparison | None:
    if min(truth.count(True), truth.count(False)) < 2:
        return None
    whole, alone = ([one.score for one in diagnoses[name]] for name in (WHOLE, DETECTOR_ALONE))
    return compare_areas((WHOLE, whole), (DETECTOR_ALONE, alone), truth)


def _sequences_rows(
    classified: Sequence[ClassifiedPatient], strategies: Mapping[str, FusionConfig], *, seed: int, resamples: int
) -> tuple[SequencesRow, ...]:
    """Of patients who have T1 and T2 sequences, so that every choice is measured on the same patients."""
    truth = [one.patient.verdict is Verdict.MALIGNANT for one in classified]
    if not 0 < sum(truth) < len(truth):
        return ()
    patients = Resampling(truth, seed=seed, resamples=resamples)
    return tuple(
        SequencesRow(
            strategy=name, sequences=choice, performance=performance(_diagnoses(classified, fusion, kinds), patients)
        )
        for name, fusion in strategies.items()
        for choice, kinds in SEQUENCE_CHOICES.items()
    )


def _has(patient: LabelledPatient, kinds: Container[SequenceKind]) -> bool:
    return any(series.kind in kinds for series in patient.series)


def _calibration(decided: Sequence[Diagnosis], *, seed: int, resamples: int) -> ProbabilityCalibration | None:
    """Of the patients who have a probability: without a detection the node gives none."""
    spoken = [(one.probability, one.is_malignant) for one in decided if one.probability is not None]
    if not spoken:
        return None
    return probability_calibration(
        [p for p, _ in spoken], [malignant for _, malignant in spoken], seed=seed, resamples=resamples
    )
