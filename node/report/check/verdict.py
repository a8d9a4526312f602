"""The verdict of a structured report: every place that states it states the same."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from config import codes
from node.report.check.boxes import MEASUREMENT_GROUP
from node.report.check.content import answers, key
from node.report.check.reading import NOTHING, ReadDataset, code, named, text
from node.report.check.received import ReceivedReport
from node.report.check.words import PROBABILITY, headline, numbers_told


@dataclass(frozen=True, slots=True)
class _Verdict:
    headline: str  # in the impression
    word: str  # in the series description
    has_boxes: bool
    run: frozenset[str]  # code values of the run summary, CID 6047


_WITH: Final = frozenset({codes.ALL_SUCCEEDED_WITH_FINDINGS.value, codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS.value})
_WITHOUT: Final = frozenset(
    {codes.ALL_SUCCEEDED_WITHOUT_FINDINGS.value, codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS.value}
)
_VERDICTS: Final[dict[tuple[str, str], _Verdict]] = {
    key(codes.BENIGN): _Verdict("BENIGN", "benign", has_boxes=True, run=_WITH),
    key(codes.MALIGNANT): _Verdict("MALIGNANT", "malignant", has_boxes=True, run=_WITH),
    key(codes.NO_LESION_DETECTED): _Verdict("NO LESION DETECTED", "no lesion", has_boxes=False, run=_WITHOUT),
    key(codes.NOT_ANALYSED): _Verdict(
        "NOT ANALYSED", "not analysed", has_boxes=False, run=frozenset({codes.NONE_SUCCEEDED.value})
    ),
}
_CLASS: Final = {key(codes.BENIGN): "benign", key(codes.MALIGNANT): "malignant"}
_LONGEST_DESCRIPTION: Final = 64  # VR LO: a longer one is cut, perhaps inside the word


def verdict_faults(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    container = next(iter(named(dataset, key(codes.QUALITATIVE_EVALUATIONS))), NOTHING)
    said = answers(container)
    verdict = _VERDICTS.get(_value(said, codes.OVERALL_ASSESSMENT))
    if verdict is None:
        yield "states no verdict"
        return
    if headline(text(said.get(key(codes.IMPRESSION), NOTHING), "TextValue")) != verdict.headline:
        yield f"its impression does not say {verdict.headline}"
    if _value(said, codes.RUN_SUMMARY)[0] not in verdict.run:
        yield f"its run summary does not fit the verdict {verdict.word}"
    if bool(named(dataset, MEASUREMENT_GROUP)) is not verdict.has_boxes:
        yield f"its boxes do not fit the verdict {verdict.word}"
    complete = "PARTIAL" if verdict.word == "not analysed" else "COMPLETE"
    if text(dataset, "CompletionFlag") != complete:
        yield f"its Completion Flag is not {complete}"
    if (verdict.word == "not analysed") is not (key(codes.REASON_NOT_ANALYSED) in said):
        yield f"its reason does not fit the verdict {verdict.word}"


def verdict_word(dataset: ReadDataset) -> str:
    """The verdict of a structured report as series descriptions name it; empty when it states none."""
    assessments = [code(item, "ConceptCodeSequence")[:2] for item in named(dataset, key(codes.OVERALL_ASSESSMENT))]
    return next((_VERDICTS[one].word for one in assessments if one in _VERDICTS), "")


def said_class(group: ReadDataset, concept: codes.Code) -> str:
    """The class that a measurement group answers a concept with, as texts name it; empty when it answers none."""
    found = [_CLASS.get(code(item, "ConceptCodeSequence")[:2], "") for item in named(group, key(concept))]
    return next(iter(found), "")


def summary_faults(words: str, report: ReceivedReport) -> Iterable[str]:
    """Of a text that sums the report up: it says what the impression of the structured report says."""
    for kind, document in report.objects:
        impressions = named(document, key(codes.IMPRESSION)) if kind == "sr" else []
        for impression in impressions[:1]:  # those of the sequences follow
            said = text(impression, "TextValue")
            if headline(words) != headline(said):
                yield "its text names another verdict than the structured report"
            if numbers_told(words, PROBABILITY) not in (None, numbers_told(said, PROBABILITY)):
                yield "its text names another probability than the structured report"


def contradicts(description: str, word: str) -> bool:
    """Whether a series description names one verdict, and that another one.

    A site may leave the verdict out, and may use the words for something else ("benign or malignant").
    """
    said = {one.word for one in _VERDICTS.values() if re.search(rf"\b{one.word}\b", description)}
    return len(said) == 1 and word not in said and len(description) < _LONGEST_DESCRIPTION


def _value(said: dict[tuple[str, str], ReadDataset], concept: codes.Code) -> tuple[str, str]:
    return code(said.get(key(concept), NOTHING), "ConceptCodeSequence")[:2]
