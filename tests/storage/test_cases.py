import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from storage import cases
from storage.case_moves import move
from storage.case_states import CaseEvent
from storage.database import Database
from storage.errors import IllegalTransition
from storage.instances import InstanceRecorder
from storage.schema import CaseRow, CaseState, InstanceRow, Placement
from tests.storage.conftest import START, CaseMaker, Clock, new_instance


def unplaced_uids(database: Database) -> list[str]:
    with database.transaction() as session:
        return [row.sop_instance_uid for row in cases.unplaced(session)]


def test_unplaced_instances_come_oldest_first_and_not_more_than_the_limit(
    database: Database, recorder: InstanceRecorder
) -> None:
    for number in (3, 1, 2):
        recorder.record(new_instance(number))

    with database.transaction() as session:
        assert [row.sop_instance_uid for row in cases.unplaced(session, limit=2)] == ["2.25.13", "2.25.11"]


def test_unplaced_instances_can_be_paged_by_id(database: Database, recorder: InstanceRecorder) -> None:
    for number in (3, 1, 2):
        recorder.record(new_instance(number))

    with database.transaction() as session:
        (first,) = cases.unplaced(session, limit=1)
        following = cases.unplaced(session, after_id=first.id)

    assert [row.sop_instance_uid for row in following] == ["2.25.11", "2.25.12"]


def test_a_second_content_is_never_offered_for_placing(database: Database, recorder: InstanceRecorder) -> None:
    recorder.record(new_instance(1))
    recorder.record(new_instance(1, content_sha256="cd" * 32))

    assert unplaced_uids(database) == ["2.25.11"]


def test_two_groupers_never_hold_the_same_instances(
    database: Database, recorder: InstanceRecorder, database_url: str
) -> None:
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite lets one transaction in at a time")
    recorder.record(new_instance())

    with database.transaction() as first, database.transaction() as second:
        assert len(cases.unplaced(first)) == 1
        assert cases.unplaced(second) == []


def test_the_first_instance_opens_a_case_that_collects(make: CaseMaker) -> None:
    case = make.receive()

    assert case is not None
    seen = make.look(case.id)
    assert (seen.state, seen.revision, seen.route, seen.attempts) == ("collecting", 1, "spine", 0)
    assert make.events(case.id) == [("", "instance_arrived", "collecting")]


def test_instances_of_one_group_share_a_case(database: Database, make: CaseMaker) -> None:
    first, second, other = make.receive("a"), make.receive("a"), make.receive("b")

    assert first is not None
    assert second is not None
    assert other is not None
    assert first.id == second.id != other.id
    with database.reading() as session:
        assert len(cases.instances_of(session, first.id)) == 2
    assert unplaced_uids(database) == []


def test_the_time_of_the_last_instance_is_when_it_was_received(make: CaseMaker, clock: Clock) -> None:
    make.receive()
    received_at = clock.pass_s(10)
    clock.pass_s(5)

    case = make.receive(received_at=received_at)

    assert case is not None
    assert make.look(case.id).last_instance_at == received_at


def test_a_receiver_whose_clock_is_ahead_does_not_delay_its_case(make: CaseMaker, clock: Clock) -> None:
    case = make.receive(received_at=START + timedelta(hours=1))

    assert case is not None
    assert make.look(case.id).last_instance_at == clock()


def test_a_late_instance_with_an_older_time_does_not_turn_the_case_back(make: CaseMaker, clock: Clock) -> None:
    clock.pass_s(100)
    make.receive()

    case = make.receive(received_at=START)

    assert case is not None
    assert make.look(case.id).last_instance_at == clock()


def test_an_instance_for_a_ready_case_makes_it_collect_again_in_the_same_revision(make: CaseMaker) -> None:
    ready = make.ready()

    make.receive()

    seen = make.look(ready.id)
    assert (seen.state, seen.revision) == ("collecting", 1)
    assert make.events(ready.id)[-1] == ("ready", "instance_arrived", "collecting")


def test_an_instance_for_a_running_case_waits_unplaced_and_changes_nothing(database: Database, make: CaseMaker) -> None:
    claim = make.running()
    before = make.look(claim.case_id)

    assert make.receive() is None

    after = make.look(claim.case_id)
    assert (after.state, after.fence, after.revision) == (before.state, before.fence, before.revision)
    assert len(unplaced_uids(database)) == 1


@pytest.mark.parametrize("ending", ["reported", "done", "failed"])
def test_an_instance_for_an_answered_case_begins_a_new_revision(
    database: Database, make: CaseMaker, clock: Clock, ending: str
) -> None:
    claim = make.running()
    make.report(claim, destinations=(), failed_reason="3 attempts failed" if ending == "failed" else None)
    if ending == "done":
        with database.transaction() as session:
            cases.finish_delivered(session, clock())
    assert make.look(claim.case_id).state == ending

    make.receive()

    seen = make.look(claim.case_id)
    assert (seen.state, seen.revision, seen.attempts) == ("collecting", 2, 0)
    assert make.events(claim.case_id)[-1] == (ending, "instance_arrived", "collecting")


def test_an_instance_for_a_held_case_joins_it_and_the_case_stays_held(database: Database, make: CaseMaker) -> None:
    held = make.held()

    make.receive()

    seen = make.look(held.id)
    assert (seen.state, seen.reason) == ("held", "two birth dates")
    with database.reading() as session:
        assert len(cases.instances_of(session, held.id)) == 2


def test_an_instance_is_placed_once(database: Database, recorder: InstanceRecorder, clock: Clock) -> None:
    recorder.record(new_instance())
    with database.transaction() as session:
        (stale,) = cases.unplaced(session)
        cases.place_all(session, [stale], group_key="a", route="spine", now=clock())

    with pytest.raises(IllegalTransition, match="placed already"), database.transaction() as session:
        cases.place_all(session, [stale], group_key="b", route="spine", now=clock())

    with database.reading() as session:
        assert [case.group_key for case in cases.in_state(session, CaseState.COLLECTING)] == ["a"]


def test_an_instance_set_aside_keeps_its_reason_and_is_in_no_case(
    database: Database, recorder: InstanceRecorder
) -> None:
    recorder.record(new_instance())

    with database.transaction() as session:
        (instance,) = cases.unplaced(session)
        cases.set_aside(session, [instance], Placement.SET_ASIDE, "an object of this node come back")

    with database.reading() as session:
        row = session.get_one(InstanceRow, instance.id)
        assert (row.placement, row.placement_reason, row.case_id) == (
            "set_aside",
            "an object of this node come back",
            None,
        )
    assert unplaced_uids(database) == []


@pytest.mark.parametrize("placement", [Placement.NEW, Placement.IN_CASE])
def test_setting_aside_into_a_place_that_is_not_aside_is_refused(
    database: Database, recorder: InstanceRecorder, placement: Placement
) -> None:
    recorder.record(new_instance())

    with database.transaction() as session:
        (instance,) = cases.unplaced(session)
        with pytest.raises(IllegalTransition):
            cases.set_aside(session, [instance], placement, "why")


def test_a_complete_case_is_ready_with_the_reason(make: CaseMaker) -> None:
    case = make.ready()

    seen = make.look(case.id)
    assert (seen.state, seen.reason) == ("ready", "quiet for 30 s")
    assert make.events(case.id)[-1] == ("collecting", "completed", "ready")


def test_a_case_is_not_declared_complete_on_a_stale_view(database: Database, make: CaseMaker, clock: Clock) -> None:
    stale = make.look(make.collecting().id)
    make.receive()

    with database.transaction() as session, pytest.raises(IllegalTransition, match="too late"):
        cases.mark_ready(session, stale, "quiet for 30 s", clock())

    assert make.look(stale.id).state == "collecting"


def test_a_refused_step_leaves_the_transaction_usable(database: Database, make: CaseMaker, clock: Clock) -> None:
    stale = make.look(make.collecting("a").id)
    good = make.collecting("b")
    make.receive("a")

    with database.transaction() as session:
        with pytest.raises(IllegalTransition):
            cases.mark_ready(session, stale, "quiet", clock())
        cases.mark_ready(session, good, "quiet", clock())

    assert make.look(good.id).state == "ready"


def test_a_case_that_waits_for_a_worker_can_still_be_held(database: Database, make: CaseMaker, clock: Clock) -> None:
    case = make.ready()

    with database.transaction() as session:
        cases.hold(session, case, "two patients in one study", clock())

    assert make.look(case.id).state == "held"
    assert make.claim() is None


@pytest.mark.parametrize("ending", ["reported", "done", "failed"])
def test_holding_an_answered_case_begins_a_new_revision(
    database: Database, make: CaseMaker, clock: Clock, ending: str
) -> None:
    claim = make.running()
    make.report(claim, destinations=(), failed_reason="3 attempts failed" if ending == "failed" else None)
    with database.transaction() as session:
        if ending == "done":
            cases.finish_delivered(session, clock())
        cases.hold(session, session.get_one(CaseRow, claim.case_id), "two patients in one study", clock())

    seen = make.look(claim.case_id)
    assert (seen.state, seen.revision, seen.attempts) == ("held", 2, 0)
    assert make.events(claim.case_id)[-1] == (ending, "held", "held")


def test_rejecting_a_case_that_was_answered_is_reported_as_its_next_revision(
    database: Database, make: CaseMaker, clock: Clock
) -> None:
    first = make.running()
    make.report(first)
    with database.transaction() as session:
        case = session.get_one(CaseRow, first.case_id)
        cases.hold(session, case, "two patients in one study", clock())
        cases.reject(session, case, "two patients", clock())

    claim = make.claim()

    assert claim is not None
    assert (claim.revision, claim.attempt) == (2, 1)
    assert claim.give_up_reason == "identity_conflict: two patients"
    with database.reading() as session:
        predecessor = cases.previous_report(session, claim.case_id, claim.revision)
    assert predecessor is not None
    assert predecessor.revision == 1


def test_two_transactions_that_open_the_same_case_share_it(
    database: Database, recorder: InstanceRecorder, clock: Clock, database_url: str
) -> None:
    if not database_url.startswith("postgresql"):
        pytest.skip("SQLite lets one transaction in at a time")
    recorder.record(new_instance(1))
    recorder.record(new_instance(2))
    with database.reading() as session:
        one, two = session.scalars(select(InstanceRow).order_by(InstanceRow.id)).all()

    def place(instance: InstanceRow) -> CaseRow | None:
        with database.transaction() as session:
            return cases.place_all(session, [instance], group_key="group", route="spine", now=clock())

    with ThreadPoolExecutor(1) as pool, database.transaction() as session:
        first = cases.place_all(session, [one], group_key="group", route="spine", now=clock())
        session.flush()
        waiting = pool.submit(place, two)
        wait_until_a_lock_is_waited_for(database)
        session.commit()
        second = waiting.result(30)

    assert first is not None
    assert second is not None
    assert first.id == second.id


def wait_until_a_lock_is_waited_for(database: Database) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with database.reading() as session:
            if session.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")):
                return
    raise AssertionError("no transaction waits for another")


def test_a_person_can_release_a_held_case(database: Database, make: CaseMaker, clock: Clock) -> None:
    case = make.held()

    with database.transaction() as session:
        cases.release(session, case, "same person, typing error", clock())

    assert make.look(case.id).state == "collecting"
    assert make.events(case.id)[-2:] == [("collecting", "held", "held"), ("held", "released", "collecting")]


def test_a_person_can_reject_a_held_case_and_the_reason_says_so(
    database: Database, make: CaseMaker, clock: Clock
) -> None:
    case = make.held()

    with database.transaction() as session:
        cases.reject(session, case, "two patients under one ID", clock())

    seen = make.look(case.id)
    assert (seen.state, seen.reason) == ("ready", "identity_conflict: two patients under one ID")


def test_history_tells_when_why_and_in_which_attempt(database: Database, make: CaseMaker, clock: Clock) -> None:
    case = make.collecting()
    at = clock.pass_s(30)

    with database.transaction() as session:
        cases.mark_ready(session, case, "quiet for 30 s", at)

    with database.reading() as session:
        last = cases.history(session, case.id)[-1]
    assert (last.at, last.reason, last.revision, last.attempt) == (at, "quiet for 30 s", 1, 0)


def test_a_row_moves_and_its_history_is_written_together_or_not_at_all(
    database: Database, make: CaseMaker, clock: Clock
) -> None:
    case = make.collecting()

    def break_off() -> None:
        with database.transaction() as session:
            cases.mark_ready(session, case, "quiet", clock())
            raise RuntimeError("the process fails before the commit")

    with pytest.raises(RuntimeError):
        break_off()

    assert make.look(case.id).state == "collecting"
    assert len(make.events(case.id)) == 1


@pytest.mark.parametrize("event", [CaseEvent.CLAIMED, CaseEvent.REPORTED, CaseEvent.DELIVERED])
def test_a_step_that_the_table_does_not_know_changes_no_row(
    database: Database, make: CaseMaker, clock: Clock, event: CaseEvent
) -> None:
    case = make.collecting()

    with database.transaction() as session, pytest.raises(IllegalTransition):
        move(session, session.get_one(CaseRow, case.id), event, now=clock())

    assert make.look(case.id).state == "collecting"


def test_cases_are_listed_by_state_in_the_order_they_were_made(database: Database, make: CaseMaker) -> None:
    ready, collecting, held = make.ready("a"), make.collecting("b"), make.held("c")

    with database.reading() as session:
        listed = cases.in_state(session, CaseState.HELD, CaseState.READY)

    assert [case.id for case in listed] == [ready.id, held.id]
    assert collecting.id not in [case.id for case in listed]
