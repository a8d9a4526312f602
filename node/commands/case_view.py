"""A case as data and as tables. No patient data: a case is known by its number and its UIDs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from inference.findings import Findings, SequenceVote, Status
from inference.findings_json import from_json
from node.commands.output import show_table, show_text
from node.doubts import contradictions
from storage import cases
from storage.schema import CaseRow, CaseState, DeliveryRow, InstanceRow, Placement, ReportObjectRow


def summary(session: Session, case: CaseRow) -> dict[str, Any]:
    """One line of the list."""
    in_case = InstanceRow.case_id == case.id, InstanceRow.placement == Placement.IN_CASE.value
    findings = _findings(session, case)
    return {
        "id": case.id,
        "state": case.state,
        "state_since": case.state_since,
        "reason": case.reason,
        "route": case.route,
        "revision": case.revision,
        "attempts": case.attempts,
        "instances": session.scalar(select(func.count()).where(*in_case)),
        "created_at": case.created_at,
        "last_instance_at": case.last_instance_at,
        "status": None if findings is None else findings.status.value,
        "answer": "" if findings is None else answer(findings),
    }


def details(session: Session, case: CaseRow) -> dict[str, Any]:
    """Everything that is known of one case; `findings` in the form of inference.findings_json."""
    result = cases.result(session, case.id, case.revision)
    history = cases.history(session, case.id)
    return {
        **summary(session, case),
        "conflicts": sorted(contradictions(session, case)) if case.state == CaseState.HELD.value else [],
        "history": [
            {
                "at": step.at,
                "event": step.event,
                "from": step.from_state,
                "to": step.to_state,
                "revision": step.revision,
                "attempt": step.attempt,
                "reason": step.reason,
            }
            for step in history
        ],
        "findings": None if result is None else result.findings,
        "report_objects": [_object(session, row) for row in _objects(session, case)],
    }


def answer(findings: Findings) -> str:
    """The result in a few words."""
    if findings.status is Status.NOT_ANALYSED:
        return f"not analysed: {findings.reason}" if findings.reason else "not analysed"
    if findings.decision is None:
        return findings.status.value.replace("_", " ")
    return f"{findings.decision.verdict}, P malignant {findings.decision.probability_malignant:.2f}"


def print_details(data: Mapping[str, Any]) -> None:
    show_text(
        f"Case {data['id']}: {data['state']}, {data['reason']}"
        if data["reason"]
        else f"Case {data['id']}: {data['state']}"
    )
    show_text(f"revision {data['revision']}, {data['instances']} images, route {data['route']}")
    for conflict in data["conflicts"]:
        show_text(f"conflict: {conflict}")
    if data["findings"] is not None:
        _print_findings(from_json(data["findings"]))
    history = (
        [step[key] for key in ("at", "event", "to", "revision", "attempt", "reason")] for step in data["history"]
    )
    show_table("History", ("at", "event", "state", "revision", "attempt", "reason"), history)
    if data["report_objects"]:
        objects = ((one["kind"], one["file"], ", ".join(one["deliveries"])) for one in data["report_objects"])
        show_table("Report objects", ("kind", "file in data_dir", "deliveries"), objects)


def _print_findings(findings: Findings) -> None:
    show_text(f"answer: {answer(findings)}" + (f" ({findings.detail})" if findings.detail else ""))
    votes = {vote.series_instance_uid: vote for vote in findings.sequences}
    used = [
        (
            one.kind.value,
            len(one.images),
            one.kind_evidence,
            *_vote(votes.get(one.series_instance_uid)),
            one.series_instance_uid,
        )
        for one in findings.series_used
    ]
    if used:
        columns = ("kind", "images", "evidence", "votes", "P malignant", "verdict", "series")
        show_table("Series used", columns, used)
    left = [
        (one.reason.value, one.instance_count, one.detail, one.series_instance_uid) for one in findings.series_left_out
    ]
    if left:
        show_table("Series left out", ("reason", "images", "detail", "series"), left)
    if findings.timings_s:
        show_table("Seconds", ("stage", "s"), ((stage, f"{s:.3f}") for stage, s in findings.timings_s.items()))
    bundle = findings.bundle
    show_text(f"model: {bundle.name} {bundle.version}, sha256 {bundle.sha256[:12]}; trained on {bundle.trained_on}")


def _vote(vote: SequenceVote | None) -> tuple[str, str, str]:
    if vote is None or vote.verdict is None or vote.mean_probability is None:
        return "0", "", "abstains"
    tie = " (tie)" if vote.tie else ""
    return str(len(vote.votes)), f"{vote.mean_probability:.2f}", f"{vote.verdict.value}{tie}"


def _findings(session: Session, case: CaseRow) -> Findings | None:
    result = cases.result(session, case.id, case.revision)
    return None if result is None else from_json(result.findings)


def _objects(session: Session, case: CaseRow) -> list[ReportObjectRow]:
    of_case = select(ReportObjectRow).where(ReportObjectRow.case_id == case.id)
    return list(session.scalars(of_case.order_by(ReportObjectRow.id)))


def _object(session: Session, row: ReportObjectRow) -> dict[str, Any]:
    deliveries = session.scalars(select(DeliveryRow).where(DeliveryRow.report_object_id == row.id))
    return {
        "kind": row.kind,
        "revision": row.revision,
        "sop_instance_uid": row.sop_instance_uid,
        "study_instance_uid": row.study_instance_uid,
        "file": row.file,
        "deliveries": [f"{one.destination}: {one.state}" for one in deliveries],
    }
