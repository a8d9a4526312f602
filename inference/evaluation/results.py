"""Everything an evaluation found, as plain data: what evaluation.json holds and the page shows.

Names of strategies are those of the paper's Table 3. Rates without an interval of their own have a Wilson interval.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inference.evaluation.comparison import AreaComparison, PairedComparison
from inference.evaluation.decision_curve import DecisionCurve
from inference.evaluation.diagnosis import Diagnosis, Performance
from inference.evaluation.froc import Froc
from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Confusion
from inference.evaluation.probability_calibration import ProbabilityCalibration
from inference.evaluation.roc import RocBand, RocCurve

SCHEMA = 2  # 1: tau, false boxes and the precision of either class were of the score of one class


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Who was evaluated. Patients without a lesion count for false alarms alone."""

    malignant: int
    benign: int
    lesion_free: int
    lesion_free_alarmed: int  # lesion-free patients with any detection
    series: int
    images: int

    @property
    def patients(self) -> int:
        """With a lesion: the denominator of every table of decisions."""
        return self.malignant + self.benign

    @property
    def prevalence(self) -> float:
        return self.malignant / self.patients


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    """Table 3: one choice of the weights of detector, sequence classifier and age."""

    name: str
    weights: tuple[float, float, float]
    performance: Performance


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencesRow:
    """Fig. 7: one strategy when only some sequences vote; of the patients who have both kinds."""

    strategy: str
    sequences: str
    performance: Performance


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """Fig. 6: a patient with lesions in several regions counts in each."""

    region: str
    right: int
    wrong: int
    undetected: int  # of them; they count as called benign


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgroupRow:
    """`area` (DeLong's interval): None with fewer than two patients of a class."""

    attribute: str  # "site" or "type of lesion"
    value: str
    counts: Confusion
    area: Estimate | None
    undetected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRow:
    """Table 4: a reader beside the model on the patients that both read."""

    reader: str
    with_age: bool
    readings: int  # of the reader, also of patients that were not evaluated
    counts: Confusion
    model_counts: Confusion  # of the same patients
    model_undetected: int
    against_model: PairedComparison  # first: model, second: reader


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorResult:
    """Average precision at overlap .5; FROC and hits with the class ignored at overlap `hit_overlap`."""

    benign: Estimate | None
    malignant: Estimate | None
    either_class: Estimate | None
    mean_of_classes: Estimate | None
    hit_overlap: float
    per_image: Froc | None
    per_patient: Froc | None
    hit: int  # patients with a labelled box on which a lesion lies that scores at least tau
    labelled: int  # patients with a labelled box
    false_boxes: int  # on no labelled box, scoring at least tau, of all patients
    false_boxes_lesion_free: int  # those of the patients without a lesion
    false_boxes_per_lesion_free: Estimate | None  # None: there are no such patients


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """`decided_by` names the row of the strategies that the bundle decides by; what stands below the first table is
    about that row."""

    seed: int
    resamples: int
    tau: float
    cohort: Cohort
    strategies: tuple[StrategyRow, ...]
    decided_by: str
    fusion_gain: AreaComparison | None  # Det-Seq-Age against Det; None: fewer than two patients of a class
    diagnoses: Mapping[str, tuple[Diagnosis, ...]]  # by strategy
    roc: tuple[RocCurve, ...]
    roc_band: RocBand  # of the row that the bundle decides by
    detector: DetectorResult
    sequences: tuple[SequencesRow, ...]
    patients_with_both_kinds: int
    regions: tuple[RegionRow, ...]
    subgroups: tuple[SubgroupRow, ...]
    readers: tuple[ReaderRow, ...]
    calibration: ProbabilityCalibration | None  # None: nothing was detected in any patient
    decision_curve: DecisionCurve

    @property
    def decided(self) -> StrategyRow:
        return next(row for row in self.strategies if row.name == self.decided_by)

    def strategy_rows(self) -> list[StrategyRow]:
        """The rows of Table 3, for model cards: the six strategies and, where it is none of them, the bundle's own."""
        return list(self.strategies)

    def to_json(self) -> dict[str, Any]:
        """Plain data; every number finite or null."""
        return {"schema": SCHEMA, **asdict(self)} | {
            "cohort": {**asdict(self.cohort), "patients": self.cohort.patients, "prevalence": self.cohort.prevalence}
        }
