"""The demo's result for a person: tables on the terminal, pictures and JSON in the output folder."""

import json
from pathlib import Path
from typing import Any, Final

import pydicom
from PIL import Image
from rich.console import Console
from rich.table import Table

from inference.findings import Findings, SequenceVote, Status
from inference.findings_json import to_json
from node.demo.outcome import CaseOutcome
from node.report.wording import RESEARCH_USE

_SUMS: Final = ("engine", "attempt")  # of other stages; shown they would be counted twice


def write_pictures(outcome: CaseOutcome, folder: Path) -> list[Path]:
    """PNG copies of the Secondary Captures that the archive received, summary first."""
    folder.mkdir(parents=True, exist_ok=True)
    captures = [o for kind in ("summary", "overlay") for o in outcome.objects if o.kind == kind]
    written = []
    for number, captured in enumerate(captures):
        path = folder / f"case-{outcome.case_id}-{captured.kind}-{number:02d}.png"
        Image.fromarray(pydicom.dcmread(captured.path).pixel_array).save(path)
        written.append(path)
    return written


def as_data(outcome: CaseOutcome, pictures: list[Path]) -> dict[str, Any]:
    return {
        "case": outcome.case_id,
        "state": outcome.state,
        "reason": outcome.reason,
        "findings": None if outcome.findings is None else to_json(outcome.findings),
        "stages_s": outcome.stages_s,
        "objects": [{"kind": o.kind, "path": str(o.path)} for o in outcome.objects],
        "pictures": [str(path) for path in pictures],
    }


def write_json(outcomes: list[dict[str, Any]], path: Path) -> None:
    path.write_text(json.dumps(outcomes, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def show(outcome: CaseOutcome, pictures: list[Path], console: Console) -> None:
    console.print()
    findings = outcome.findings
    if findings is None:
        console.print(f"[bold]Case {outcome.case_id}[/]: {outcome.state}, {outcome.reason}")
        return
    console.print(f"[bold]Case {outcome.case_id}[/] ({outcome.state}): {_headline(findings)}")
    console.print(_series_table(outcome, findings))
    console.print(_timing_table(outcome, findings))
    console.print(_paths_table(outcome, pictures))
    bundle = findings.bundle
    console.print(f"Model: {bundle.name} {bundle.version}, sha256 {bundle.sha256[:12]}. {bundle.trained_on}")
    console.print(f"Worth: {bundle.validated_on}")
    console.print(f"[bold]{RESEARCH_USE}[/]" + (" Synthetic phantom, no clinical meaning." * bundle.phantom_trained))


def _headline(findings: Findings) -> str:
    if findings.status is Status.NOT_ANALYSED:
        return f"not analysed: {findings.detail or findings.reason}"
    if findings.decision is None:
        return "no lesion detected"
    decision = findings.decision
    tie = ", tie broken by the mean probability" if decision.tie else ""
    return f"{decision.verdict}, malignant probability {decision.probability_malignant:.2f}{tie}"


def _series_table(outcome: CaseOutcome, findings: Findings) -> Table:
    table = Table("series", "images", "role", "votes (malignant)", "P malignant", title="Series", title_justify="left")
    votes = {vote.series_instance_uid: vote for vote in findings.sequences}
    for used in findings.series_used:
        vote = votes.get(used.series_instance_uid)
        table.add_row(
            outcome.descriptions.get(used.series_instance_uid, ""),
            str(len(used.images)),
            f"used as {used.kind} ({used.kind_evidence})",
            *_vote_cells(vote),
        )
    for left in findings.series_left_out:
        table.add_row(
            outcome.descriptions.get(left.series_instance_uid, ""),
            str(left.instance_count),
            f"left out, {left.reason}: {left.detail}",
            "",
            "",
        )
    return table


def _vote_cells(vote: SequenceVote | None) -> tuple[str, str]:
    if vote is None or vote.verdict is None:
        return "abstains", ""
    malignant = sum(v.verdict.value == "malignant" for v in vote.votes)
    return f"{len(vote.votes)} ({malignant}) -> {vote.verdict}", f"{vote.mean_probability:.2f}"


def _timing_table(outcome: CaseOutcome, findings: Findings) -> Table:
    table = Table("stage", "seconds", title="From the last instance to the delivered result", title_justify="left")
    for name, seconds in outcome.stages_s.items():
        table.add_row(name, f"{seconds:.2f}")
        if name == "analyse and report":
            for stage, stage_seconds in findings.timings_s.items():
                if stage not in _SUMS:
                    table.add_row(f"  of it: {stage}", f"{stage_seconds:.2f}")
    table.add_row("[bold]all[/]", f"[bold]{sum(outcome.stages_s.values()):.2f}[/]")
    return table


def _paths_table(outcome: CaseOutcome, pictures: list[Path]) -> Table:
    table = Table("object", "path", title="What the archive received, and PNG copies", title_justify="left")
    for archived in outcome.objects:
        table.add_row(archived.kind, str(archived.path))
    for picture in pictures:
        table.add_row("PNG", str(picture))
    return table
