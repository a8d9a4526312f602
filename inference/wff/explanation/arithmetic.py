"""The arithmetic of a decision as plain numbers: the terms of Eq. 1 per image, the votes, and how ties were broken.

Nothing is decided here: every number comes from `reading` and `fusion`, which decided the case.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from inference.findings import Verdict
from inference.wff.config import FusionConfig
from inference.wff.fusion import Vote, fuse
from inference.wff.networks.batches import SliceBoxes
from inference.wff.reading import ClipReading, PatientReading, SliceReading, read_patient, read_sequence


class TermName(StrEnum):
    """The three voices of Eq. 1."""

    DETECTOR = "detector"  # D: the detector's class on this image
    SEQUENCE = "sequence"  # M: the sequence classifier's word on the clip
    AGE = "age"  # A: the malignant fraction of the age group


@dataclass(frozen=True, slots=True)
class Term:
    name: TermName
    weight: float  # lambda, as set
    value: float | None  # malignant probability; None: not known, the term drops out
    contribution: float  # weight x value / normaliser, 0 where the term is inactive


@dataclass(frozen=True, slots=True)
class ImageArithmetic:
    """Eq. 1 of one voting image."""

    index: int  # place of the slice in its sequence
    terms: tuple[Term, ...]
    normaliser: float  # sum of the active weights
    fused: float  # sum of the contributions
    probability: float  # after the calibration; the same where the model has none
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Count:
    """How voices became a verdict. None voted: there is none, and no mean."""

    malignant: int
    benign: int
    mean: float | None  # malignant probability
    verdict: Verdict | None
    tie: bool  # the mean decided


@dataclass(frozen=True, slots=True)
class SequenceArithmetic:
    slices: int  # of the sequence, with those that do not vote
    images: tuple[ImageArithmetic, ...]
    votes: Count


@dataclass(frozen=True, slots=True)
class Explanation:
    sequences: tuple[SequenceArithmetic, ...]
    votes: Count  # of the sequences that do not abstain
    fusion: FusionConfig


@dataclass(frozen=True, slots=True)
class SequenceEvidence:
    """What the networks said of one sequence, before any threshold."""

    found: Sequence[SliceBoxes]
    clip: ClipReading | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the decision about one patient rests on."""

    sequences: tuple[SequenceEvidence, ...]
    age_probability: float | None
    fusion: FusionConfig

    def read(self) -> PatientReading:
        """Fuse and vote, as in the clinic."""
        return read_patient(
            [read_sequence(one.found, one.clip, self.age_probability, self.fusion) for one in self.sequences]
        )

    def with_age(self, probability: float | None) -> "Evidence":
        return replace(self, age_probability=probability)


def explain(evidence: Evidence) -> Explanation:
    """Every number between the networks' words and the decision."""
    reading = evidence.read()
    sequences = tuple(
        SequenceArithmetic(
            slices=len(said.found),
            images=tuple(_image(slice_, said.clip, evidence) for slice_ in sequence.slices),
            votes=_count([slice_.verdict for slice_ in sequence.slices], sequence.vote),
        )
        for said, sequence in zip(evidence.sequences, reading.sequences, strict=True)
    )
    voices = [sequence.vote.verdict for sequence in reading.sequences if sequence.vote is not None]
    return Explanation(sequences, _count(voices, reading.vote), evidence.fusion)


def _image(slice_: SliceReading, clip: ClipReading | None, evidence: Evidence) -> ImageArithmetic:
    fusion, sequence = evidence.fusion, None if clip is None else clip.probability_malignant
    voices = (
        (TermName.DETECTOR, fusion.lambda_detector, slice_.detector_probability),
        (TermName.SEQUENCE, fusion.lambda_sequence, sequence),
        (TermName.AGE, fusion.lambda_age, evidence.age_probability),
    )
    normaliser = sum(weight for _, weight, value in voices if value is not None)
    return ImageArithmetic(
        index=slice_.index,
        terms=tuple(
            Term(name, weight, value, 0.0 if value is None else weight * value / normaliser)
            for name, weight, value in voices
        ),
        normaliser=normaliser,
        fused=fuse(slice_.detector_probability, sequence, evidence.age_probability, fusion),
        probability=slice_.probability_malignant,
        verdict=slice_.verdict,
    )


def _count(voices: Sequence[Verdict], vote: Vote | None) -> Count:
    malignant = sum(voice is Verdict.MALIGNANT for voice in voices)
    if vote is None:
        return Count(0, 0, None, None, tie=False)
    return Count(malignant, len(voices) - malignant, vote.mean, vote.verdict, vote.tie)
