"""The findings as a table: Markdown for people, JSON for programs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from inference.evaluation.subject import PHANTOM_HEADING
from inference.wff.phantom_verification.findings import Finding


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
    row = {**asdict(finding), "verdict": finding.verdict}
    return {**row, "value": finding.value if math.isfinite(finding.value) else None}


def _told(finding: Finding) -> str:
    return f"{finding.what} ({finding.beside})" if finding.beside else finding.what


def _value(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return f"{finding.value:.3f}"
    return f"{finding.value:.3f} ({finding.low:.3f} to {finding.high:.3f})"


def _verdict(finding: Finding) -> str:
    return finding.verdict if finding.holds else f"**{finding.verdict}**"


def _conclusion(findings: Sequence[Finding]) -> str:
    items = list(dict.fromkeys(one.item for one in findings))
    failed = [item for item in items if not all(one.holds for one in findings if one.item is item)]
    if not failed:
        return f"All {len(items)} items hold."
    return f"{len(items) - len(failed)} of {len(items)} items hold. Not: {', '.join(failed)}."
