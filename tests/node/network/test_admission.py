"""Who may open an association, and that everybody else is told no."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.settings import CallerSettings
from node.admission import Admission, Refusal, Request
from tests.node.network.peers import NODE, SCANNER, receiving_node, request_association

CALLING, CALLED = Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED, Refusal.CALLED_AE_TITLE_NOT_RECOGNIZED
ADMISSION = Admission(
    NODE,
    [
        CallerSettings(ae_title="MR1", addresses=("10.1.2.0/24", "2001:db8::/32")),
        CallerSettings(ae_title="PACS", addresses=("10.9.9.9",)),
        CallerSettings(ae_title="PACS", addresses=("10.9.9.10",)),
    ],
)


@pytest.mark.parametrize(
    ("calling", "called", "address", "expected"),
    [
        ("MR1", NODE, "10.1.2.77", None),
        ("MR1 ", f" {NODE} ", "10.1.2.77", None),
        ("MR1", NODE, "::ffff:10.1.2.77", None),
        ("MR1", NODE, "2001:db8::5", None),
        ("PACS", NODE, "10.9.9.9", None),
        ("PACS", NODE, "10.9.9.10", None),
        ("MR1", NODE, "10.1.3.1", CALLING),
        ("MR1", NODE, "10.9.9.9", CALLING),
        ("mr1", NODE, "10.1.2.77", CALLING),
        ("STRANGER", NODE, "10.1.2.77", CALLING),
        ("", NODE, "10.1.2.77", CALLING),
        ("MR1", "OTHER", "10.1.2.77", CALLED),
        ("MR1", NODE, "not an address", CALLING),
    ],
)
def test_a_caller_is_let_in_by_its_title_and_its_address_together(
    calling: str, called: str, address: str, expected: Refusal | None
) -> None:
    request = Request(calling_ae_title=calling, called_ae_title=called, address=address)

    assert ADMISSION.refusal(request) is expected


def test_without_any_caller_everybody_is_refused() -> None:
    request = Request(calling_ae_title="MR1", called_ae_title=NODE, address="127.0.0.1")

    assert Admission(NODE, []).refusal(request) is CALLING


@pytest.mark.parametrize(
    ("callers", "calling", "called", "diagnostic"),
    [
        ((CallerSettings(ae_title=SCANNER, addresses=("127.0.0.1",)),), "STRANGER", NODE, 3),
        ((CallerSettings(ae_title=SCANNER, addresses=("10.0.0.0/8",)),), SCANNER, NODE, 3),
        ((CallerSettings(ae_title=SCANNER, addresses=("127.0.0.1",)),), SCANNER, "OTHER", 7),
        ((), SCANNER, NODE, 3),
    ],
    ids=["unknown title", "known title, other address", "wrong called title", "no callers"],
)
def test_a_stranger_gets_a_refusal_with_its_reason_and_may_not_even_echo(
    tmp_path: Path,
    node_database_url: str,
    callers: tuple[CallerSettings, ...],
    calling: str,
    called: str,
    diagnostic: int,
) -> None:
    with receiving_node(tmp_path, node_database_url, callers=callers) as node, capture_logs() as logs:
        association = request_association(node.port, calling=calling, called=called)

    assert association.is_rejected
    answer = association.acceptor.primitive
    assert answer is not None
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, diagnostic)
    (line,) = [line for line in logs if line["event"] == "association_refused"]
    assert line["calling_ae_title"] == calling
    assert line["address"] == "127.0.0.1"
    assert line["remedy"]


def test_a_node_without_callers_says_so_when_it_starts(tmp_path: Path, node_database_url: str) -> None:
    with capture_logs() as logs, receiving_node(tmp_path, node_database_url, callers=()):
        pass

    assert "no_callers_allowed" in [line["event"] for line in logs]


def test_a_fault_in_the_admission_itself_lets_nobody_in(
    tmp_path: Path, node_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no decision")

    monkeypatch.setattr(Admission, "refusal", fail)

    with receiving_node(tmp_path, node_database_url) as node:
        association = request_association(node.port)

    assert association.is_rejected


def test_more_associations_than_allowed_are_refused_for_the_moment(tmp_path: Path, node_database_url: str) -> None:
    with receiving_node(tmp_path, node_database_url, maximum_associations=2) as node, capture_logs() as logs:
        held = [request_association(node.port) for _ in range(2)]

        third = request_association(node.port)

        assert [association.is_established for association in held] == [True, True]
        assert third.is_rejected
        answer = third.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        for association in held:
            association.release()
    assert "association_refused" in [line["event"] for line in logs]
