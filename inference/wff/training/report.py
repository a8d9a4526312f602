"""What the making of a bundle established: the one record that metadata and model card are written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.data_facts import DataFacts
from inference.datasets import LabelledPatient
from inference.evaluation.results import Evaluation
from inference.splits import Splits
from inference.wff.model import WffModel
from inference.wff.training.cross_validation import CrossValidated
from inference.wff.training.initial_weights.start import StartingWeights
from inference.wff.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What only some data allow to say, e.g. of the phantom, whose truth is known."""

    rows: Sequence[tuple[str, str]] = ()  # of the table of held-out patients
    weaknesses: Sequence[str] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)  # for metadata.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    settings: TrainingSettings  # as run
    chosen: TrainingSettings  # with the overrides of the chosen candidate
    data: DataFacts
    splits: Splits
    crossed: CrossValidated
    model: WffModel  # fitted to `learned_from`, with the chosen tau and weights
    evaluation: Evaluation  # on the held-out patients
    command: Sequence[str]
    starting_weights: Mapping[str, StartingWeights] = field(default_factory=dict)  # by net; none: at random
    extras: Extras = field(default_factory=Extras)

    @property
    def learned_from(self) -> list[LabelledPatient]:
        """Whom the shipped nets and the age table were fitted to."""
        return self.splits.training if self.settings.cross_validation.refit else self.splits.without(0)

    @property
    def chosen_on(self) -> list[LabelledPatient]:
        """Whom tau and the weights have seen and the shipped nets have not; nobody where all folds were trained on."""
        return [] if self.settings.cross_validation.refit else list(self.splits.folds[0])
