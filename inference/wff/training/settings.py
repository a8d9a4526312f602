"""What a training is asked to do, as frozen values; each key carries the comment that `--print-config` shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from inference.runtime import Device
from inference.wff.config import DetectorConfig, Norm, SequenceConfig, WffConfig
from inference.wff.training.augmentation import ClipMovement, FieldOfView, GreyChanges, Movement
from inference.wff.training.self_cut_mix import SelfCutMix
from inference.wff.training.tables import key, overridden

_LARGEST_BATCH: Final = 65_536
_MOST_STEPS: Final = 10**9
_MOST_EPOCHS: Final = 1e6
# stands in reports, in file names that people make of it, and in DICOM attributes of 64 characters
_BUNDLE_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


class Preset(StrEnum):
    PAPER = "paper"
    DEMO = "demo"
    MICRO = "micro"


class OptimiserKind(StrEnum):
    SGD = "sgd"
    ADAMW = "adamw"


class Schedule(StrEnum):
    STEPS = "steps"
    COSINE = "cosine"


class Precision(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSettings:
    kind: OptimiserKind = key(OptimiserKind.SGD, "sgd or adamw")
    learning_rate: float = key(0.02, "for a step of `reference_batch` images", least=0.0, most=1000.0)
    reference_batch: int = key(
        16, "the rate grows in proportion to the batch; 0: it is taken as it is", least=0, most=_LARGEST_BATCH
    )
    momentum: float = key(0.9, "of sgd", least=0.0, most=1.0)
    weight_decay: float = key(1e-4, "per step, times the learning rate", least=0.0, most=1000.0)
    schedule: Schedule = key(Schedule.STEPS, "steps: times `decay_factor` at `decay_at`; cosine: half a cosine to 0")
    decay_at: tuple[float, ...] = key(
        (8 / 12, 11 / 12), "shares of the training: epochs 8 and 11 of 12", least=0.0, most=1.0
    )
    decay_factor: float = key(0.1, "of the schedule `steps`", least=0.0, most=1.0)
    warmup_steps: int = key(500, "linear warm-up; at most a third of the training", least=0, most=_MOST_STEPS)
    warmup_start: float = key(0.001, "share of the learning rate that the warm-up begins with", least=0.0, most=1.0)
    clip_norm: float = key(35.0, "longest gradient over all parameters", least=1e-6, most=1e9)
    average_decay: float = key(0.998, "of the running average of the weights, which is what is kept", least=0.0, most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorTraining:
    epochs: float = key(
        12.0, "one epoch draws as many slices as the training part has labelled ones", least=0.0, most=_MOST_EPOCHS
    )
    steps: int = key(0, "above 0: this many steps instead of epochs", least=0, most=_MOST_STEPS)
    batch: int = key(16, "slices per step, over all devices", least=1, most=_LARGEST_BATCH)
    lesion_share: float = key(0.75, "of the slices drawn; the rest shows no labelled lesion", least=0.0, most=1.0)
    initial_weights: str = key(
        "", "from `spinenode weights convert`: batch norm with its statistics, first stage frozen"
    )
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    self_cut_mix: SelfCutMix = field(default_factory=SelfCutMix)
    field_of_view: FieldOfView = field(default_factory=FieldOfView)
    movement: Movement = field(default_factory=Movement)
    grey_values: GreyChanges = field(default_factory=GreyChanges)


_SEQUENCE_OPTIMISER: Final = OptimiserSettings(learning_rate=0.01, schedule=Schedule.COSINE, warmup_steps=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTraining:
    epochs: float = key(
        20.0, "one epoch draws as many clips as the training part has labelled sequences", least=0.0, most=_MOST_EPOCHS
    )
    steps: int = key(0, "above 0: this many steps instead of epochs", least=0, most=_MOST_STEPS)
    batch: int = key(16, "clips per step, over all devices", least=1, most=_LARGEST_BATCH)
    random_share: float = key(0.5, "of the clips: random tumour slices; the rest a consecutive run", least=0, most=1)
    class_weights: tuple[float, ...] = key(
        (0.5, 0.5),
        "benign, malignant, of the loss; clips are drawn class-balanced: equal ones are neutral",
        least=0.0,
        most=1000.0,
    )
    box_jitter: float = key(
        0.12, "of the side of a box: a detector's box is not the labelled one", least=0.0, most=10.0
    )
    label_smoothing: float = key(0.05, "keeps the probabilities off 0 and 1", least=0.0, most=0.5)
    mixup: float = key(
        0.0,
        "above 0: clips are blended in pairs, labels too; the share is drawn from Beta(mixup, mixup)",
        least=0.0,
        most=1000.0,
    )
    initial_weights: str = key(
        "", "from `spinenode weights convert`: batch norm with its statistics, first stage frozen"
    )
    optimiser: OptimiserSettings = _SEQUENCE_OPTIMISER
    movement: ClipMovement = field(default_factory=ClipMovement)
    grey_values: GreyChanges = field(default_factory=GreyChanges)

    def __post_init__(self) -> None:
        if len(self.class_weights) != 2 or sum(self.class_weights) <= 0.0:
            raise ValueError(f"class_weights is {list(self.class_weights)}, expected two numbers: benign, malignant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Overrides of settings that cross-validation compares; the first has none unless the file says so."""

    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidation:
    folds: int = key(4, "parts of the training patients, each once left out (the paper: 4)", least=2, most=100)
    refit: bool = key(
        True,
        "train once more on all folds; false: the first fold alone is left out, and the nets trained without it are "
        "the bundle's: one training instead of `folds` + 1",
    )
    held_out: float = key(
        0.24, "share of the patients of each class that is only evaluated on, once", least=0.01, most=0.9
    )
    held_out_sites: tuple[str, ...] = key(
        (), "these sites are held out whole instead, so that what is measured is of scanners never trained on"
    )
    split_file: str = key("", "splits.json of a run on this data set, or one of the same form; held_out, folds are its")
    candidates: tuple[Candidate, ...] = key(
        (Candidate(),),
        "tables of overrides to choose from, as { detector = { optimiser = { learning_rate = 0.01 } } }",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeSettings:
    device: Device = key(Device.AUTO, "auto: a GPU when there is one")
    devices: int = key(
        1, "GPUs, or processes of one thread each on the CPU; a batch must be a multiple of it", least=1, most=256
    )
    precision: Precision = key(Precision.FP32, "bf16 and fp16 on the networks' large layers; fp16 needs a GPU")
    channels_last: bool = key(False, "memory order of images; faster on GPUs with bf16 and fp16")
    loader_threads: int = key(
        0, "threads that draw the next batch meanwhile; 0: none. On a GPU 4 to 8", least=0, most=256
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Sizes of the two nets; the preset's where nothing is said."""

    detector: DetectorConfig = field(default_factory=DetectorConfig)
    sequence: SequenceConfig = field(default_factory=SequenceConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSettings:
    name: str = key("wff", "of the bundle, in reports and logs")
    version: str = key("1.0.0", "of the bundle")
    license_file: str = key("", "text to ship as LICENSE; without it the bundle says that its maker grants nothing")

    def __post_init__(self) -> None:
        for name in ("name", "version"):
            if not _BUNDLE_WORD.fullmatch(getattr(self, name)):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, expected 1 to 64 letters, digits, dots, dashes, plus signs "
                    "and underscores, the first a letter or digit"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    preset: Preset = key(Preset.PAPER, "paper, demo or micro: the default of every other key")
    seed: int = key(1, "of splits, first weights, batches and bootstrap", least=0, most=2**32 - 1)
    checkpoint_every: int = key(200, "steps; what a killed run repeats at most", least=1, most=_MOST_STEPS)
    log_every: int = key(20, "steps between two lines of metrics.jsonl", least=1, most=_MOST_STEPS)
    bundle: BundleSettings = field(default_factory=BundleSettings)
    compute: ComputeSettings = field(default_factory=ComputeSettings)
    cross_validation: CrossValidation = field(default_factory=CrossValidation)
    detector: DetectorTraining = field(default_factory=DetectorTraining)
    sequence: SequenceTraining = field(default_factory=SequenceTraining)
    architecture: Architecture = field(default_factory=Architecture)

    def __post_init__(self) -> None:
        for net, batch in (("detector", self.detector.batch), ("sequence", self.sequence.batch)):
            if batch % self.compute.devices:
                raise ValueError(
                    f"{net}.batch is {batch} and compute.devices {self.compute.devices}, expected a multiple of the "
                    "devices"
                )

    @property
    def config(self) -> WffConfig:
        """The architecture with which bundles are made; weights to start from bring batch norm with them."""
        detector, sequence = self.architecture.detector, self.architecture.sequence
        if self.detector.initial_weights:
            detector = replace(detector, backbone=replace(detector.backbone, norm=Norm.BATCH))
        if self.sequence.initial_weights:
            sequence = replace(sequence, norm=Norm.BATCH)
        return WffConfig(detector=detector, sequence=sequence)

    def with_candidate(self, candidate: Candidate, where: str = "candidate") -> "TrainingSettings":
        """These settings with the overrides of a candidate. Raises SettingsError naming the key."""
        return overridden(self, candidate.overrides, where)
