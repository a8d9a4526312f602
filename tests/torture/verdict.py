"""What must hold when all is quiet after a fault, read from the node's database and files and from the archive."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from pydicom.uid import Comprehensive3DSRStorage
from sqlalchemy import select
from sqlalchemy.orm import Session

from storage.database import Database
from storage.schema import CaseRow, CaseState, DeliveryRow, DeliveryState, InstanceRow, Placement, ReportObjectRow
from tests.torture.archive import Archive
from tests.torture.studies import Image, data_set_of

_DELIVERED = {DeliveryState.SENT.value, DeliveryState.COMMITTED.value}


@dataclass
class Verdict:
    """Sentences about what is wrong, by kind; all empty when every promise was kept."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    inconsistent: list[str] = field(default_factory=list)  # what `spinenode verify` says

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.twice or self.stuck or self.inconsistent)


def unfinished(database: Database, studies: Collection[str]) -> list[str]:
    """What the node still has to do for these studies; empty when all is quiet. Raises StorageError."""
    with database.reading() as session:
        rows = _instances(session, studies)
        cases = _cases(session, rows)
        reports = _reports(session, cases)
        deliveries = _deliveries(session, rows, reports)
        new = sum(row.placement == Placement.NEW.value for row in rows)
        waiting = [f"{new} instances are not placed"] if new else []
        waiting += [
            f"case {case.id} revision {case.revision} is {case.state}: {case.reason}, attempt {case.attempts}, "
            f"available {case.available_at:%H:%M:%S}, lease until {case.lease_until}"
            for case in cases
            if case.state != CaseState.DONE.value
        ]
        waiting += [
            f"delivery {one.id} is {one.state}: {one.reason}, attempt {one.attempts}, "
            f"available {one.available_at:%H:%M:%S}, lease until {one.lease_until}"
            for one in deliveries
            if one.state not in _DELIVERED
        ]
        if not cases:
            waiting.append("there is no case")
        return waiting


def judge(
    database: Database, data_dir: Path, archive: Archive, *, images: Iterable[Image], acknowledged: Collection[str]
) -> Verdict:
    """Compare what was acknowledged with what the node and the archive hold. Call it when all is quiet."""
    verdict = Verdict()
    sent = {image.sop_instance_uid: image for image in images}
    receipts = archive.receipts()
    with database.reading() as session:
        rows = _instances(session, {image.study_instance_uid for image in sent.values()})
        cases = _cases(session, rows)
        reports = _reports(session, cases)
        _judge_instances(verdict, rows, data_dir, sent, acknowledged)
        _judge_answers(verdict, cases, reports)
    for uid in acknowledged:
        _judge_receipts(verdict, f"original {uid}", receipts.get(uid, []), sent[uid].content_sha256)
    for report in reports:
        try:
            expected = sha256(data_set_of((data_dir / report.file).read_bytes())).hexdigest()
        except OSError as error:
            verdict.lost.append(f"{report.kind} {report.sop_instance_uid}: its file: {error}")
            continue
        _judge_receipts(
            verdict, f"{report.kind} {report.sop_instance_uid}", receipts.get(report.sop_instance_uid, []), expected
        )
    return verdict


def unknown_reports(database: Database, archive: Archive, before: Collection[str]) -> list[str]:
    """SRs that the archive got since `before` and that the node's database does not know: answers given twice."""
    with database.reading() as session:
        known = set(session.scalars(select(ReportObjectRow.sop_instance_uid)))
    new = archive.of_class(Comprehensive3DSRStorage) - set(before)
    return [f"the archive holds SR {uid}, which the node does not know" for uid in sorted(new - known)]


def _judge_instances(
    verdict: Verdict,
    rows: Collection[InstanceRow],
    data_dir: Path,
    sent: dict[str, Image],
    acknowledged: Collection[str],
) -> None:
    counts = Counter(row.sop_instance_uid for row in rows)
    by_uid = {row.sop_instance_uid: row for row in rows}
    for uid in acknowledged:
        if uid not in by_uid:
            verdict.lost.append(f"instance {uid} was acknowledged and has no row")
    verdict.twice += [f"instance {uid} has {count} rows" for uid, count in counts.items() if count > 1]
    for uid, row in by_uid.items():
        try:
            found = sha256(data_set_of((data_dir / row.file).read_bytes())).hexdigest()
        except OSError as error:
            verdict.lost.append(f"instance {uid} has a row and no file: {error}")
            continue
        if not found == row.content_sha256 == sent[uid].content_sha256:
            verdict.lost.append(
                f"instance {uid}: sent {sent[uid].content_sha256}, row {row.content_sha256}, file {found}"
            )


def _judge_answers(verdict: Verdict, cases: Iterable[CaseRow], reports: Iterable[ReportObjectRow]) -> None:
    answers = Counter((report.case_id, report.revision) for report in reports if report.kind == "sr")
    for case in cases:
        for revision in range(1, case.revision + 1):
            count = answers.pop((case.id, revision), 0)
            if count == 0:
                verdict.stuck.append(f"case {case.id} revision {revision} has no answer")
            elif count > 1:
                verdict.twice.append(f"case {case.id} revision {revision} has {count} answers")
    verdict.twice += [
        f"case {case} has an answer to revision {revision}, which it has not" for case, revision in answers
    ]


def _judge_receipts(verdict: Verdict, what: str, receipts: list[str], expected: str) -> None:
    """An object sent again after a crash is the same one, under the same UID with the same bytes."""
    if not receipts:
        verdict.lost.append(f"{what} did not reach the archive")
    elif set(receipts) != {expected}:
        verdict.twice.append(f"{what} reached the archive with other bytes: {sorted(set(receipts))}, made {expected}")


def _instances(session: Session, studies: Collection[str]) -> list[InstanceRow]:
    return list(session.scalars(select(InstanceRow).where(InstanceRow.study_instance_uid.in_(list(studies)))))


def _cases(session: Session, rows: Iterable[InstanceRow]) -> list[CaseRow]:
    ids = {row.case_id for row in rows if row.case_id is not None}
    return list(session.scalars(select(CaseRow).where(CaseRow.id.in_(ids))))


def _reports(session: Session, cases: Iterable[CaseRow]) -> list[ReportObjectRow]:
    ids = [case.id for case in cases]
    return list(session.scalars(select(ReportObjectRow).where(ReportObjectRow.case_id.in_(ids))))


def _deliveries(session: Session, rows: Iterable[InstanceRow], reports: Iterable[ReportObjectRow]) -> list[DeliveryRow]:
    of_instances = DeliveryRow.instance_id.in_([row.id for row in rows])
    of_reports = DeliveryRow.report_object_id.in_([report.id for report in reports])
    return list(session.scalars(select(DeliveryRow).where(of_instances | of_reports)))
