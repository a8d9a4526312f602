import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from storage import case_claims, cases, outbox
from storage.cases import Claim
from storage.database import Database
from storage.errors import LeaseLost, StorageError
from storage.schema import CaseResultRow, DeliveryRow, ReportObjectRow
from tests.storage.conftest import LEASE_S, MAXIMUM_ATTEMPTS, CaseMaker, Clock, report_object

WORKERS = 4
CASES = 30


def fail_attempt(database: Database, claim: Claim, clock: Clock, reason: str = "out of memory") -> None:
    with database.transaction() as session:
        cases.attempt_failed(session, claim, reason=reason, now=clock(), available_at=clock() + timedelta(seconds=5))


def count(database: Database, table: type) -> int:
    with database.reading() as session:
        return session.scalars(select(func.count()).select_from(table)).one()


def test_nothing_is_claimed_when_no_case_is_ready(make: CaseMaker) -> None:
    make.collecting("a")
    make.held("b")

    assert make.claim() is None


def test_a_claim_tells_what_to_run_and_since_when_it_waits(make: CaseMaker, clock: Clock) -> None:
    received_at = clock()
    case = make.collecting()
    complete_at = clock.pass_s(30)
    with make.database.transaction() as session:
        cases.mark_ready(session, case, "quiet", complete_at)
    clock.pass_s(7)

    claim = make.claim("worker-1")

    assert claim is not None
    assert (claim.case_id, claim.group_key, claim.route, claim.revision) == (case.id, "group", "spine", 1)
    assert (claim.attempt, claim.owner, claim.give_up_reason) == (1, "worker-1", None)
    assert (claim.state_since, claim.last_instance_at) == (complete_at, received_at)
    row = make.look(case.id)
    assert (row.state, row.lease_owner, row.fence) == ("running", "worker-1", claim.fence)
    assert row.lease_until == clock() + timedelta(seconds=LEASE_S)


def test_a_retry_carries_the_same_stored_times_as_the_first_attempt(make: CaseMaker, clock: Clock) -> None:
    first = make.running()
    clock.pass_s(1)
    fail_attempt(make.database, first, clock)
    clock.pass_s(10)

    second = make.claim()

    assert second is not None
    assert (second.state_since, second.last_instance_at) == (first.state_since, first.last_instance_at)
    assert (second.attempt, second.revision) == (2, 1)
    assert second.fence > first.fence


def test_the_case_that_waits_longest_is_claimed_first(make: CaseMaker, clock: Clock) -> None:
    first = make.ready("a")
    clock.pass_s(1)
    make.ready("b")

    claim = make.claim()

    assert claim is not None
    assert claim.case_id == first.id


def test_a_claimed_case_is_not_claimed_again_while_the_lease_runs(make: CaseMaker, clock: Clock) -> None:
    make.running()
    clock.pass_s(LEASE_S - 1)

    assert make.claim() is None


def test_a_case_whose_lease_ran_out_is_claimed_by_another_worker(make: CaseMaker, clock: Clock) -> None:
    lost = make.running()
    clock.pass_s(LEASE_S)

    claim = make.claim("worker-2")

    assert claim is not None
    assert (claim.case_id, claim.attempt) == (lost.case_id, 2)
    assert make.events(lost.case_id)[-2:] == [
        ("running", "lease_ran_out", "ready"),
        ("ready", "claimed", "running"),
    ]


def test_a_renewed_lease_keeps_the_case(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    clock.pass_s(LEASE_S - 1)
    with make.database.transaction() as session:
        cases.renew(session, claim, now=clock(), lease_s=LEASE_S)
    clock.pass_s(LEASE_S - 1)

    assert make.claim("worker-2") is None
    make.report(claim)
    assert make.look(claim.case_id).state == "reported"


def test_a_worker_that_lost_its_lease_writes_nothing(make: CaseMaker, clock: Clock) -> None:
    late = make.running()
    clock.pass_s(LEASE_S)
    current = make.claim("worker-2")
    assert current is not None

    with pytest.raises(LeaseLost):
        make.report(late)
    with pytest.raises(LeaseLost), make.database.transaction() as session:
        cases.renew(session, late, now=clock(), lease_s=LEASE_S)
    with pytest.raises(LeaseLost):
        fail_attempt(make.database, late, clock)

    assert [count(make.database, table) for table in (CaseResultRow, ReportObjectRow, DeliveryRow)] == [0, 0, 0]
    assert make.look(late.case_id).fence == current.fence


def test_a_late_result_of_the_same_owner_is_refused_as_well(make: CaseMaker, clock: Clock) -> None:
    late = make.running()
    clock.pass_s(LEASE_S)
    assert make.claim(late.owner) is not None

    with pytest.raises(LeaseLost):
        make.report(late)


def test_a_worker_over_its_lease_that_nobody_took_from_it_may_still_report(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    clock.pass_s(LEASE_S * 10)

    make.report(claim)

    assert make.look(claim.case_id).state == "reported"


def test_a_failed_attempt_is_claimable_only_after_its_delay(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    fail_attempt(make.database, claim, clock)

    early = make.claim()
    clock.pass_s(5)
    due = make.claim()

    assert early is None
    assert due is not None
    assert make.events(claim.case_id)[-2] == ("running", "attempt_failed", "ready")


def test_when_the_attempts_are_used_up_the_claim_says_to_give_up_and_why(make: CaseMaker, clock: Clock) -> None:
    make.ready()
    reasons = []
    for _ in range(MAXIMUM_ATTEMPTS + 1):
        claim = make.claim()
        assert claim is not None
        reasons.append(claim.give_up_reason)
        fail_attempt(make.database, claim, clock)
        clock.pass_s(5)

    assert reasons == [None] * MAXIMUM_ATTEMPTS + [f"{MAXIMUM_ATTEMPTS} attempts failed; the last: out of memory"]


def test_a_case_that_is_put_back_has_the_attempts_it_had_before(make: CaseMaker, clock: Clock) -> None:
    fail_attempt(make.database, make.running(), clock)
    clock.pass_s(5)
    second = make.claim()
    assert second is not None

    with make.database.transaction() as session:
        case_claims.put_back(session, second, reason="disk full", now=clock(), available_at=clock.pass_s(5))
    again = make.claim()

    assert again is not None
    assert again.attempt == second.attempt == 2
    with pytest.raises(LeaseLost), make.database.transaction() as session:
        case_claims.put_back(session, second, reason="late", now=clock(), available_at=clock())


def test_workers_that_die_use_up_the_attempts_too(make: CaseMaker, clock: Clock) -> None:
    make.ready()
    for _ in range(MAXIMUM_ATTEMPTS):
        make.claim("worker-9")
        clock.pass_s(LEASE_S)

    claim = make.claim()

    assert claim is not None
    assert claim.give_up_reason is not None
    assert "lease of worker-9 ran out" in claim.give_up_reason


def test_a_rejected_case_says_to_give_up_in_every_attempt(make: CaseMaker, clock: Clock) -> None:
    case = make.held()
    with make.database.transaction() as session:
        cases.reject(session, case, "two patients", clock())

    first = make.claim()
    assert first is not None
    fail_attempt(make.database, first, clock, reason="disk full")
    clock.pass_s(5)
    second = make.claim()

    assert second is not None
    assert [first.give_up_reason, second.give_up_reason] == ["identity_conflict: two patients"] * 2


def test_a_released_case_is_analysed(make: CaseMaker, clock: Clock) -> None:
    case = make.held()
    with make.database.transaction() as session:
        cases.release(session, case, "one patient", clock())
        cases.mark_ready(session, case, "quiet", clock())

    claim = make.claim()

    assert claim is not None
    assert claim.give_up_reason is None


def test_attempts_are_counted_anew_in_a_new_revision(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    fail_attempt(make.database, claim, clock)
    clock.pass_s(5)
    second = make.claim()
    assert second is not None
    make.report(second)

    make.receive()
    with make.database.transaction() as session:
        cases.mark_ready(session, make.look(claim.case_id), "quiet", clock())
    third = make.claim()

    assert third is not None
    assert (third.revision, third.attempt) == (2, 1)


def test_new_content_of_a_case_that_failed_before_gets_its_attempts_back(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    fail_attempt(make.database, claim, clock)

    make.receive()
    with make.database.transaction() as session:
        cases.mark_ready(session, make.look(claim.case_id), "quiet", clock())
    again = make.claim()

    assert again is not None
    assert (again.revision, again.attempt) == (1, 1)


def test_a_report_writes_findings_objects_and_one_delivery_per_object_and_destination(make: CaseMaker) -> None:
    claim = make.running()

    make.report(claim, objects=("sr", "overlay"), destinations=("pacs", "archive", "pacs"))

    with make.database.reading() as session:
        found = cases.result(session, claim.case_id)
        assert found is not None
        assert (found.findings, found.revision) == ({"revision": 1}, 1)
        assert [row.kind for row in session.scalars(select(ReportObjectRow).order_by(ReportObjectRow.id))] == [
            "sr",
            "overlay",
        ]
        deliveries = Counter(
            (row.destination, row.priority, row.case_id) for row in session.scalars(select(DeliveryRow))
        )
    assert deliveries == {("pacs", 10, claim.case_id): 2, ("archive", 10, claim.case_id): 2}
    assert make.look(claim.case_id).state == "reported"


def test_a_revision_is_reported_once(make: CaseMaker) -> None:
    claim = make.running()
    make.report(claim)

    with pytest.raises(LeaseLost):
        make.report(claim)

    assert [count(make.database, table) for table in (CaseResultRow, ReportObjectRow, DeliveryRow)] == [1, 1, 1]


def test_a_report_is_all_or_nothing(make: CaseMaker) -> None:
    first, second = make.running("a"), make.running("b")
    make.report(first)

    with pytest.raises(case_claims.AnswerRefused):  # the SR has the UID of the other case's
        make.report(second, objects=("overlay", "sr"))

    assert make.look(second.case_id).state == "running"
    assert [count(make.database, table) for table in (CaseResultRow, ReportObjectRow, DeliveryRow)] == [1, 1, 1]


def test_a_report_that_gave_up_fails_the_case_and_is_delivered_all_the_same(make: CaseMaker) -> None:
    claim = make.running()

    make.report(claim, failed_reason="3 attempts failed")

    row = make.look(claim.case_id)
    assert (row.state, row.reason) == ("failed", "3 attempts failed")
    assert count(make.database, DeliveryRow) == 1


def test_findings_that_are_no_numbers_are_refused_by_every_database(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()

    with pytest.raises((StorageError, ValueError)), make.database.transaction() as session:
        cases.report(
            session,
            claim,
            findings={"probability": float("nan")},
            objects=[],
            destinations=[],
            failed_reason=None,
            now=clock(),
        )

    assert make.look(claim.case_id).state == "running"


def test_results_are_read_by_revision_or_the_newest(make: CaseMaker, clock: Clock) -> None:
    make.report(make.running())
    case = make.receive()
    assert case is not None
    with make.database.transaction() as session:
        cases.mark_ready(session, case, "quiet", clock())
    second = make.claim()
    assert second is not None
    make.report(second)

    with make.database.reading() as session:
        newest, first, none = (cases.result(session, case.id, revision) for revision in (None, 1, 3))
        replaced = cases.previous_report(session, case.id, 2)
        assert cases.previous_report(session, case.id, 1) is None

    assert newest is not None
    assert first is not None
    assert (newest.revision, first.revision, none) == (2, 1, None)
    assert replaced is not None
    assert replaced.sop_instance_uid == report_object("sr", revision=1).sop_instance_uid


def test_a_case_is_done_only_when_every_report_object_is_settled(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    make.report(claim, objects=("sr", "overlay"))
    finished = []

    for settle in ("sent", "dead"):
        with make.database.transaction() as session:
            finished.append(cases.finish_delivered(session, clock()))
        with make.database.transaction() as session:
            (delivery,) = outbox.claim(
                session, destination="pacs", owner="sender", now=clock(), lease_s=LEASE_S, limit=1
            )
            if settle == "sent":
                outbox.sent(session, delivery, now=clock())
            else:
                outbox.dead(session, delivery, reason="refused", now=clock())
    with make.database.transaction() as session:
        finished.append(cases.finish_delivered(session, clock()))

    assert finished == [0, 0, 1]
    assert make.look(claim.case_id).state == "done"


def test_a_case_without_destinations_is_done_at_once(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    make.report(claim, destinations=())

    with make.database.transaction() as session:
        assert cases.finish_delivered(session, clock()) == 1
    assert make.look(claim.case_id).state == "done"


def test_a_forwarded_original_does_not_keep_its_case_open(make: CaseMaker, clock: Clock) -> None:
    claim = make.running()
    with make.database.transaction() as session:
        (instance,) = cases.instances_of(session, claim.case_id)
        outbox.forward(session, instance, ["dead-pacs"], clock())
    make.report(claim, destinations=())

    with make.database.transaction() as session:
        assert cases.finish_delivered(session, clock()) == 1


def test_an_owner_longer_than_its_column_can_claim(make: CaseMaker) -> None:
    make.ready()

    claim = make.claim("host-" * 30)

    assert claim is not None
    assert claim.owner == "host-" * 30


def test_workers_that_claim_at_the_same_moment_never_get_the_same_case(make: CaseMaker) -> None:
    for number in range(CASES):
        make.ready(f"group {number}")
    together = threading.Barrier(WORKERS)

    def work(number: int) -> list[int]:
        together.wait(30)
        mine = []
        while (claim := make.claim(f"worker-{number}")) is not None:
            mine.append(claim.case_id)
        return mine

    with ThreadPoolExecutor(WORKERS) as pool:
        claimed = [case_id for many in pool.map(work, range(WORKERS)) for case_id in many]

    assert sorted(claimed) == sorted(set(claimed))
    assert len(claimed) == CASES


def test_a_claim_skips_a_case_that_another_transaction_holds(make: CaseMaker, database_url: str) -> None:
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite lets one transaction in at a time")
    first, second = make.ready("a"), make.ready("b")

    with make.database.transaction() as one, make.database.transaction() as other:
        claims = [
            cases.claim(session, owner="w", now=make.clock(), lease_s=LEASE_S, maximum_attempts=MAXIMUM_ATTEMPTS)
            for session in (one, other)
        ]

    assert [claim.case_id for claim in claims if claim] == [first.id, second.id]


def test_of_two_workers_that_race_for_one_report_one_wins(make: CaseMaker, clock: Clock) -> None:
    """The late worker reports at the very moment when another claims: one of them is refused, never none."""
    for number in range(10):
        late = make.running(f"group {number}")
        clock.pass_s(LEASE_S)
        with ThreadPoolExecutor(2) as pool:
            reporting = pool.submit(make.report, late, (f"overlay {number}",))
            claiming = pool.submit(make.claim, "worker-2")
            refused, claim = isinstance(reporting.exception(30), LeaseLost), claiming.result(30)

        assert refused == (claim is not None)
        if claim is not None:
            make.report(claim, (f"overlay {number}",))
    assert count(make.database, CaseResultRow) == 10
