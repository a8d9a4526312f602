"""What peers asked us to take responsibility for, until they have the result."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from storage import commitment_reports
from storage.commitment_reports import ReportClaim, Requested
from storage.database import Database
from storage.errors import LeaseLost
from storage.instances import InstanceRecorder
from storage.schema import CommitmentReportRow, CommitmentReportState
from tests.storage.conftest import Clock, new_instance

MR = "1.2.840.10008.5.1.4.1.1.4"
LEASE_S = 60.0


class Desk:
    """Where peers ask, and reporters claim."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def request(self, *uids: str, transaction: str = "2.25.1", caller: str = "SCANNER", wait_s: float = 0) -> Requested:
        with self.database.transaction() as session:
            return commitment_reports.request(
                session,
                calling_ae_title=caller,
                address="127.0.0.1",
                transaction_uid=transaction,
                instances=[(MR, uid) for uid in uids or ("2.25.11",)],
                now=self.clock(),
                report_at=self.clock() + timedelta(seconds=wait_s),
            )

    def claim(self, caller: str = "SCANNER", limit: int = 8) -> list[ReportClaim]:
        with self.database.transaction() as session:
            return commitment_reports.claim(
                session, calling_ae_title=caller, owner="me", now=self.clock(), lease_s=LEASE_S, limit=limit
            )

    def claimed(self) -> ReportClaim:
        self.request()
        (claim,) = self.claim()
        return claim

    def waiting(self) -> set[str]:
        with self.database.reading() as session:
            return commitment_reports.pending_callers(session, self.clock())

    def rows(self) -> list[CommitmentReportRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(CommitmentReportRow).order_by(CommitmentReportRow.id)))


@pytest.fixture
def desk(database: Database, clock: Clock) -> Desk:
    return Desk(database, clock)


def test_a_request_is_claimed_with_its_instances_once_it_is_due(desk: Desk, clock: Clock) -> None:
    asked = desk.request("2.25.11", "2.25.12", wait_s=2)

    early = desk.claim()
    clock.pass_s(2)
    (claim,) = desk.claim()

    assert asked is Requested.NEW
    assert early == []
    assert (claim.attempt, claim.transaction_uid, claim.address) == (1, "2.25.1", "127.0.0.1")
    assert claim.instances == ((MR, "2.25.11"), (MR, "2.25.12"))


def test_a_claimed_result_is_nobody_elses_until_its_lease_ran_out(desk: Desk, clock: Clock) -> None:
    first = desk.claimed()

    at_once, waiting = desk.claim(), desk.waiting()
    clock.pass_s(LEASE_S)
    (second,) = desk.claim()

    assert (at_once, waiting) == ([], set())
    assert second.attempt == 2
    with pytest.raises(LeaseLost, match="attempt 1 is no longer"), desk.database.transaction() as session:
        commitment_reports.reported(session, first, now=clock())


def test_a_reported_result_is_not_due_any_more(desk: Desk, clock: Clock) -> None:
    claim = desk.claimed()

    with desk.database.transaction() as session:
        commitment_reports.reported(session, claim, now=clock())

    (row,) = desk.rows()
    assert (row.state, row.reported_at) == (CommitmentReportState.REPORTED, clock())
    assert desk.waiting() == set()


def test_a_result_that_could_not_be_told_is_due_again_later(desk: Desk, clock: Clock) -> None:
    claim = desk.claimed()

    with desk.database.transaction() as session:
        later = clock() + timedelta(seconds=10)
        commitment_reports.report_later(session, claim, reason="connection refused", available_at=later)
    at_once = desk.claim()
    clock.pass_s(10)

    assert at_once == []
    assert desk.waiting() == {"SCANNER"}
    assert desk.rows()[0].reason == "connection refused"
    assert [claim.attempt for claim in desk.claim()] == [2]


def test_one_result_can_be_claimed_before_it_is_due_but_not_twice(desk: Desk, clock: Clock) -> None:
    desk.request(wait_s=60)

    def claim_one() -> ReportClaim | None:
        with desk.database.transaction() as session:
            return commitment_reports.claim_one(
                session,
                calling_ae_title="SCANNER",
                transaction_uid="2.25.1",
                owner="association",
                now=clock(),
                lease_s=LEASE_S,
            )

    first, second = claim_one(), claim_one()
    clock.pass_s(60)

    assert first is not None
    assert first.attempt == 1
    assert second is None
    assert [claim.attempt for claim in desk.claim()] == [2]  # the association was lost over the first


def test_a_result_that_nobody_takes_is_dead_with_its_reason(desk: Desk) -> None:
    claim = desk.claimed()

    with desk.database.transaction() as session:
        commitment_reports.give_up(session, claim, reason="no report_host")

    assert (desk.rows()[0].state, desk.rows()[0].reason) == (CommitmentReportState.DEAD, "no report_host")
    assert desk.claim() == []


@pytest.mark.parametrize("ended_as", ["reported", "dead", "claimed"])
def test_the_same_question_again_is_answered_again(desk: Desk, clock: Clock, ended_as: str) -> None:
    claim = desk.claimed()
    with desk.database.transaction() as session:
        if ended_as == "reported":
            commitment_reports.reported(session, claim, now=clock())
        elif ended_as == "dead":
            commitment_reports.give_up(session, claim, reason="no report_host")

    repeated = desk.request()
    (again,) = desk.claim()

    assert repeated is Requested.REPEATED
    assert again.attempt == 1
    assert len(desk.rows()) == 1
    if ended_as == "claimed":  # the first attempt answers a question that was asked anew
        with pytest.raises(LeaseLost), desk.database.transaction() as session:
            commitment_reports.reported(session, claim, now=clock())


def test_a_transaction_with_other_instances_changes_nothing(desk: Desk) -> None:
    desk.request("2.25.11")

    conflict = desk.request("2.25.12")

    assert conflict is Requested.CONFLICT
    assert desk.rows()[0].instances == [[MR, "2.25.11"]]


def test_two_peers_may_use_the_same_transaction_uid(desk: Desk) -> None:
    desk.request(caller="SCANNER")

    assert desk.request(caller="CT") is Requested.NEW
    assert desk.waiting() == {"SCANNER", "CT"}
    assert [claim.calling_ae_title for claim in desk.claim("CT")] == ["CT"]


def test_what_is_kept_is_told_with_class_and_file_of_each_content(
    database: Database, recorder: InstanceRecorder, desk: Desk
) -> None:
    recorder.record(new_instance(1))
    recorder.record(new_instance(1, content_sha256="cd" * 32, file="instances/00/other.dcm"))
    uid = new_instance(1).sop_instance_uid

    with database.reading() as session:
        kept = commitment_reports.kept(session, [uid, "2.25.404"])

    assert kept == {uid: [(MR, new_instance(1).file), (MR, "instances/00/other.dcm")]}


def test_old_results_are_forgotten_when_they_are_told_or_given_up(desk: Desk, clock: Clock) -> None:
    for number in range(3):
        desk.request(transaction=f"2.25.{number}")
    told, given_up = desk.claim(limit=2)
    with desk.database.transaction() as session:
        commitment_reports.reported(session, told, now=clock())
        commitment_reports.give_up(session, given_up, reason="nobody to tell")
    long_after = clock.pass_s(1)
    clock.pass_s(1)
    desk.request(transaction="2.25.4")

    def prune() -> int:
        with desk.database.transaction() as session:
            return commitment_reports.prune(session, before=long_after, limit=1)

    assert [prune(), prune(), prune()] == [1, 1, 0]
    assert [row.transaction_uid for row in desk.rows()] == ["2.25.2", "2.25.4"]
