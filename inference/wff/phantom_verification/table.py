"""The findings as a table: Markdown for people, JSON for programs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inference.evaluation.subject import PHANTOM_HEADING
from inference.wff.phantom_verification.findings import Finding, Item, Judgement


def markdown(findings: Sequence[Finding], *, about: str) -> str:
    """`about`: one sentence on what was trained on whom."""
    lines = [
        f"**{PHANTOM_HEADING}**",
        "",
        about,
        "",
        "| item | measured | value (95 % interval) | bound | verdict |",
        "|---|---|---|---|---|",
        *(f"| {one.item} | {_told(one)} | {_value(one)} | {one.bound} | {_verdict(one)} |" for one in findings),
        "",
        _conclusion(findings),
    ]
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[Finding], *, about: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "heading": PHANTOM_HEADING,
        "about": about,
        "holds": all(one.holds for one in findings),
        "findings": [_row(one) for one in findings],
        "recipe": dict(recipe),
    }


def _row(finding: Finding) -> dict[str, Any]:
    """JSON has no word for a number that cannot be told."""
    row = {**asdict(finding), "holds": finding.holds}
    return {**row, "value": finding.value if math.isfinite(finding.value) else None}


def _told(finding: Finding) -> str:
    return f"{finding.what} ({finding.beside})" if finding.beside else finding.what


def _value(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return f"{finding.value:.3f} (no interval)"
    return f"{finding.value:.3f} ({finding.low:.3f} to {finding.high:.3f})"


def _verdict(finding: Finding) -> str:
    return finding.verdict if finding.holds else f"**{finding.verdict}**"


def _conclusion(findings: Sequence[Finding]) -> str:
    """An item holds when all of its findings do; it cannot be told when none of them fails."""
    items = _items(findings)
    failed = _items(one for one in findings if one.verdict is Judgement.FAILS)
    unsure = [item for item in _items(one for one in findings if one.verdict is Judgement.UNSURE) if item not in failed]
    held = len(items) - len(failed) - len(unsure)
    if held == len(items):
        return f"All {held} items hold."
    told = f"{held} of {len(items)} items hold."
    told += f" Not: {', '.join(failed)}." if failed else ""
    return told + (f" Cannot tell: {', '.join(unsure)}." if unsure else "")


def _items(findings: Iterable[Finding]) -> list[Item]:
    return list(dict.fromkeys(one.item for one in findings))
