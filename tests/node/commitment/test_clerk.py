"""Storage commitment goes on by itself, and no peer holds up another."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import structlog

from config.settings import CallerSettings, SenderSettings
from node.commitment.clerk import CommitmentClerk, make_clerk
from node.errors import PeerUnavailable
from storage.errors import StorageError
from storage.files import FileStore
from tests.node.commitment.peers import (
    DEADLINE_S,
    LOOPBACK,
    Outbox,
    ask_node,
    listening_asker,
    memory_of,
    node_port,
    question_for,
    result_of,
    scripted_archive,
    send_report,
    settings_for,
)
from tests.node.conftest import MR
from tests.postgresql import free_port
from tests.system.orthanc import wait_until

SETTINGS = SenderSettings(retry_base_s=0.01, retry_cap_s=0.01)


@dataclass
class Errands:
    """Plays an asker or the reporter: runs `act` each time."""

    name: str = "pacs"
    errors: list[Exception] = field(default_factory=list)
    runs: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    owed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.gate.set()

    def ask_once(self) -> int:
        self.runs += 1
        assert self.gate.wait(DEADLINE_S)
        if self.errors:
            raise self.errors.pop(0)
        return 0

    def waiting(self) -> set[str]:
        return self.owed

    def report_once(self, _ae_title: str) -> int:
        return self.ask_once()


@pytest.fixture
def started() -> Iterator[list[CommitmentClerk]]:
    clerks: list[CommitmentClerk] = []
    yield clerks
    for clerk in clerks:
        clerk.stop()


def clerk_of(started: list[CommitmentClerk], *askers: Errands, reporter: Errands | None = None) -> None:
    clerk = CommitmentClerk(askers, reporter or Errands(), SETTINGS, look_every_s=0.02)  # type: ignore[arg-type]
    started.append(clerk)
    clerk.start()


def test_an_archive_that_hangs_holds_up_no_other(started: list[CommitmentClerk]) -> None:
    hanging, other = Errands("hanging"), Errands("other")
    hanging.gate.clear()

    clerk_of(started, hanging, other)
    wait_until(lambda: other.runs >= 2, timeout_s=DEADLINE_S, what="the other archive is asked twice")

    assert hanging.runs == 1
    hanging.gate.set()


def test_a_fault_is_told_once_and_the_errand_goes_on(started: list[CommitmentClerk]) -> None:
    failing = Errands(errors=[PeerUnavailable("away"), StorageError("locked"), ValueError("a bug")])

    with structlog.testing.capture_logs() as logs:
        clerk_of(started, failing)
        wait_until(lambda: failing.runs >= 5, timeout_s=DEADLINE_S, what="it runs again after every fault")

    events = [entry["event"] for entry in logs]
    assert events.count("commitment_peer_unavailable") == 1
    assert events.count("commitment_failed") == 1  # the bug, with its traceback; the others follow the first fault
    assert events.count("commitment_works_again") == 1


def test_each_peer_that_is_owed_a_result_gets_its_own_thread(started: list[CommitmentClerk]) -> None:
    reporter = Errands(owed={"CT", "MR"})
    reporter.gate.clear()

    clerk_of(started, reporter=reporter)
    wait_until(lambda: reporter.runs == 2, timeout_s=DEADLINE_S, what="both are being told")

    names = {thread.name for thread in threading.enumerate()}
    reporter.gate.set()
    assert {"commitment-report-CT", "commitment-report-MR"} <= names


def test_a_node_asks_its_archive_and_answers_its_callers(
    outbox: Outbox, files: FileStore, started: list[CommitmentClerk]
) -> None:
    outbox.sent()
    with listening_asker() as asker, scripted_archive() as archive:
        archive.script = lambda peer, event: peer.statuses.append(
            send_report(event.assoc, result_of(peer.questions[-1]))
        )
        scanner = CallerSettings(
            ae_title="SCANNER", addresses=("127.0.0.0/8",), report_host=LOOPBACK, report_port=asker.port
        )
        settings = settings_for(archive.port, callers=(scanner,))
        services = memory_of(outbox.database, settings)
        with node_port(services) as port:
            ask_node(port, question_for([(MR, "2.25.404")]))
        outbox.clock.pass_s(5)
        clerk = make_clerk(outbox.database, files, settings, services, owner="test")
        started.append(clerk)
        clerk.start()

        wait_until(lambda: asker.results, timeout_s=DEADLINE_S, what="the caller has its result")
        wait_until(lambda: outbox.states() == ["committed"], timeout_s=DEADLINE_S, what="the archive committed")

    assert asker.told() == (set(), {"2.25.404": 0x0112})


def test_a_destination_without_commitment_is_never_asked(outbox: Outbox, files: FileStore) -> None:
    settings = settings_for(free_port())
    plain = settings.destinations[0].model_copy(update={"commitment": None})
    settings = settings.model_copy(update={"destinations": (plain,)})

    clerk = make_clerk(outbox.database, files, settings, memory_of(outbox.database, settings), owner="test")

    assert clerk._asking == []
