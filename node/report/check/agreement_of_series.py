"""Series in the structured report against the findings: those used, those left out, and how each sequence voted."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from config import codes
from inference.findings import Findings, SequenceVote, SeriesLeftOut, SeriesUsed, Verdict
from node.report.check.answers import CLASS, REASON, WEIGHTING, Answer, answer_faults, outcome
from node.report.check.content import answers, key
from node.report.check.reading import NOTHING, Name, ReadDataset, named, text
from node.report.check.words import PROBABILITY, classes_named, tells

OfSeries = TypeVar("OfSeries", SequenceVote, SeriesUsed, SeriesLeftOut)
Said = dict[Name, ReadDataset]

_VOTES: Final = re.compile(r"(\d+) of (\d+) images? vote, (\d+) malignant")
_CLASSIFIER: Final = re.compile(r"Sequence classifier ([\d.]+) %")


def series_agreement_faults(dataset: ReadDataset, findings: Findings) -> Iterable[str]:
    yield from _compared(dataset, codes.SEQUENCE_RESULT, findings.sequences, _vote)
    yield from _compared(dataset, codes.SERIES_USED, findings.series_used, _used)
    yield from _compared(dataset, codes.SERIES_LEFT_OUT, findings.series_left_out, _left_out)


def _compared(
    dataset: ReadDataset,
    container: codes.Code,
    expected: Sequence[OfSeries],
    faults_of: Callable[[Said, OfSeries], Iterable[str]],
) -> Iterable[str]:
    """One container per series, in the order of the findings."""
    told = [answers(item) for item in named(dataset, key(container))]
    if [_series(said) for said in told] != [one.series_instance_uid.strip("\0 ") for one in expected]:
        yield f"names other series than the findings as: {container.meaning}"
        return
    for said, one in zip(told, expected, strict=True):
        for fault in faults_of(said, one):
            yield f"{container.meaning}: {one.series_instance_uid or 'series without UID'} {fault}"


def _series(said: Said) -> str:
    return text(said.get(key(codes.SERIES_INSTANCE_UID), NOTHING), "UID")


def _vote(said: Said, vote: SequenceVote) -> Iterable[str]:
    expected: tuple[tuple[codes.Code, Answer], ...] = (
        (codes.WEIGHTING, WEIGHTING[vote.kind]),
        (codes.ASSESSMENT_CATEGORY, CLASS[vote.verdict] if vote.verdict else codes.INDETERMINATE),
        (codes.VOTE_OUTCOME, outcome(tie=vote.tie) if vote.verdict else codes.ABSTAINED),
        (codes.IMAGE_COUNT, vote.image_count),
        (codes.VOTING_IMAGE_COUNT, len(vote.votes)),
        (codes.MALIGNANT_VOTE_COUNT, _malignant(vote)),
        (codes.PROBABILITY_OF_CANCER, _percent(vote.mean_probability)),
        (codes.CLASSIFIER_PROBABILITY, _percent(vote.classifier_probability)),
    )
    yield from answer_faults(said, expected)
    if not all(_impression(text(said.get(key(codes.IMPRESSION), NOTHING), "TextValue"), vote)):
        yield "is summed up otherwise in its impression"


def _impression(words: str, vote: SequenceVote) -> Iterable[bool]:
    """Whether the text on a sequence says what its votes say."""
    if vote.verdict is None:
        yield not classes_named(words)
        return
    yield classes_named(words)[:1] == [vote.verdict.value]
    yield tells(words, _VOTES, len(vote.votes), vote.image_count, _malignant(vote))
    if vote.mean_probability is not None:
        yield tells(words, PROBABILITY, 100 * vote.mean_probability)
    if vote.classifier_probability is not None:
        yield tells(words, _CLASSIFIER, 100 * vote.classifier_probability)


def _used(said: Said, series: SeriesUsed) -> Iterable[str]:
    yield from answer_faults(said, ((codes.WEIGHTING, WEIGHTING[series.kind]), (codes.IMAGE_COUNT, len(series.images))))


def _left_out(said: Said, series: SeriesLeftOut) -> Iterable[str]:
    yield from answer_faults(
        said, ((codes.REASON_LEFT_OUT, REASON[series.reason]), (codes.INSTANCE_COUNT, series.instance_count))
    )


def _malignant(vote: SequenceVote) -> int:
    return sum(one.verdict is Verdict.MALIGNANT for one in vote.votes)


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
