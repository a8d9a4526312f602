import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from storage import cases, dead_letters, outbox
from storage.database import Database
from storage.dead_letters import AskedAgain
from storage.errors import LeaseLost
from storage.instances import InstanceRecorder
from storage.outbox import DeliveryClaim
from storage.schema import DeliveryRow, DeliveryState, InstanceRow, ReportObjectRow
from tests.storage.conftest import CaseMaker, Clock, new_instance, report_object

LEASE_S = 60.0
SENDERS = 4
DELIVERIES = 60


class OutboxMaker:
    """Fills and works off an outbox."""

    def __init__(self, database: Database, recorder: InstanceRecorder, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._recorder = recorder

    def forward(self, number: int = 1, destinations: tuple[str, ...] = ("pacs",)) -> int:
        self._recorder.record(new_instance(number))
        with self.database.transaction() as session:
            uid = new_instance(number).sop_instance_uid
            instance = session.scalars(select(InstanceRow).where(InstanceRow.sop_instance_uid == uid)).one()
            return outbox.forward(session, instance, destinations, self.clock())

    def claim(self, destination: str = "pacs", owner: str = "sender", limit: int = 10) -> list[DeliveryClaim]:
        with self.database.transaction() as session:
            return outbox.claim(
                session, destination=destination, owner=owner, now=self.clock(), lease_s=LEASE_S, limit=limit
            )

    def sending(self) -> DeliveryClaim:
        self.forward()
        (claim,) = self.claim()
        return claim

    def dead(self) -> DeliveryClaim:
        claim = self.sending()
        with self.database.transaction() as session:
            outbox.dead(session, claim, reason="0xC000 refused", now=self.clock())
        return claim

    def look(self, delivery_id: int) -> DeliveryRow:
        with self.database.reading() as session:
            return session.get_one(DeliveryRow, delivery_id)


@pytest.fixture
def box(database: Database, recorder: InstanceRecorder, clock: Clock) -> OutboxMaker:
    return OutboxMaker(database, recorder, clock)


def test_an_original_is_forwarded_once_to_each_destination(box: OutboxMaker) -> None:
    first = box.forward(destinations=("pacs", "archive", "pacs"))
    again = box.forward(destinations=("archive", "research"))

    assert (first, again) == (2, 1)


def test_a_claim_of_an_original_tells_its_file_and_transfer_syntax(box: OutboxMaker) -> None:
    claim = box.sending()

    new = new_instance(1)
    assert (claim.file, claim.sop_class_uid, claim.sop_instance_uid) == (
        new.file,
        new.sop_class_uid,
        new.sop_instance_uid,
    )
    assert (claim.transfer_syntax_uid, claim.destination, claim.attempt) == (new.transfer_syntax_uid, "pacs", 1)
    assert box.look(claim.delivery_id).state == "sending"


def test_a_claim_of_a_report_object_tells_its_file_and_case(box: OutboxMaker, make: CaseMaker) -> None:
    case = make.running()
    make.report(case)

    (claim,) = box.claim()

    sr = report_object("sr")
    assert (claim.file, claim.sop_class_uid, claim.sop_instance_uid) == (
        sr.file,
        sr.sop_class_uid,
        sr.sop_instance_uid,
    )
    assert (claim.transfer_syntax_uid, claim.case_id) == (None, case.case_id)


def test_results_go_before_originals_and_older_before_newer(box: OutboxMaker, make: CaseMaker) -> None:
    for number in (101, 102):
        box.forward(number)
    claim = make.running()
    make.report(claim, objects=("sr", "overlay"))

    claims = box.claim()

    assert [one.sop_instance_uid for one in claims] == [
        report_object("sr").sop_instance_uid,
        report_object("overlay").sop_instance_uid,
        new_instance(101).sop_instance_uid,
        new_instance(102).sop_instance_uid,
    ]


def test_a_sender_claims_only_for_its_destination_and_not_more_than_the_limit(box: OutboxMaker) -> None:
    for number in range(3):
        box.forward(number, ("pacs", "archive"))

    claims = box.claim("archive", limit=2)

    assert [claim.destination for claim in claims] == ["archive", "archive"]


def test_a_claimed_delivery_is_not_claimed_again_while_the_lease_runs(box: OutboxMaker, clock: Clock) -> None:
    box.sending()
    clock.pass_s(LEASE_S - 1)

    assert box.claim() == []


def test_a_delivery_whose_lease_ran_out_is_claimed_again_as_another_attempt(box: OutboxMaker, clock: Clock) -> None:
    lost = box.sending()
    clock.pass_s(LEASE_S)

    (claim,) = box.claim(owner="other")

    assert (claim.delivery_id, claim.attempt) == (lost.delivery_id, 2)
    assert claim.fence > lost.fence
    assert box.look(claim.delivery_id).reason == "no answer: the lease of sender ran out"


def test_what_a_dead_sender_had_claimed_is_due_at_once(box: OutboxMaker, clock: Clock) -> None:
    claim = box.sending()

    with box.database.transaction() as session:
        ended = outbox.end_leases(session, clock())

    assert ended == 1
    (again,) = box.claim(owner="next")
    assert (again.delivery_id, again.attempt, again.perhaps_held) == (claim.delivery_id, 2, True)


def test_a_sender_that_lost_its_lease_changes_nothing(box: OutboxMaker, clock: Clock) -> None:
    late = box.sending()
    clock.pass_s(LEASE_S)
    (current,) = box.claim(owner="other")

    with pytest.raises(LeaseLost), box.database.transaction() as session:
        outbox.sent(session, late, now=clock())
    with pytest.raises(LeaseLost), box.database.transaction() as session:
        outbox.retry_later(session, late, reason="timeout", available_at=clock())
    with pytest.raises(LeaseLost), box.database.transaction() as session:
        outbox.dead(session, late, reason="refused", now=clock())

    row = box.look(late.delivery_id)
    assert (row.state, row.fence) == ("sending", current.fence)


def test_a_claim_tells_whether_the_peer_may_hold_the_object_from_an_earlier_attempt(
    box: OutboxMaker, clock: Clock
) -> None:
    def fail(unanswered: bool) -> bool:
        (claim,) = box.claim()
        with box.database.transaction() as session:
            outbox.retry_later(session, claim, reason="fault", available_at=clock(), unanswered=unanswered)
        return claim.perhaps_held

    box.forward()

    assert [fail(False), fail(True), fail(False), fail(False)] == [False, False, True, False]


def test_a_claim_after_a_lease_that_ran_out_tells_that_the_peer_may_hold_the_object(
    box: OutboxMaker, clock: Clock
) -> None:
    box.sending()
    clock.pass_s(LEASE_S)

    (claim,) = box.claim()

    assert claim.perhaps_held


def test_what_is_put_back_is_due_at_once_with_its_attempts_and_its_doubt_as_before(
    box: OutboxMaker, clock: Clock
) -> None:
    first = box.sending()
    with box.database.transaction() as session:
        outbox.retry_later(session, first, reason="fault", available_at=clock(), unanswered=True)
    claims = box.claim()

    with box.database.transaction() as session:
        assert outbox.put_back(session, claims) == []
    (again,) = box.claim()

    assert (again.attempt, again.perhaps_held) == (2, True)
    assert again.fence > claims[0].fence


def test_many_claims_are_settled_together_each_with_its_note(box: OutboxMaker, clock: Clock) -> None:
    for number in range(3):
        box.forward(number)
    claims = box.claim()

    with box.database.transaction() as session:
        lost = outbox.sent_all(session, [(claims[0], ""), (claims[1], "0xB000"), (claims[2], "")], now=clock())

    rows = [box.look(claim.delivery_id) for claim in claims]
    assert lost == []
    assert [(row.state, row.reason, row.sent_at) for row in rows] == [
        ("sent", "", clock()),
        ("sent", "0xB000", clock()),
        ("sent", "", clock()),
    ]


def test_of_many_claims_only_those_that_still_count_are_settled(box: OutboxMaker, clock: Clock) -> None:
    late = box.sending()
    clock.pass_s(LEASE_S)
    (current,) = box.claim(owner="other")

    with box.database.transaction() as session:
        lost = [outbox.sent_all(session, [(late, "")], now=clock()), outbox.put_back(session, [late])]

    assert lost == [[late], [late]]
    assert (box.look(late.delivery_id).state, box.look(late.delivery_id).fence) == ("sending", current.fence)


@pytest.mark.parametrize(
    ("state", "with_commitment", "settled"),
    [
        ("pending", [], False),
        ("sending", [], False),
        ("sent", [], True),
        ("sent", ["pacs"], False),
        ("sent", ["archive"], True),
        ("committed", ["pacs"], True),
        ("dead", ["pacs"], True),
    ],
)
def test_a_delivery_is_settled_when_nothing_more_will_happen_to_it(
    box: OutboxMaker, clock: Clock, state: str, with_commitment: list[str], settled: bool
) -> None:
    box.forward()
    with box.database.transaction() as session:
        session.execute(update(DeliveryRow).values(state=state, lease_until=clock()))

    with box.database.reading() as session:
        found = session.scalars(select(DeliveryRow.id).where(outbox.is_settled(with_commitment))).all()

    assert bool(found) is settled


def test_a_sent_delivery_keeps_when_and_the_note_and_is_never_claimed_again(box: OutboxMaker, clock: Clock) -> None:
    claim = box.sending()
    at = clock.pass_s(1)

    with box.database.transaction() as session:
        outbox.sent(session, claim, now=at, note="0xB000 coerced")
    clock.pass_s(LEASE_S * 100)

    row = box.look(claim.delivery_id)
    assert (row.state, row.sent_at, row.reason, row.lease_until) == ("sent", at, "0xB000 coerced", None)
    assert box.claim() == []


def test_a_delivery_is_settled_once(box: OutboxMaker, clock: Clock) -> None:
    claim = box.sending()
    with box.database.transaction() as session:
        outbox.sent(session, claim, now=clock())

    with pytest.raises(LeaseLost), box.database.transaction() as session:
        outbox.dead(session, claim, reason="refused", now=clock())

    assert box.look(claim.delivery_id).state == "sent"


def test_a_postponed_delivery_is_due_after_its_delay(box: OutboxMaker, clock: Clock) -> None:
    claim = box.sending()
    with box.database.transaction() as session:
        outbox.retry_later(session, claim, reason="connection refused", available_at=clock() + timedelta(seconds=5))

    early = box.claim()
    clock.pass_s(5)
    (due,) = box.claim()

    assert early == []
    assert (due.attempt, box.look(due.delivery_id).reason) == (2, "connection refused")


def test_a_dead_letter_keeps_its_reason_and_waits_for_a_person(box: OutboxMaker, clock: Clock) -> None:
    claim = box.dead()
    clock.pass_s(LEASE_S * 100)

    row = box.look(claim.delivery_id)
    assert (row.state, row.reason) == ("dead", "0xC000 refused")
    assert box.claim() == []


def test_what_waits_for_an_unknown_destination_becomes_a_dead_letter(
    box: OutboxMaker, make: CaseMaker, clock: Clock
) -> None:
    claim = make.running()
    make.report(claim, ("sr", "overlay"), destinations=("gone",))
    box.forward(50, ("pacs",))
    (under_way,) = box.claim("gone", limit=1)

    with box.database.transaction() as session:
        first = outbox.strand(session, ["pacs"], clock())
    clock.pass_s(LEASE_S)
    with box.database.transaction() as session:
        second = outbox.strand(session, ["pacs"], clock())
        finished = cases.finish_delivered(session, clock())

    assert (dict(first), dict(second), finished) == ({"gone": 1}, {"gone": 1}, 1)
    row = box.look(under_way.delivery_id)
    assert row.state == DeliveryState.DEAD
    assert row.reason == "destination gone is not in the settings: add it and run `spinenode outbox retry`"
    assert [one.destination for one in box.claim()] == ["pacs"]


def test_all_dead_letters_are_sent_again_on_request_with_attempts_counted_anew(box: OutboxMaker, clock: Clock) -> None:
    dead = box.dead()

    with box.database.transaction() as session:
        assert dead_letters.resend(session, None, clock()).due == 1
    (claim,) = box.claim()

    assert (claim.delivery_id, claim.attempt) == (dead.delivery_id, 1)


def test_a_named_delivery_that_waits_for_its_next_attempt_is_sent_at_once(box: OutboxMaker, clock: Clock) -> None:
    claim = box.sending()
    with box.database.transaction() as session:
        outbox.retry_later(session, claim, reason="timeout", available_at=clock() + timedelta(hours=1))

    with box.database.transaction() as session:
        assert dead_letters.resend(session, [claim.delivery_id], clock()).due == 1

    assert len(box.claim()) == 1


def test_asking_again_for_what_is_sent_or_unknown_changes_nothing(box: OutboxMaker, clock: Clock) -> None:
    claim = box.sending()
    with box.database.transaction() as session:
        outbox.sent(session, claim, now=clock())

    with box.database.transaction() as session:
        assert dead_letters.resend(session, [claim.delivery_id, 4711], clock()) == AskedAgain(due=0, removed=())
    assert box.look(claim.delivery_id).state == "sent"


def test_what_retention_has_removed_is_not_asked_for_again(box: OutboxMaker, make: CaseMaker, clock: Clock) -> None:
    make.report(make.running(), objects=("sr", "overlay"))
    sr, overlay = box.claim()
    with box.database.transaction() as session:
        for claim in (sr, overlay):
            outbox.dead(session, claim, reason="refused", now=clock())
        removed = ReportObjectRow.sop_instance_uid == sr.sop_instance_uid
        session.execute(update(ReportObjectRow).where(removed).values(purged_at=clock()))

    with box.database.transaction() as session:
        named = dead_letters.resend(session, [sr.delivery_id], clock())
        every = dead_letters.resend(session, None, clock())

    assert named == AskedAgain(due=0, removed=(sr.delivery_id,))
    assert every == AskedAgain(due=1, removed=(sr.delivery_id,))
    assert (box.look(sr.delivery_id).state, box.look(overlay.delivery_id).state) == ("dead", "pending")


def test_a_renewed_lease_runs_until_then_and_one_that_was_lost_is_not_renewed(box: OutboxMaker, clock: Clock) -> None:
    claim = box.sending()
    clock.pass_s(LEASE_S - 1)

    with box.database.transaction() as session:
        renewed = outbox.renew(session, [claim], clock() + timedelta(seconds=LEASE_S))
    clock.pass_s(LEASE_S - 1)
    still_claimed = box.claim(owner="other")
    clock.pass_s(1)
    box.claim(owner="other")
    with box.database.transaction() as session:
        lost = outbox.renew(session, [claim], clock() + timedelta(seconds=LEASE_S))

    assert (renewed, still_claimed, lost) == (1, [], 0)


def test_what_arrived_with_a_note_is_counted_apart(box: OutboxMaker, clock: Clock) -> None:
    for number in range(3):
        box.forward(number)
    claims = box.claim()
    with box.database.transaction() as session:
        outbox.sent_all(session, [(claims[0], ""), (claims[1], "0xB000"), (claims[2], "0xB007")], now=clock())

    with box.database.reading() as session:
        assert outbox.notes(session) == {("pacs", DeliveryState.SENT): 2}


def test_the_listing_shows_the_newest_first_and_can_be_narrowed_by_state(box: OutboxMaker) -> None:
    dead = box.dead()
    box.forward(2)
    box.forward(3)

    with box.database.reading() as session:
        newest = [row.id for row in outbox.listing(session, limit=2)]
        only_dead = [row.id for row in outbox.listing(session, states=[DeliveryState.DEAD])]

    assert newest == [dead.delivery_id + 2, dead.delivery_id + 1]
    assert only_dead == [dead.delivery_id]


def test_counts_are_told_by_destination_and_state(box: OutboxMaker) -> None:
    box.dead()
    box.forward(2, ("pacs", "archive"))
    box.forward(3, ("pacs",))

    with box.database.reading() as session:
        counts = outbox.counts(session)

    assert counts == {("pacs", "dead"): 1, ("pacs", "pending"): 2, ("archive", "pending"): 1}


def test_a_delivery_is_of_exactly_one_object(box: OutboxMaker, clock: Clock) -> None:
    with box.database.transaction() as session:
        session.add(DeliveryRow(destination="pacs", available_at=clock(), created_at=clock()))
        with pytest.raises(IntegrityError, match="one_object"):
            session.flush()
        session.rollback()


def test_senders_that_claim_at_the_same_moment_never_get_the_same_delivery(box: OutboxMaker) -> None:
    for number in range(DELIVERIES):
        box.forward(number)
    together = threading.Barrier(SENDERS)

    def work(number: int) -> list[int]:
        together.wait(30)
        mine: list[int] = []
        while claims := box.claim(owner=f"sender-{number}", limit=3):
            mine += [claim.delivery_id for claim in claims]
        return mine

    with ThreadPoolExecutor(SENDERS) as pool:
        claimed = [delivery_id for many in pool.map(work, range(SENDERS)) for delivery_id in many]

    assert len(claimed) == len(set(claimed)) == DELIVERIES
