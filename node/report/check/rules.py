"""Attributes that rules of a PACS match on: what the settings say for the verdict of the report, in every object."""

from collections.abc import Iterable

from node.report.check.identity import plain_text
from node.report.check.reading import ReadDataset
from node.report.check.received import ReceivedReport
from node.report.check.verdict import verdict_word


def rule_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    word = next((verdict_word(one) for kind, one in report.objects if kind == "sr"), "")
    if report.rules is None or not word:
        return
    by_verdict: dict[str, dict[str, str]] = report.rules.model_dump()
    expected = by_verdict[word.replace(" ", "_")]
    for keyword in sorted({keyword for attributes in by_verdict.values() for keyword in attributes}):
        if plain_text(dataset, keyword) != expected.get(keyword, "").strip():
            yield f"{keyword} is not what the settings say for the verdict {word}"
