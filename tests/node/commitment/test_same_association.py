"""A caller without an address for results gets them over the association of its request, while it keeps that open."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from sqlalchemy import select

from config.settings import CallerSettings, Settings
from node.commitment.parsing import PUSH_MODEL, PUSH_MODEL_INSTANCE, CommitmentRequest, ToldResult
from node.commitment.peer import RequestingEntity
from node.commitment.report import CommitmentReporter
from node.receiver import Receiver
from node.services import NodeServices
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.schema import CommitmentReportRow, CommitmentReportState
from tests.node.commitment.peers import (
    DEADLINE_S,
    LOOPBACK,
    NODE,
    SUCCESS,
    SYNTAXES,
    ask_and_stay,
    ask_node,
    listening_asker,
    question_for,
    received,
    settings_for,
    write_file,
)
from tests.node.conftest import MR, Clock
from tests.postgresql import free_port
from tests.system.orthanc import wait_until

QUESTION = [(MR, "2.25.1"), (MR, "2.25.404")]


class Node:
    """A real receiver on loopback, with one instance kept."""

    def __init__(self, database: Database, root: Path, clock: Clock, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.files = FileStore(root)
        self._recorder = InstanceRecorder(database)
        self._recorder.record(received("2.25.1", clock))
        write_file(root, "instances/00/2.25.1.dcm")
        listening = settings.receiver.model_copy(update={"bind_address": LOOPBACK, "port": 0, "minimum_free_bytes": 0})
        self.receiver = Receiver(
            listening,
            settings.callers,
            files=self.files,
            recorder=self._recorder,
            clock=clock,
            services=NodeServices(database, self.files, settings),
        )
        self.receiver.start()

    def row(self) -> CommitmentReportRow:
        with self.database.reading() as session:
            return session.scalars(select(CommitmentReportRow)).one()

    def reporter(self) -> CommitmentReporter:
        return CommitmentReporter(self.database, self.files, self.settings, owner="test")

    def stop(self) -> None:
        self.receiver.stop(drain_s=0.0)
        self._recorder.close()


def caller(report_port: int | None = None) -> CallerSettings:
    host = None if report_port is None else LOOPBACK
    return CallerSettings(ae_title="SCANNER", addresses=("127.0.0.0/8",), report_host=host, report_port=report_port)


@pytest.fixture
def node(memory: Database, clock: Clock, tmp_path: Path) -> Iterator[Node]:
    running = Node(memory, tmp_path / "files", clock, settings_for(callers=(caller(),)))
    yield running
    running.stop()


def test_a_caller_that_keeps_its_association_open_is_told_over_it(node: Node) -> None:
    asker = ask_and_stay(node.receiver.port, question_for(QUESTION))
    wait_until(
        lambda: node.row().state == CommitmentReportState.REPORTED, timeout_s=10, what="the report is written down"
    )

    assert asker.status == 0x0000
    assert asker.told() == ({"2.25.1"}, {"2.25.404": 0x0112})


def test_the_response_to_the_question_comes_before_the_result(node: Node) -> None:
    """Many peers would take the result for the response and abort."""
    for number in range(5):
        question = question_for(QUESTION, transaction_uid=f"2.25.6{number}")

        asker = ask_and_stay(node.receiver.port, question)

        assert asker.status == 0x0000


def test_a_caller_without_address_that_releases_at_once_is_given_up_in_time(node: Node, clock: Clock) -> None:
    status = ask_node(node.receiver.port, question_for(QUESTION))

    early = node.reporter().waiting()
    clock.pass_s(20)
    reported = node.reporter().report_once("SCANNER")

    assert status == 0x0000
    assert (early, reported) == (set(), 0)
    assert node.row().state == CommitmentReportState.DEAD


def test_a_caller_with_an_address_is_told_there_even_when_its_association_stays_open(
    memory: Database, clock: Clock, tmp_path: Path
) -> None:
    with listening_asker() as asker:
        node = Node(memory, tmp_path / "files", clock, settings_for(callers=(caller(asker.port),)))
        try:
            ask_node(node.receiver.port, question_for(QUESTION))
            clock.pass_s(2)
            reported = node.reporter().report_once("SCANNER")
        finally:
            node.stop()

    assert reported == 1
    assert asker.told() == ({"2.25.1"}, {"2.25.404": 0x0112})


def test_a_result_that_goes_elsewhere_is_not_offered_to_the_association(memory: Database, clock: Clock) -> None:
    services = NodeServices(memory, FileStore(Path("nowhere")), settings_for(callers=(caller(free_port()),)))
    request = CommitmentRequest(
        calling_ae_title="SCANNER", address=LOOPBACK, transaction_uid="2.25.1", instances=((MR, "2.25.1"),)
    )
    services.commitment_requested(request)

    assert services.commitment_outcome(request) is None


def test_a_request_of_the_caller_while_it_is_told_ends_nothing(node: Node) -> None:
    """It asks for an echo before it answers the report; both are answered."""
    being_told, may_answer = threading.Event(), threading.Event()

    def answers_later(_: Event) -> tuple[int, None]:
        being_told.set()
        may_answer.wait(DEADLINE_S)
        return SUCCESS, None

    entity = RequestingEntity(ae_title="SCANNER")
    entity.acse_timeout = entity.dimse_timeout = DEADLINE_S
    contexts = [build_context(PUSH_MODEL, SYNTAXES), build_context(Verification)]
    association = entity.associate(
        LOOPBACK,
        node.receiver.port,
        contexts=contexts,
        ae_title=NODE,
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, answers_later)],
    )
    association.send_n_action(question_for(QUESTION), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    told = being_told.wait(DEADLINE_S)
    echo = association.send_c_echo()
    may_answer.set()
    wait_until(
        lambda: node.row().state == CommitmentReportState.REPORTED, timeout_s=10, what="the report is written down"
    )
    is_still_there = association.is_established
    association.release()

    assert told
    assert echo.Status == SUCCESS
    assert is_still_there


def test_a_caller_that_does_not_answer_the_result_is_not_given_up_for_that(memory: Database, clock: Clock) -> None:
    services = NodeServices(memory, FileStore(Path("nowhere")), settings_for(callers=(caller(),)))
    request = CommitmentRequest(
        calling_ae_title="SCANNER", address=LOOPBACK, transaction_uid="2.25.1", instances=((MR, "2.25.1"),)
    )
    services.commitment_requested(request)
    owed = services.commitment_outcome(request)
    assert owed is not None

    told = ToldResult(report_id=owed.report_id, fence=owed.fence, attempt=owed.attempt, status=None)
    services.commitment_told(told)

    with memory.reading() as session:
        row = session.scalars(select(CommitmentReportRow)).one()
    assert (row.state, row.lease_until) == (CommitmentReportState.PENDING, None)
    assert row.available_at > clock()
