"""What peers say in storage commitment: parsed at the edge, refused with the status that says why.

Source: PS3.4 J.3.2 and J.3.3 (attributes), PS3.7 C (statuses), PS3.3 C.14.1.1 (failure reasons).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from node.errors import NodeError

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"  # Storage Commitment Push Model SOP Class
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"  # its one well-known instance

REQUEST_COMMITMENT: Final = 1  # action type
ALL_COMMITTED: Final = 1  # event type
FAILURES_EXIST: Final = 2  # event type

PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_INSTANCE: Final = 0x0112
NO_SUCH_EVENT_TYPE: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115
NO_SUCH_CLASS: Final = 0x0118
CLASS_INSTANCE_CONFLICT: Final = 0x0119
NO_SUCH_ACTION: Final = 0x0123
DUPLICATE_TRANSACTION: Final = 0x0131
RESOURCE_LIMITATION: Final = 0x0213

FAILURE_REASONS: Final = {
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_INSTANCE: "no such object instance",
    CLASS_INSTANCE_CONFLICT: "class-instance conflict",
    0x0122: "SOP class not supported",
    DUPLICATE_TRANSACTION: "duplicate transaction UID",
    RESOURCE_LIMITATION: "resource limitation",
}

# A study of the largest CT has some thousand; one row holds them all.
MOST_REFERENCES: Final = 20_000
_UID: Final = re.compile(r"[0-9.]{1,64}")  # PS3.5 9.1; what is no UID of an instance we hold is answered so


class CommitmentRefused(NodeError):
    """A question or a result that cannot be taken; `dimse_status` answers it."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.dimse_status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """A peer asks us to take responsibility for instances."""

    calling_ae_title: str
    address: str  # of the peer
    transaction_uid: str
    instances: tuple[tuple[str, str], ...]  # SOP Class UID, SOP Instance UID; each once


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentResult:
    """An archive tells which of our instances it has taken responsibility for."""

    calling_ae_title: str  # the archive's, whoever opened the association
    transaction_uid: str
    committed: tuple[tuple[str, str], ...]  # SOP Class UID, SOP Instance UID
    failed: tuple[tuple[str, str, int], ...]  # the same, and the failure reason


@dataclass(frozen=True, slots=True, kw_only=True)
class OwedResult:
    """A result that is to go over the association of its request; report, fence and attempt as in `ReportClaim`."""

    report_id: int
    fence: int
    attempt: int
    committed: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldResult:
    """The peer's status for an owed result, None when it gave none."""

    report_id: int
    fence: int
    attempt: int
    status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """What a command was about."""

    sop_class_uid: str
    sop_instance_uid: str
    type_id: int  # of the action or the event


def parse_commitment_request(
    information: Dataset | None, command: Addressed, *, calling_ae_title: str, address: str
) -> CommitmentRequest:
    """The question in the data set of an N-ACTION. Raises CommitmentRefused."""
    _check_addressed(command)
    if command.type_id != REQUEST_COMMITMENT:
        raise CommitmentRefused(f"action type {command.type_id} is not 1 (request)", status=NO_SUCH_ACTION)
    dataset = information or Dataset()
    instances = dict.fromkeys(_references(dataset, "ReferencedSOPSequence"))
    if not instances:
        raise CommitmentRefused("the Referenced SOP Sequence is empty", status=INVALID_ARGUMENT)
    return CommitmentRequest(
        calling_ae_title=calling_ae_title,
        address=address,
        transaction_uid=_uid(dataset, "TransactionUID"),
        instances=tuple(instances),
    )


def parse_commitment_result(
    information: Dataset | None, command: Addressed, *, calling_ae_title: str
) -> CommitmentResult:
    """The result in the data set of an N-EVENT-REPORT. Raises CommitmentRefused."""
    _check_addressed(command)
    if command.type_id not in (ALL_COMMITTED, FAILURES_EXIST):
        raise CommitmentRefused(f"event type {command.type_id} is neither 1 nor 2", status=NO_SUCH_EVENT_TYPE)
    dataset = information or Dataset()
    return CommitmentResult(
        calling_ae_title=calling_ae_title,
        transaction_uid=_uid(dataset, "TransactionUID"),
        committed=tuple(_references(dataset, "ReferencedSOPSequence")),
        failed=tuple(
            (*_pair(item), int(item.get("FailureReason") or PROCESSING_FAILURE))
            for item in _items(dataset, "FailedSOPSequence")
        ),
    )


def _check_addressed(command: Addressed) -> None:
    if command.sop_class_uid != PUSH_MODEL:
        raise CommitmentRefused("the SOP class is not Storage Commitment Push Model", status=NO_SUCH_CLASS)
    if command.sop_instance_uid != PUSH_MODEL_INSTANCE:
        raise CommitmentRefused(f"the SOP instance is not {PUSH_MODEL_INSTANCE}", status=NO_SUCH_INSTANCE)


def _references(dataset: Dataset, keyword: str) -> Iterator[tuple[str, str]]:
    return (_pair(item) for item in _items(dataset, keyword))


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    items = list(dataset.get(keyword) or [])
    if len(items) > MOST_REFERENCES:
        raise CommitmentRefused(
            f"{keyword} has {len(items)} items, {MOST_REFERENCES} are allowed: split it", status=RESOURCE_LIMITATION
        )
    return items


def _pair(item: Dataset) -> tuple[str, str]:
    return _uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID")


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "").strip(" \0")
    if not _UID.fullmatch(value):
        raise CommitmentRefused(f"{keyword} is missing or no UID", status=INVALID_ARGUMENT)
    return value
