"""What we ask archives to take responsibility for, and what their answers do."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from storage import commitments, outbox
from storage.commitments import Answer, Question, Settled
from storage.database import Database
from storage.errors import IllegalTransition
from storage.instances import InstanceRecorder
from storage.outbox import DeliveryClaim
from storage.schema import CommitmentRow, CommitmentState, DeliveryRow, InstanceRow, ReportObjectRow
from tests.storage.conftest import CaseMaker, Clock, new_instance, report_object

MR = "1.2.840.10008.5.1.4.1.1.4"
WAIT_S = 3600.0
SETTLING_S = 5.0
MAXIMUM_ATTEMPTS = 3


def uid(number: int) -> str:
    return new_instance(number).sop_instance_uid


class Archive:
    """Sends instances to one destination and asks it about them."""

    def __init__(self, database: Database, recorder: InstanceRecorder, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._recorder = recorder
        self._questions = 0

    def sent(self, *numbers: int, destination: str = "pacs") -> list[int]:
        """Deliver new instances; the delivery of each."""
        for number in numbers:
            self.forward(number, destination)
        return self.send(destination)

    def forward(self, number: int, destination: str = "pacs") -> None:
        self._recorder.record(new_instance(number))
        with self.database.transaction() as session:
            wanted = select(InstanceRow).where(InstanceRow.sop_instance_uid == uid(number))
            outbox.forward(session, session.scalars(wanted).one(), (destination,), self.clock())

    def claim(self, destination: str) -> list[DeliveryClaim]:
        with self.database.transaction() as session:
            return outbox.claim(
                session, destination=destination, owner="sender", now=self.clock(), lease_s=60, limit=1000
            )

    def send(self, destination: str = "pacs") -> list[int]:
        claims = self.claim(destination)
        with self.database.transaction() as session:
            for claim in claims:
                outbox.sent(session, claim, now=self.clock())
        return [claim.delivery_id for claim in claims]

    def is_due(self) -> bool:
        with self.database.reading() as session:
            return commitments.is_due(session, destination="pacs", now=self.clock(), sent_before=self._settled_at())

    def ask(self, *, limit: int = 500, destination: str = "pacs") -> Question | None:
        self._questions += 1
        with self.database.transaction() as session:
            return commitments.ask(
                session,
                destination=destination,
                transaction_uid=f"2.25.9{self._questions}",
                now=self.clock(),
                sent_before=self._settled_at(),
                answer_due_at=self.clock() + timedelta(seconds=WAIT_S),
                limit=limit,
            )

    def asked(self, *numbers: int) -> Question:
        self.sent(*numbers)
        self.clock.pass_s(SETTLING_S)
        question = self.ask()
        assert question is not None
        return question

    def answer(
        self, question: Question, *, committed: tuple[int, ...] = (), failed: tuple[int, ...] = (), again_s: float = 30
    ) -> Settled:
        def send_again_at(attempts: int) -> datetime | None:
            return self.clock() + timedelta(seconds=again_s) if attempts < MAXIMUM_ATTEMPTS else None

        with self.database.transaction() as session:
            return commitments.settle(
                session,
                question.transaction_uid,
                Answer(
                    committed=frozenset((MR, uid(number)) for number in committed),
                    failed={uid(number): "0x0112 no such object instance" for number in failed},
                ),
                now=self.clock(),
                ask_again_at=self.clock() + timedelta(seconds=WAIT_S),
                send_again_at=send_again_at,
            )

    def expire(self) -> int:
        with self.database.transaction() as session:
            return commitments.expire(session, destination="pacs", now=self.clock())

    def deliveries(self) -> list[tuple[str, str]]:
        """State and reason of each."""
        with self.database.reading() as session:
            rows = session.scalars(select(DeliveryRow).order_by(DeliveryRow.id))
            return [(row.state, row.reason) for row in rows]

    def states(self) -> list[str]:
        return [state for state, _ in self.deliveries()]

    def commitment(self, question: Question) -> CommitmentRow:
        with self.database.reading() as session:
            return session.get_one(CommitmentRow, question.commitment_id)

    def _settled_at(self) -> datetime:
        return self.clock() - timedelta(seconds=SETTLING_S)


@pytest.fixture
def archive(database: Database, recorder: InstanceRecorder, clock: Clock) -> Archive:
    return Archive(database, recorder, clock)


def test_what_was_sent_some_seconds_ago_is_asked_about_in_one_question(archive: Archive, clock: Clock) -> None:
    archive.sent(1, 2)

    too_early = archive.ask()
    clock.pass_s(SETTLING_S)
    question = archive.ask()

    assert too_early is None
    assert question is not None
    assert question.instances == ((MR, uid(1)), (MR, uid(2)))
    assert archive.commitment(question).state == CommitmentState.ASKED


def test_a_report_object_is_asked_about_like_an_image(archive: Archive, make: CaseMaker, clock: Clock) -> None:
    make.report(make.running())
    archive.send()
    clock.pass_s(SETTLING_S)

    question = archive.ask()

    made = report_object("sr", revision=1)
    assert question is not None
    assert question.instances == ((made.sop_class_uid, made.sop_instance_uid),)


def test_what_is_asked_about_is_not_asked_about_again_while_an_answer_may_come(archive: Archive, clock: Clock) -> None:
    archive.asked(1)

    clock.pass_s(WAIT_S - 1)

    assert not archive.is_due()
    assert archive.ask() is None


def test_a_question_takes_no_more_than_its_limit_and_only_its_own_destination(archive: Archive, clock: Clock) -> None:
    archive.sent(1, 2, 3)
    archive.sent(4, destination="other")
    clock.pass_s(SETTLING_S)

    first, second, third = archive.ask(limit=2), archive.ask(limit=2), archive.ask(limit=2)

    assert first is not None
    assert second is not None
    assert [uid for _, uid in first.instances + second.instances] == [uid(1), uid(2), uid(3)]
    assert third is None


def test_what_the_archive_took_responsibility_for_is_committed(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1, 2)

    settled = archive.answer(question, committed=(1, 2))

    assert settled == Settled(committed=2)
    assert archive.states() == ["committed", "committed"]
    row = archive.commitment(question)
    assert (row.state, row.answered_at) == (CommitmentState.ANSWERED, clock())


def test_what_the_archive_does_not_hold_is_sent_again_later_with_the_reason(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1, 2)

    settled = archive.answer(question, committed=(1,), failed=(2,))
    at_once = archive.send()
    clock.pass_s(30)
    later = archive.send()

    assert settled == Settled(committed=1, sent_again=1)
    assert at_once == []
    assert len(later) == 1
    assert archive.states() == ["committed", "sent"]


def test_a_delivery_that_waits_to_be_sent_again_tells_why(archive: Archive) -> None:
    archive.answer(archive.asked(1), failed=(1,))

    assert archive.deliveries() == [("pending", "0x0112 no such object instance")]


def test_an_object_that_is_never_committed_becomes_a_dead_letter_when_its_attempts_are_used_up(
    archive: Archive, clock: Clock
) -> None:
    question: Question | None = archive.asked(1)
    for _ in range(MAXIMUM_ATTEMPTS - 1):
        assert question is not None
        archive.answer(question, failed=(1,), again_s=0)
        archive.send()
        clock.pass_s(SETTLING_S)
        question = archive.ask()

    assert question is not None
    settled = archive.answer(question, failed=(1,))

    assert len(settled.dead) == 1
    assert archive.deliveries() == [("dead", "gave up after 3 attempts: 0x0112 no such object instance")]


def test_what_an_answer_does_not_mention_is_asked_about_again(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1, 2)

    settled = archive.answer(question, committed=(1,))
    clock.pass_s(WAIT_S)
    again = archive.ask()

    assert settled == Settled(committed=1, unmentioned=1)
    assert again is not None
    assert again.instances == ((MR, uid(2)),)


def test_an_answer_about_another_class_commits_nothing(archive: Archive) -> None:
    question = archive.asked(1)
    wrong_class = Answer(committed=frozenset({("1.2.840.10008.5.1.4.1.1.2", uid(1))}), failed={})

    with archive.database.transaction() as session:
        commitments.settle(
            session,
            question.transaction_uid,
            wrong_class,
            now=archive.clock(),
            ask_again_at=archive.clock(),
            send_again_at=lambda _attempts: None,
        )

    assert archive.states() == ["sent"]


def test_an_instance_that_is_both_committed_and_failed_counts_as_failed(archive: Archive) -> None:
    settled = archive.answer(archive.asked(1), committed=(1,), failed=(1,))

    assert settled == Settled(sent_again=1)


def test_a_question_without_an_answer_expires_and_is_asked_again(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1)

    early = archive.expire()
    clock.pass_s(WAIT_S)
    expired, due, again = archive.expire(), archive.is_due(), archive.ask()

    assert (early, expired, due) == (0, 1, True)
    row = archive.commitment(question)
    assert (row.state, row.reason) == (CommitmentState.EXPIRED, "no answer in time")
    assert again is not None
    assert again.transaction_uid != question.transaction_uid


def test_a_refused_question_is_asked_again_at_the_given_time(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1)

    with archive.database.transaction() as session:
        again_at = clock() + timedelta(seconds=60)
        commitments.not_answered(session, question.commitment_id, reason="refused", ask_again_at=again_at)
    at_once = archive.ask()
    clock.pass_s(60)

    assert at_once is None
    assert archive.ask() is not None
    assert archive.commitment(question).reason == "refused"


def test_an_answer_that_came_before_the_association_broke_is_kept(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1)
    archive.answer(question, committed=(1,))

    with archive.database.transaction() as session:
        commitments.not_answered(session, question.commitment_id, reason="no response", ask_again_at=clock())

    assert archive.commitment(question).state == CommitmentState.ANSWERED
    assert archive.ask() is None


def test_an_answer_that_comes_after_the_question_was_asked_again_still_commits(archive: Archive, clock: Clock) -> None:
    late = archive.asked(1)
    clock.pass_s(WAIT_S)
    archive.expire()
    assert archive.ask() is not None

    settled = archive.answer(late, committed=(1,))

    assert settled.committed == 1
    assert archive.states() == ["committed"]


def test_a_late_failure_is_left_to_the_younger_question(archive: Archive, clock: Clock) -> None:
    late = archive.asked(1)
    clock.pass_s(WAIT_S)
    archive.expire()
    assert archive.ask() is not None

    settled = archive.answer(late, failed=(1,))

    assert settled == Settled()
    assert archive.states() == ["sent"]


def test_an_old_answer_does_not_commit_what_was_sent_after_its_question(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1)
    archive.answer(question, failed=(1,), again_s=0)
    clock.pass_s(1)
    archive.send()

    settled = archive.answer(question, committed=(1,))

    assert settled == Settled()
    assert archive.states() == ["sent"]


def test_the_same_answer_twice_changes_nothing_more(archive: Archive) -> None:
    question = archive.asked(1, 2)
    archive.answer(question, committed=(1,), failed=(2,), again_s=0)
    archive.send()

    settled = archive.answer(question, committed=(1,), failed=(2,))

    assert settled == Settled()
    assert archive.states() == ["committed", "sent"]


def test_an_answer_of_one_destination_does_not_touch_the_deliveries_of_another(archive: Archive, clock: Clock) -> None:
    question = archive.asked(1)
    with archive.database.transaction() as session:
        instance = session.scalars(select(InstanceRow)).one()
        outbox.forward(session, instance, ("other",), clock())
    archive.send("other")

    archive.answer(question, committed=(1,))

    assert archive.states() == ["committed", "sent"]


def test_an_answer_to_an_unknown_transaction_is_refused(archive: Archive) -> None:
    unknown = Question(commitment_id=7, transaction_uid="2.25.7", destination="pacs", instances=())

    with pytest.raises(IllegalTransition, match=r"2\.25\.7 is unknown"):
        archive.answer(unknown, committed=(1,))
    with archive.database.reading() as session:
        assert commitments.destination_of(session, "2.25.7") is None


def test_an_answer_about_more_instances_than_one_statement_takes_is_settled_whole(archive: Archive) -> None:
    numbers = tuple(range(1, 602))
    archive.sent(*numbers[-2:])
    archive.clock.pass_s(SETTLING_S)
    question = archive.ask()
    assert question is not None

    settled = archive.answer(question, committed=numbers)

    assert settled.committed == 2


def test_an_answer_about_what_is_not_sent_any_more_commits_nothing(archive: Archive) -> None:
    question = archive.asked(1)
    archive.answer(question, failed=(1,))

    settled = archive.answer(question, committed=(1,))

    assert settled == Settled()
    assert archive.states() == ["pending"]


def test_the_warning_with_which_an_object_was_taken_stays_when_it_is_committed(archive: Archive, clock: Clock) -> None:
    archive.forward(1)
    (claim,) = archive.claim("pacs")
    with archive.database.transaction() as session:
        outbox.sent(session, claim, now=clock(), note="0xB000 stored with a warning")
    clock.pass_s(SETTLING_S)
    question = archive.ask()
    assert question is not None

    archive.answer(question, committed=(1,))

    assert archive.deliveries() == [("committed", "0xB000 stored with a warning")]


def purge_reports(archive: Archive) -> None:
    with archive.database.transaction() as session:
        session.execute(update(ReportObjectRow).values(purged_at=archive.clock()))


def test_what_retention_has_removed_is_not_asked_about(archive: Archive, make: CaseMaker, clock: Clock) -> None:
    make.report(make.running())
    archive.send()
    purge_reports(archive)
    clock.pass_s(SETTLING_S)

    assert not archive.is_due()
    assert archive.ask() is None


def test_what_retention_has_removed_is_not_sent_again_when_the_archive_lacks_it(
    archive: Archive, make: CaseMaker, clock: Clock
) -> None:
    make.report(make.running())
    archive.send()
    clock.pass_s(SETTLING_S)
    question = archive.ask()
    assert question is not None
    purge_reports(archive)
    ((_, made),) = question.instances

    with archive.database.transaction() as session:
        settled = commitments.settle(
            session,
            question.transaction_uid,
            Answer(committed=frozenset(), failed={made: "0x0112 no such object instance"}),
            now=clock(),
            ask_again_at=clock(),
            send_again_at=lambda _attempts: clock(),
        )

    assert len(settled.dead) == 1
    assert archive.deliveries() == [("dead", "removed by retention: 0x0112 no such object instance")]


def test_what_was_never_committed_is_counted_from_when_it_was_sent(archive: Archive, clock: Clock) -> None:
    archive.answer(archive.asked(1, 2), committed=(1,))
    archive.sent(3, destination="other")
    sent_by = clock()
    clock.pass_s(1)
    archive.sent(4)

    with archive.database.reading() as session:
        assert commitments.never_answered(session, destination="pacs", sent_before=sent_by) == 1


def test_old_questions_are_forgotten_unless_an_open_delivery_waits_for_them(archive: Archive, clock: Clock) -> None:
    archive.answer(archive.asked(1), committed=(1,))
    superseded = archive.asked(2)
    clock.pass_s(WAIT_S)
    archive.expire()
    waited_for = archive.ask()
    assert waited_for is not None
    clock.pass_s(WAIT_S)
    archive.expire()
    long_after = clock.pass_s(1)
    archive.sent(3, destination="other")
    clock.pass_s(SETTLING_S)
    young = archive.ask(destination="other")
    assert young is not None
    archive.answer(young, committed=(3,))

    def prune() -> int:
        with archive.database.transaction() as session:
            return commitments.prune(session, before=long_after, limit=1)

    assert [prune(), prune(), prune()] == [1, 1, 0]
    with archive.database.reading() as session:
        left = session.scalars(select(CommitmentRow.transaction_uid).order_by(CommitmentRow.id)).all()
        of_deliveries = session.scalars(select(DeliveryRow.commitment_id).order_by(DeliveryRow.id)).all()
    assert superseded.transaction_uid not in left
    assert left == [waited_for.transaction_uid, young.transaction_uid]
    assert of_deliveries[:2] == [None, waited_for.commitment_id]
