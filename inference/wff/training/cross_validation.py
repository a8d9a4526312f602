"""Cross-validation by patient: which candidate, which tau and which weights of Eq. 1, without the held-out patients.

For each candidate and fold both nets and the age table are fitted to the patients outside the fold, and the fold is
read with them. The readings of all folds together, each patient once and by a model that has not seen them, choose tau
and the weights; the candidate with the least log loss then wins. Without a refit only the first fold is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from inference.evaluation.diagnosis import Performance, performance
from inference.evaluation.intervals import Resampling
from inference.splits import Splits
from inference.wff.config import FusionConfig
from inference.wff.evaluation.patients import diagnosis_of
from inference.wff.model import WffModel
from inference.wff.patients import ClassifiedPatient, DetectedPatient, classify_all
from inference.wff.training.fit import Fitting, detections_of, fit
from inference.wff.training.fusion_choice import choose_tau, log_loss, weights_with_least_loss
from inference.wff.training.settings import TrainingSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateResult:
    """One candidate on the readings of the folds left out, at the tau and the weights that suit it best."""

    number: int  # from 1
    overrides: Mapping[str, Any]
    fusion: FusionConfig
    log_loss: float  # a patient without a detection counts ln 2
    performance: Performance


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidated:
    candidates: tuple[CandidateResult, ...]
    chosen: CandidateResult

    def to_json(self) -> dict[str, Any]:
        return {"chosen": self.chosen.number, "candidates": [asdict(one) for one in self.candidates]}


@dataclass(frozen=True, slots=True)
class _Fold:
    """A model and what it found in patients that it has not seen."""

    model: WffModel
    detected: list[DetectedPatient]


def cross_validate(where: Fitting, settings: TrainingSettings, splits: Splits) -> CrossValidated:
    results = tuple(
        _candidate(where, settings, splits, number)
        for number in range(1, len(settings.cross_validation.candidates) + 1)
    )
    return CrossValidated(candidates=results, chosen=min(results, key=lambda one: one.log_loss))


def _left_out_folds(settings: TrainingSettings, splits: Splits) -> int:
    """How many folds are left out in turn."""
    return len(splits.folds) if settings.cross_validation.refit else 1


def stage_of_fold(candidate: int, number: int) -> str:
    """Folder inside the run's of what is trained without fold `number`, counted from 0."""
    return f"folds/candidate-{candidate}/fold-{number + 1}"


def settings_of_candidate(settings: TrainingSettings, number: int) -> TrainingSettings:
    return settings.with_candidate(settings.cross_validation.candidates[number - 1], f"candidate {number}")


def _candidate(where: Fitting, settings: TrainingSettings, splits: Splits, number: int) -> CandidateResult:
    own = settings_of_candidate(settings, number)
    folds = [_fold(where, number, own, splits, n) for n in range(_left_out_folds(settings, splits))]
    where.display.say(f"candidate {number}: choosing tau and the weights")
    tau = choose_tau([one for fold in folds for one in fold.detected])
    base = replace(own.config.fusion, tau=tau)
    classified = [one for fold in folds for one in classify_all(fold.model, _with_lesion(fold.detected), base)]
    fusion = weights_with_least_loss(classified, base)
    result = CandidateResult(
        number=number,
        overrides=settings.cross_validation.candidates[number - 1].overrides,
        fusion=fusion,
        log_loss=log_loss(classified, fusion),
        performance=_performance(classified, fusion, seed=settings.seed),
    )
    log.info("candidate_read", number=number, log_loss=result.log_loss, area=result.performance.area.value)
    return result


def _fold(where: Fitting, candidate: int, settings: TrainingSettings, splits: Splits, number: int) -> _Fold:
    stage = stage_of_fold(candidate, number)
    model = fit(where, stage, settings, splits.without(number))
    return _Fold(model, detections_of(where, stage, settings, model, splits.folds[number]))


def _with_lesion(detected: Sequence[DetectedPatient]) -> list[DetectedPatient]:
    return [one for one in detected if one.patient.verdict is not None]


def _performance(classified: Sequence[ClassifiedPatient], fusion: FusionConfig, *, seed: int) -> Performance:
    said = [diagnosis_of(one, fusion) for one in classified]
    return performance(said, Resampling([one.is_malignant for one in said], seed=seed))
