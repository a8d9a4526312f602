"""Archives are asked to take responsibility; whatever they do, every delivery ends in one known state."""

from collections.abc import Iterator

import pytest
from pynetdicom.events import Event
from structlog.testing import capture_logs

from config.settings import CommitmentSettings
from node.errors import PeerUnavailable
from node.metrics import Metrics
from storage.schema import CommitmentState
from tests.node.commitment.peers import (
    ARCHIVE,
    Outbox,
    ScriptedArchive,
    breaking_archive,
    memory_of,
    node_port,
    report_over_new_association,
    result_of,
    scripted_archive,
    send_report,
    settings_for,
)
from tests.node.conftest import Clock
from tests.postgresql import free_port


def commits_all(archive: ScriptedArchive, event: Event) -> None:
    archive.statuses.append(send_report(event.assoc, result_of(archive.questions[-1])))


def test_what_the_archive_commits_over_the_same_association_is_committed(outbox: Outbox) -> None:
    uids = outbox.sent(3)
    with scripted_archive(commits_all) as archive:
        asked = outbox.asker(settings_for(archive.port)).ask_once()

        assert archive.joined() == [0x0000]
    assert asked == 1
    (question,) = archive.questions
    assert [item.ReferencedSOPInstanceUID for item in question.ReferencedSOPSequence] == uids
    assert outbox.states() == ["committed"] * 3


def test_several_questions_go_over_one_association_each_with_its_own_result(outbox: Outbox) -> None:
    outbox.sent(1001)
    with scripted_archive(commits_all) as archive:
        asked = outbox.asker(settings_for(archive.port)).ask_once()

        assert archive.joined() == [0x0000] * 3
    assert asked == 3
    assert [len(question.ReferencedSOPSequence) for question in archive.questions] == [500, 500, 1]
    assert set(outbox.states()) == {"committed"}


def test_a_result_over_a_new_association_commits(outbox: Outbox) -> None:
    outbox.sent(2)
    with scripted_archive() as archive:
        settings = settings_for(archive.port)
        outbox.asker(settings, same_association_s=0).ask_once()
        with node_port(memory_of(outbox.database, settings)) as port:
            status = report_over_new_association(port, result_of(archive.questions[0]))

    assert status == 0x0000
    assert outbox.states() == ["committed", "committed"]


def test_the_question_is_on_disk_before_the_archive_sees_it(outbox: Outbox) -> None:
    outbox.sent()
    known: list[str] = []

    def looks(archive: ScriptedArchive, event: Event) -> None:
        known.extend(row.transaction_uid for row in outbox.questions())

    with scripted_archive(looks) as archive:
        outbox.asker(settings_for(archive.port), same_association_s=0).ask_once()
        archive.joined()

    assert known == [archive.questions[0].TransactionUID]


def test_what_the_archive_does_not_hold_is_sent_again_and_asked_about_again(outbox: Outbox, clock: Clock) -> None:
    _, second = outbox.sent(2)

    def lacks_one(archive: ScriptedArchive, event: Event) -> None:
        archive.statuses.append(send_report(event.assoc, result_of(archive.questions[-1], failed={second: 0x0112})))

    with scripted_archive(lacks_one) as archive:
        outbox.asker(settings_for(archive.port)).ask_once()
    missing = outbox.rows()[1]
    clock.pass_s(60)
    outbox.send()
    clock.pass_s(10)
    with scripted_archive(commits_all) as archive:
        outbox.asker(settings_for(archive.port)).ask_once()

    assert missing.state == "pending"
    assert missing.reason == "pacs does not commit itself: 0x0112 no such object instance"
    assert outbox.states() == ["committed", "committed"]


def test_what_an_archive_answers_is_counted(outbox: Outbox) -> None:
    _, second, _ = outbox.sent(3)
    metrics = Metrics()

    def lacks_one(archive: ScriptedArchive, event: Event) -> None:
        send_report(event.assoc, result_of(archive.questions[-1], failed={second: 0x0112}))

    with scripted_archive(lacks_one) as archive:
        outbox.asker(settings_for(archive.port), metrics=metrics).ask_once()

    assert metrics.value("commitments", destination="pacs", outcome="committed") == 2
    assert metrics.value("commitments", destination="pacs", outcome="sent_again") == 1
    assert metrics.value("commitments", destination="pacs", outcome="dead") == 0


def test_an_object_that_is_never_committed_ends_as_a_dead_letter(outbox: Outbox) -> None:
    (uid,) = outbox.sent()

    def lacks_it(archive: ScriptedArchive, event: Event) -> None:
        send_report(event.assoc, result_of(archive.questions[-1], failed={uid: 0x0112}))

    with scripted_archive(lacks_it) as archive:
        outbox.asker(settings_for(archive.port, maximum_attempts=1)).ask_once()

    (row,) = outbox.rows()
    assert row.state == "dead"
    assert row.reason.startswith("gave up after 1 attempts: pacs does not commit itself: 0x0112")


def test_what_a_result_does_not_mention_is_asked_about_again(outbox: Outbox, clock: Clock) -> None:
    first, second = outbox.sent(2)

    def tells_half(archive: ScriptedArchive, event: Event) -> None:
        send_report(event.assoc, result_of(archive.questions[-1], mention=[first]))

    with scripted_archive(tells_half) as archive:
        settings = settings_for(archive.port, commitment_wait_s=100)
        outbox.asker(settings).ask_once()
        half = outbox.states()
        clock.pass_s(100)
        outbox.asker(settings).ask_once()

    assert half == ["committed", "sent"]
    (item,) = archive.questions[1].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == second


def test_an_archive_that_never_answers_is_asked_again_after_the_wait(outbox: Outbox, clock: Clock) -> None:
    outbox.sent()
    with scripted_archive() as archive:
        asker = outbox.asker(settings_for(archive.port, commitment_wait_s=100), same_association_s=0)
        counts = [asker.ask_once(), asker.ask_once()]
        clock.pass_s(100)
        counts.append(asker.ask_once())

    assert counts == [1, 0, 1]
    assert [row.state for row in outbox.questions()] == [CommitmentState.EXPIRED, CommitmentState.ASKED]
    assert len({question.TransactionUID for question in archive.questions}) == 2
    assert outbox.states() == ["sent"]


def test_a_refused_question_is_asked_again_later(outbox: Outbox, clock: Clock) -> None:
    outbox.sent()
    with scripted_archive(status=0x0213) as archive:
        asker = outbox.asker(settings_for(archive.port, retry_base_s=10))
        with pytest.raises(PeerUnavailable, match="0x0213 resource limitation"):
            asker.ask_once()
        at_once = asker.ask_once()
        clock.pass_s(20)
        archive.status = 0x0000
        archive.script = commits_all
        later = asker.ask_once()

    assert (at_once, later) == (0, 1)
    assert outbox.questions()[0].state == CommitmentState.EXPIRED
    assert outbox.states() == ["committed"]


def test_an_archive_that_breaks_the_association_is_asked_again_later(outbox: Outbox, clock: Clock) -> None:
    outbox.sent()

    with breaking_archive() as port, pytest.raises(PeerUnavailable, match="gave no answer"):
        outbox.asker(settings_for(port, retry_base_s=10)).ask_once()
    at_once = outbox.questions()
    clock.pass_s(20)
    with scripted_archive(commits_all) as archive:
        outbox.asker(settings_for(archive.port)).ask_once()

    assert [row.state for row in at_once] == [CommitmentState.EXPIRED]
    assert outbox.states() == ["committed"]


def test_nothing_is_written_while_the_archive_is_down(outbox: Outbox) -> None:
    outbox.sent()

    with pytest.raises(PeerUnavailable, match="cannot be reached"):
        outbox.asker(settings_for(free_port())).ask_once()

    assert outbox.questions() == []
    assert outbox.states() == ["sent"]


def test_no_association_is_opened_when_nothing_is_due(outbox: Outbox) -> None:
    asker = outbox.asker(settings_for(free_port()))

    assert asker.ask_once() == 0


def test_the_archive_may_commit_under_another_address(outbox: Outbox) -> None:
    outbox.sent()
    with scripted_archive(commits_all) as archive:
        elsewhere = CommitmentSettings(ae_title=ARCHIVE, port=archive.port)
        outbox.asker(settings_for(free_port(), commitment=elsewhere)).ask_once()

    assert outbox.states() == ["committed"]


def test_an_archive_that_never_commits_is_told_once_and_asked_on(outbox: Outbox, clock: Clock) -> None:
    outbox.sent(2)
    with scripted_archive() as archive:
        asker = outbox.asker(settings_for(archive.port, maximum_attempts=2, commitment_wait_s=60), same_association_s=0)
        with capture_logs() as logs:
            for _ in range(5):
                asker.ask_once()
                clock.pass_s(60)

    assert len(archive.questions) == 5
    assert outbox.states() == ["sent", "sent"]
    told = [entry for entry in logs if entry["event"] == "commitment_never_answered"]
    assert [(entry["destination"], entry["deliveries"]) for entry in told] == [("pacs", 2)]


@pytest.fixture
def open_question(outbox: Outbox) -> Iterator[tuple[Outbox, ScriptedArchive, int]]:
    """One delivery that the archive `pacs` was asked about, and the node's port for the result."""
    outbox.sent()
    with scripted_archive() as archive:
        settings = settings_for(archive.port, commitment=CommitmentSettings(ae_title="COMMITTER"))
        outbox.asker(settings, same_association_s=0).ask_once()
        with node_port(memory_of(outbox.database, settings)) as port:
            yield outbox, archive, port


@pytest.mark.parametrize(
    ("calling", "status", "state"),
    [(ARCHIVE, 0x0000, "committed"), ("COMMITTER", 0x0000, "committed"), ("SCANNER", 0x0115, "sent")],
)
def test_a_result_is_believed_only_from_the_archive_that_was_asked(
    open_question: tuple[Outbox, ScriptedArchive, int], calling: str, status: int, state: str
) -> None:
    outbox, archive, port = open_question

    answered = report_over_new_association(port, result_of(archive.questions[0]), calling=calling)

    assert answered == status
    assert outbox.states() == [state]


def test_a_result_for_an_unknown_transaction_is_refused(open_question: tuple[Outbox, ScriptedArchive, int]) -> None:
    outbox, archive, port = open_question
    result = result_of(archive.questions[0])
    result.TransactionUID = "2.25.404"

    status = report_over_new_association(port, result)

    assert status == 0x0115
    assert outbox.states() == ["sent"]


def test_the_same_result_twice_is_taken_twice_and_counts_once(
    open_question: tuple[Outbox, ScriptedArchive, int],
) -> None:
    outbox, archive, port = open_question
    result = result_of(archive.questions[0])

    statuses = [report_over_new_association(port, result) for _ in range(2)]

    assert statuses == [0x0000, 0x0000]
    assert outbox.states() == ["committed"]
