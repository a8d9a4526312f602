"""From detections and clip probabilities to votes: the part of the inference that needs no network.

Kept apart from the nets so that tau and the weights can be chosen on stored detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inference.findings import Box, Verdict, verdict_of
from inference.wff.config import FusionConfig
from inference.wff.fusion import Vote, calibrated, detector_probability, fuse, vote_of_images, vote_of_sequences

_SAME_LESION_IOU = 0.5  # boxes of both classes that overlap more are one lesion seen twice


@dataclass(frozen=True, slots=True)
class DetectedBox:
    """In pixels of the image; `score` of `verdict` in 0..1. Of a lesion (`lesions_of`): of both classes together."""

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
    """Slices with a lesion that scores at least tau, in order."""
    return [index for index, boxes in enumerate(found) if lesions_of(boxes, tau)]


def largest_box(found: Sequence[Slice], tau: float) -> tuple[int, DetectedBox] | None:
    """Slice and box of the largest area among the lesions with score >= tau; of equal areas the better score, then the
    earlier slice."""
    candidates = [(index, b) for index, boxes in enumerate(found) for b in lesions_of(boxes, tau)]
    return max(candidates, key=lambda c: (c[1].box.area, c[1].score, -c[0]), default=None)


def lesions_of(boxes: Slice, tau: float) -> tuple[DetectedBox, ...]:
    """One box per place with the class that scores best there, best first; those with a score of tau or more.

    The score is that of a lesion, whichever its class: of the benign and the malignant box that cover the place, both
    together. The detector's softmax deals one probability out to the classes, so that a lesion that is surely there, of
    a class that is hard to tell, scores about .5 in each (docs/decisions/0008-lesion-score.md). A box that covers two
    places belongs to the better one alone.
    """
    kept: list[DetectedBox] = []
    others: list[float] = []  # best score of the other class at the same place, not above that of the kept one
    for box in sorted(boxes, key=lambda b: -b.score):
        covers = (n for n, one in enumerate(kept) if one.box.overlap(box.box) >= _SAME_LESION_IOU)
        place = next(covers, None)
        if place is None:
            if of_either(box.score, box.score) >= tau:  # else no box that is left can lift it there
                kept.append(box)
                others.append(0.0)
        elif kept[place].verdict is not box.verdict:
            others[place] = max(others[place], box.score)
    lesions = [replace(one, score=of_either(one.score, other)) for one, other in zip(kept, others, strict=True)]
    return tuple(sorted((one for one in lesions if one.score >= tau), key=lambda one: -one.score))


def of_either(one: float, other: float) -> float:
    """1 - (1 - one)(1 - other): not below either, and never above 1. A choice of ours."""
    return one + (1.0 - one) * other


def read_sequence(
    found: Sequence[Slice], clip: ClipReading | None, age_probability: float | None, fusion: FusionConfig
) -> SequenceReading:
    """Eq. 1 and its calibration for each voting slice, then the majority. Slices that do not vote abstain."""
    sequence_probability = None if clip is None else clip.probability_malignant
    slices = []
    for index, boxes in enumerate(found):
        lesions = lesions_of(boxes, fusion.tau)
        if not lesions:
            continue
        d = detector_probability(_best(boxes, Verdict.BENIGN), _best(boxes, Verdict.MALIGNANT))
        p = calibrated(fuse(d, sequence_probability, age_probability, fusion), fusion)
        slices.append(SliceReading(index, d, p, verdict_of(p), lesions))
    return SequenceReading(tuple(slices), clip, vote_of_images([s.probability_malignant for s in slices]))


def read_patient(sequences: Sequence[SequenceReading]) -> PatientReading:
    slices = [s for sequence in sequences for s in sequence.slices]
    vote = vote_of_sequences([s.vote for s in sequences if s.vote is not None])
    fraction = sum(s.verdict is Verdict.MALIGNANT for s in slices) / len(slices) if slices else None
    return PatientReading(tuple(sequences), vote, fraction)


def _best(boxes: Slice, verdict: Verdict) -> float:
    return max((b.score for b in boxes if b.verdict is verdict), default=0.0)
