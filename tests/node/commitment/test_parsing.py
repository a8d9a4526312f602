"""What peers say in storage commitment is taken as it is meant, or refused with the status that says why."""

import pytest
from pydicom.dataset import Dataset

from node.commitment import parsing
from node.commitment.parsing import (
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    Addressed,
    CommitmentRefused,
    parse_commitment_request,
    parse_commitment_result,
)
from tests.node.commitment.peers import question_for, result_of
from tests.node.conftest import MR


def command(*, sop_class: str = PUSH_MODEL, instance: str = PUSH_MODEL_INSTANCE, type_id: int = 1) -> Addressed:
    return Addressed(sop_class_uid=sop_class, sop_instance_uid=instance, type_id=type_id)


def refusal_of_request(information: Dataset | None, addressed: Addressed) -> int:
    with pytest.raises(CommitmentRefused) as refused:
        parse_commitment_request(information, addressed, calling_ae_title="SCANNER", address="127.0.0.1")
    return refused.value.dimse_status


def test_a_request_names_each_instance_once() -> None:
    question = question_for([(MR, "2.25.1"), (MR, "2.25.2"), (MR, "2.25.1")])

    request = parse_commitment_request(question, command(), calling_ae_title="SCANNER", address="127.0.0.1")

    assert request.transaction_uid == "2.25.1234"
    assert request.instances == ((MR, "2.25.1"), (MR, "2.25.2"))


def test_padding_is_no_part_of_a_uid() -> None:
    question = question_for([(MR, "2.25.1")])
    question.ReferencedSOPSequence[0]["ReferencedSOPInstanceUID"]._value = "2.25.1\0"  # as a reader leaves it

    request = parse_commitment_request(question, command(), calling_ae_title="SCANNER", address="127.0.0.1")

    assert request.instances == ((MR, "2.25.1"),)


@pytest.mark.parametrize(
    ("addressed", "status"),
    [
        (command(sop_class=MR), 0x0118),
        (command(instance="2.25.1"), 0x0112),
        (command(type_id=2), 0x0123),
    ],
)
def test_a_request_to_something_else_is_refused(addressed: Addressed, status: int) -> None:
    assert refusal_of_request(question_for([(MR, "2.25.1")]), addressed) == status


def without(keyword: str) -> Dataset:
    question = question_for([(MR, "2.25.1")])
    delattr(question, keyword)
    return question


@pytest.mark.parametrize(
    "information",
    [None, Dataset(), without("TransactionUID"), without("ReferencedSOPSequence"), question_for([])],
)
def test_a_request_that_lacks_something_is_an_invalid_argument(information: Dataset | None) -> None:
    assert refusal_of_request(information, command()) == 0x0115


@pytest.mark.filterwarnings("ignore:.*VR UI:UserWarning")
@pytest.mark.parametrize(
    ("sop_class_uid", "sop_instance_uid", "transaction_uid"),
    [
        (MR, "", "2.25.1"),
        ("", "2.25.1", "2.25.1"),
        (MR, "../../etc", "2.25.1"),
        (MR, "1." * 40, "2.25.1"),
        (MR, "2.25.1", "2.25.1\\2.25.2"),
    ],
)
def test_what_is_no_uid_is_an_invalid_argument(sop_class_uid: str, sop_instance_uid: str, transaction_uid: str) -> None:
    question = question_for([(sop_class_uid, sop_instance_uid)], transaction_uid=transaction_uid)

    assert refusal_of_request(question, command()) == 0x0115


def test_a_request_for_more_than_one_row_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MOST_REFERENCES", 2)

    assert refusal_of_request(question_for([(MR, f"2.25.{n}") for n in range(3)]), command()) == 0x0213


def test_a_result_tells_what_is_committed_and_what_failed_why() -> None:
    question = question_for([(MR, "2.25.1"), (MR, "2.25.2")])
    result = result_of(question, failed={"2.25.2": 0x0112})

    parsed = parse_commitment_result(result, command(type_id=2), calling_ae_title="ARCHIVE")

    assert parsed.transaction_uid == "2.25.1234"
    assert parsed.committed == ((MR, "2.25.1"),)
    assert parsed.failed == ((MR, "2.25.2", 0x0112),)


def test_a_failure_without_a_reason_is_a_processing_failure() -> None:
    result = result_of(question_for([(MR, "2.25.1")]), failed={"2.25.1": 0x0112})
    del result.FailedSOPSequence[0].FailureReason

    parsed = parse_commitment_result(result, command(type_id=2), calling_ae_title="ARCHIVE")

    assert parsed.failed == ((MR, "2.25.1", 0x0110),)


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(CommitmentRefused) as refused:
        parse_commitment_result(
            result_of(question_for([(MR, "2.25.1")])), command(type_id=3), calling_ae_title="ARCHIVE"
        )

    assert refused.value.dimse_status == 0x0113
