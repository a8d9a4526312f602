"""A peer that asks whether the node took responsibility is told the truth, once it can be told."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from config.settings import CallerSettings, Settings
from node.commitment.parsing import CommitmentRequest
from node.commitment.report import CommitmentReporter, report_caller
from node.errors import PeerUnavailable
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.schema import CommitmentReportRow, CommitmentReportState
from tests.node.commitment.peers import (
    LOOPBACK,
    NODE,
    ask_node,
    listening_asker,
    memory_of,
    node_port,
    question_for,
    received,
    settings_for,
    write_file,
)
from tests.node.conftest import MR, Clock
from tests.postgresql import free_port

CT = "1.2.840.10008.5.1.4.1.1.2"


@dataclass
class Node:
    """A node that kept some instances and can be asked for storage commitment."""

    database: Database
    clock: Clock
    root: Path
    port: int = 0

    def keep(self, uid: str, *, file: bool = True) -> None:
        recorder = InstanceRecorder(self.database)
        recorder.record(received(uid, self.clock))
        recorder.close()
        if file:
            write_file(self.root, f"instances/00/{uid}.dcm")

    def asked(self, *instances: tuple[str, str]) -> None:
        assert ask_node(self.port, question_for(instances)) == 0x0000
        self.clock.pass_s(2)

    def reporter(self, report_port: int | None, **sender: float) -> CommitmentReporter:
        return CommitmentReporter(self.database, FileStore(self.root), settings_to(report_port, **sender), owner="test")

    def row(self) -> CommitmentReportRow:
        with self.database.reading() as session:
            return session.scalars(select(CommitmentReportRow)).one()


def settings_to(report_port: int | None, **sender: float) -> Settings:
    host = None if report_port is None else LOOPBACK
    caller = CallerSettings(ae_title="SCANNER", addresses=("127.0.0.0/8",), report_host=host, report_port=report_port)
    return settings_for(callers=(caller,), **sender)


@pytest.fixture
def node(memory: Database, clock: Clock, tmp_path: Path) -> Iterator[Node]:
    with node_port(memory_of(memory, settings_to(free_port()))) as port:
        yield Node(memory, clock, tmp_path / "files", port)


def test_what_is_held_is_committed_and_what_is_not_fails_with_the_reason(node: Node) -> None:
    node.keep("2.25.1")
    node.keep("2.25.2")
    node.keep("2.25.3", file=False)
    node.asked((MR, "2.25.1"), (CT, "2.25.2"), (MR, "2.25.3"), (MR, "2.25.4"))

    with listening_asker() as asker:
        reported = node.reporter(asker.port).report_once("SCANNER")

    assert reported == 1
    assert asker.callers == [NODE]
    assert asker.results[0].TransactionUID == "2.25.1234"
    assert asker.told() == ({"2.25.1"}, {"2.25.2": 0x0119, "2.25.3": 0x0112, "2.25.4": 0x0112})
    assert node.row().state == CommitmentReportState.REPORTED


def test_a_result_in_which_all_is_well_names_no_failures(node: Node) -> None:
    node.keep("2.25.1")
    node.asked((MR, "2.25.1"))

    with listening_asker() as asker:
        node.reporter(asker.port).report_once("SCANNER")

    assert "FailedSOPSequence" not in asker.results[0]
    assert asker.told() == ({"2.25.1"}, {})


def test_a_request_is_on_disk_when_it_is_answered_and_reported_after_the_peer_has_released(node: Node) -> None:
    status = ask_node(node.port, question_for([(MR, "2.25.1")]))

    assert status == 0x0000
    assert node.row().state == CommitmentReportState.PENDING
    assert node.reporter(free_port()).waiting() == set()
    node.clock.pass_s(2)
    assert node.reporter(free_port()).waiting() == {"SCANNER"}


def test_the_same_question_again_is_reported_again_and_another_one_under_its_uid_is_refused(node: Node) -> None:
    node.keep("2.25.1")
    node.asked((MR, "2.25.1"))
    with listening_asker() as asker:
        node.reporter(asker.port).report_once("SCANNER")
        node.asked((MR, "2.25.1"))
        node.reporter(asker.port).report_once("SCANNER")

    assert len(asker.results) == 2
    assert ask_node(node.port, question_for([(MR, "2.25.2")])) == 0x0131


def test_a_peer_that_is_away_is_told_when_it_is_back(node: Node) -> None:
    node.keep("2.25.1")
    node.asked((MR, "2.25.1"))

    with pytest.raises(PeerUnavailable, match="cannot be reached"):
        node.reporter(free_port(), retry_base_s=10).report_once("SCANNER")
    waiting = node.row()
    node.clock.pass_s(20)
    with listening_asker() as asker:
        reported = node.reporter(asker.port).report_once("SCANNER")

    assert waiting.state == CommitmentReportState.PENDING
    assert "cannot be reached" in waiting.reason
    assert reported == 1
    assert asker.told() == ({"2.25.1"}, {})


def test_a_peer_that_stays_away_is_given_up_with_the_reason(node: Node) -> None:
    node.asked((MR, "2.25.1"))

    with pytest.raises(PeerUnavailable):
        node.reporter(free_port(), maximum_attempts=1).report_once("SCANNER")

    row = node.row()
    assert row.state == CommitmentReportState.DEAD
    assert row.reason.startswith("gave up after 1 attempts: SCANNER at 127.0.0.1")


def test_a_peer_without_an_address_for_results_is_given_up_with_the_remedy(node: Node) -> None:
    node.asked((MR, "2.25.1"))

    reported = node.reporter(None).report_once("SCANNER")

    assert reported == 0
    assert node.row().state == CommitmentReportState.DEAD
    assert "report_host" in node.row().reason


def test_a_result_that_the_peer_refuses_is_given_up(node: Node) -> None:
    node.asked((MR, "2.25.1"))

    with listening_asker(status=0x0115) as asker:
        reported = node.reporter(asker.port).report_once("SCANNER")

    assert reported == 0
    assert (node.row().state, node.row().reason) == (
        CommitmentReportState.DEAD,
        "the peer refused the result: 0x0115",
    )


def test_many_results_for_one_peer_go_over_one_association(node: Node) -> None:
    node.keep("2.25.1")
    for number in range(3):
        question = question_for([(MR, "2.25.1")], transaction_uid=f"2.25.5{number}")
        assert ask_node(node.port, question) == 0x0000
    node.clock.pass_s(2)

    with listening_asker() as asker:
        reported = node.reporter(asker.port).report_once("SCANNER")

    assert reported == 3
    assert [result.TransactionUID for result in asker.results] == ["2.25.50", "2.25.51", "2.25.52"]


def test_of_several_callers_with_one_title_the_one_of_the_address_takes_the_result() -> None:
    def caller(network: str, port: int | None) -> CallerSettings:
        host = None if port is None else LOOPBACK
        return CallerSettings(ae_title="CT", addresses=(network,), report_host=host, report_port=port)

    callers = [caller("10.9.0.0/16", None), caller("10.1.0.0/16", 1), caller("10.2.0.0/16", 2)]

    assert report_caller(callers, "CT", "10.2.3.4") is callers[2]
    assert report_caller(callers, "CT", "::ffff:10.2.3.4") is callers[2]
    assert report_caller(callers, "CT", "10.9.0.1") is callers[1]
    assert report_caller(callers, "MR", "10.2.3.4") is None


def test_two_callers_of_one_title_are_each_told_at_their_own_address(
    memory: Database, clock: Clock, tmp_path: Path
) -> None:
    with listening_asker() as first, listening_asker() as second:
        callers = tuple(
            CallerSettings(ae_title="SCANNER", addresses=(address,), report_host=LOOPBACK, report_port=asker.port)
            for address, asker in (("10.0.0.1", first), ("10.0.0.2", second))
        )
        settings = settings_for(callers=callers)
        for number in (1, 2):
            memory_of(memory, settings).commitment_requested(
                CommitmentRequest(
                    calling_ae_title="SCANNER",
                    address=f"10.0.0.{number}",
                    transaction_uid=f"2.25.{number}",
                    instances=((MR, "2.25.1"),),
                )
            )
        clock.pass_s(2)
        reported = CommitmentReporter(memory, FileStore(tmp_path), settings, owner="test").report_once("SCANNER")

    assert reported == 2
    assert [[str(one.TransactionUID) for one in asker.results] for asker in (first, second)] == [["2.25.1"], ["2.25.2"]]
