"""How the two nets were trained, as the rows of a table of the model card: of the settings that were chosen."""

from collections.abc import Iterable

from inference.wff.training.augmentation import NO_GREY_CHANGES, GreyChanges
from inference.wff.training.initial_weights.names import Purpose
from inference.wff.training.report import Made
from inference.wff.training.settings import DetectorTraining, OptimiserSettings, SequenceTraining

_AS_IT_IS = (1.0, 1.0)  # the range of a factor that changes nothing


def training_rows(made: Made) -> list[tuple[str, str, str]]:
    """What, of the detector, of the sequence classifier."""
    detector, sequence = made.chosen.detector, made.chosen.sequence
    return [
        ("length", _length(detector), _length(sequence)),
        ("batch", str(detector.batch), str(sequence.batch)),
        ("optimiser", _optimiser(detector.optimiser), _optimiser(sequence.optimiser)),
        ("schedule", _schedule(detector.optimiser), _schedule(sequence.optimiser)),
        ("first weights", _start(made, Purpose.DETECTOR), _start(made, Purpose.SEQUENCE)),
        (
            "sampling",
            f"classes equally often, {detector.lesion_share:.2f} of the slices with a lesion",
            f"classes equally often, {sequence.random_share:.2f} random slices, else a run",
        ),
        ("augmentation", _listed(_of_slices(detector)), _listed(_of_clips(sequence))),
        ("loss", "of torchvision's Faster R-CNN", _loss(sequence)),
    ]


def _length(part: DetectorTraining | SequenceTraining) -> str:
    return f"{part.steps} steps" if part.steps else f"{part.epochs:g} epochs"


def _optimiser(one: OptimiserSettings) -> str:
    scaled = f" per {one.reference_batch}" if one.reference_batch else ""
    return f"{one.kind}, learning rate {one.learning_rate:g}{scaled}, weight decay {one.weight_decay:g}"


def _schedule(one: OptimiserSettings) -> str:
    return f"{one.schedule}, warm-up {one.warmup_steps} steps, running average {one.average_decay:g}"


def _start(made: Made, purpose: Purpose) -> str:
    weights = made.starting_weights.get(purpose)
    return "random" if weights is None else f"{weights.file}, {weights.architecture}, licence: {weights.licence}"


def _of_slices(detector: DetectorTraining) -> Iterable[str]:
    pasted, moved = detector.self_cut_mix, detector.movement
    if pasted.probability > 0.0:
        yield f"MultiScale-SelfCutMix ({pasted.probability:.2f})"
    if moved.scale != _AS_IT_IS:
        yield f"scale {moved.scale[0]:g} to {moved.scale[1]:g}"
    if moved.shift > 0.0:
        yield f"shift up to {moved.shift:g} of the side"
    if moved.flip_probability > 0.0:
        yield f"flip front to back ({moved.flip_probability:.2f})"
    yield from _grey(detector.grey_values)


def _of_clips(sequence: SequenceTraining) -> Iterable[str]:
    moved = sequence.movement
    if sequence.box_jitter > 0.0:
        yield f"box jitter {sequence.box_jitter:g} of the side"
    if moved.mirror_probability > 0.0:
        yield f"mirror left to right ({moved.mirror_probability:.2f})"
    if moved.flip_probability > 0.0:
        yield f"flip head to foot ({moved.flip_probability:.2f})"
    if moved.turn_degrees > 0.0:
        yield f"turn up to {moved.turn_degrees:g} degrees"
    if moved.stretch > 0.0:
        yield f"stretch up to {moved.stretch:g}"
    if sequence.mixup > 0.0:
        yield f"mixup with Beta({sequence.mixup:g}, {sequence.mixup:g})"
    yield from _grey(sequence.grey_values)


def _grey(changes: GreyChanges) -> Iterable[str]:
    if changes != NO_GREY_CHANGES:
        yield "grey values"


def _loss(sequence: SequenceTraining) -> str:
    benign, malignant = sequence.class_weights
    return f"cross-entropy, classes {benign:g} to {malignant:g}, label smoothing {sequence.label_smoothing:g}"


def _listed(parts: Iterable[str]) -> str:
    return ", ".join(parts) or "none"
