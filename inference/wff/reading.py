"""From detections and clip probabilities to votes: the part of the inference that needs no network.

Kept apart from the nets so that tau and the weights can be chosen on stored detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.findings import Box, Verdict, verdict_of
from inference.wff.config import FusionConfig
from inference.wff.fusion import Vote, calibrated, detector_probability, fuse, vote_of_images, vote_of_sequences

_SAME_LESION_IOU = 0.5  # boxes of both classes that overlap more are one lesion seen twice


@dataclass(frozen=True, slots=True)
class DetectedBox:
    """In pixels of the image; `score` of `verdict` in 0..1."""

    box: Box
    verdict: Verdict
    score: float


@dataclass(frozen=True, slots=True)
class ClipReading:
    """What the sequence classifier saw and said."""

    region: Box  # whole pixels, the same on every slice
    slices: tuple[int, ...]
    probability_malignant: float


@dataclass(frozen=True, slots=True)
class SliceReading:
    index: int  # place of the slice in the sequence
    detector_probability: float  # D
    probability_malignant: float  # P, fused and calibrated
    verdict: Verdict
    lesions: tuple[DetectedBox, ...]


@dataclass(frozen=True, slots=True)
class SequenceReading:
    """`vote` is None when the sequence abstains: no slice of it voted."""

    slices: tuple[SliceReading, ...]
    clip: ClipReading | None
    vote: Vote | None


@dataclass(frozen=True, slots=True)
class PatientReading:
    sequences: tuple[SequenceReading, ...]
    vote: Vote | None  # None: no lesion detected
    vote_fraction_malignant: float | None  # malignant slice votes / slice votes


Slice = Sequence[DetectedBox]  # all boxes of one slice, best first


def voting_slices(found: Sequence[Slice], tau: float) -> list[int]:
    """Slices whose best detection scores at least tau, in order."""
    return [index for index, boxes in enumerate(found) if any(b.score >= tau for b in boxes)]


def largest_box(found: Sequence[Slice], tau: float) -> tuple[int, DetectedBox] | None:
    """Slice and box of the largest area among those with score >= tau; of equal areas the better score, then the
    earlier slice."""
    candidates = [(index, b) for index, boxes in enumerate(found) for b in boxes if b.score >= tau]
    return max(candidates, key=lambda c: (c[1].box.area, c[1].score, -c[0]), default=None)


def lesions_of(boxes: Slice, tau: float) -> tuple[DetectedBox, ...]:
    """Boxes with score >= tau; where a benign and a malignant box cover one place, the better score stays."""
    kept: list[DetectedBox] = []
    for candidate in sorted((b for b in boxes if b.score >= tau), key=lambda b: -b.score):
        if all(candidate.box.overlap(other.box) < _SAME_LESION_IOU for other in kept):
            kept.append(candidate)
    return tuple(kept)


def read_sequence(
    found: Sequence[Slice], clip: ClipReading | None, age_probability: float | None, fusion: FusionConfig
) -> SequenceReading:
    """Eq. 1 and its calibration for each voting slice, then the majority. Slices that do not vote abstain."""
    sequence_probability = None if clip is None else clip.probability_malignant
    slices = []
    for index in voting_slices(found, fusion.tau):
        d = detector_probability(
            _best(found[index], Verdict.BENIGN),
            _best(found[index], Verdict.MALIGNANT),
        )
        p = calibrated(fuse(d, sequence_probability, age_probability, fusion), fusion)
        slices.append(SliceReading(index, d, p, verdict_of(p), lesions_of(found[index], fusion.tau)))
    return SequenceReading(tuple(slices), clip, vote_of_images([s.probability_malignant for s in slices]))


def read_patient(sequences: Sequence[SequenceReading]) -> PatientReading:
    slices = [s for sequence in sequences for s in sequence.slices]
    vote = vote_of_sequences([s.vote for s in sequences if s.vote is not None])
    fraction = sum(s.verdict is Verdict.MALIGNANT for s in slices) / len(slices) if slices else None
    return PatientReading(tuple(sequences), vote, fraction)


def _best(boxes: Slice, verdict: Verdict) -> float:
    return max((b.score for b in boxes if b.verdict is verdict), default=0.0)
