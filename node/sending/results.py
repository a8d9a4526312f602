"""What is sent and what became of it: the words that every way of sending shares."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class StoreOutcome(StrEnum):
    SENT = "sent"
    SENT_WITH_WARNING = "sent_with_warning"  # the peer holds it, perhaps changed
    REFUSED_FOR_NOW = "refused_for_now"  # the same object may be taken later
    REFUSED = "refused"  # the same object will be refused again


class NoAnswer(StrEnum):
    """Why a peer said nothing about an object."""

    UNREACHED = "unreached"  # the object was not sent
    LOST = "lost"  # the object was on its way: the peer may hold it
    OWN_FAULT = "own_fault"  # a fault of this machine: the object was not sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """One file to send, and the attributes that get other values on the way (`node.sending.coercion`)."""

    path: Path
    coerce: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResult:
    """What became of one file. `status` is the peer's status of the object (PS3.4 B.2.3), None when none came."""

    path: Path
    sop_instance_uid: str  # empty when the file could not be read
    status: int | None
    outcome: StoreOutcome
    reason: str = ""
    no_answer: NoAnswer | None = None  # set: the destination or this machine, not the object, is the trouble
    retry_after_s: float = 0.0  # the peer asked for so much time before the next try

    @property
    def is_held(self) -> bool:
        """Whether the peer holds the object now."""
        return self.outcome in (StoreOutcome.SENT, StoreOutcome.SENT_WITH_WARNING)


class Carrier(Protocol):
    """A way to one destination. Used by as many threads at once as the destination has associations."""

    def carry(self, shipments: Sequence[Shipment]) -> Generator[StoreResult, None, None]:
        """Send files, no two the same, and yield each result as it comes; what is not taken any more is not sent.

        Raises nothing for what the peer says or does.
        """

    def rest(self) -> None:
        """There is nothing to send at present: close what was idle for long enough."""

    def close(self) -> None:
        """End every connection that nobody uses."""


def classify(status: int) -> tuple[StoreOutcome, str]:
    """What a C-STORE status means for the object.  Source: PS3.4 Table B.2-1, PS3.7 Annex C."""
    if status == 0:
        return StoreOutcome.SENT, "success"
    if status == 0x0111:
        return StoreOutcome.SENT_WITH_WARNING, "duplicate SOP instance: the peer holds it already"
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return StoreOutcome.SENT_WITH_WARNING, "stored with a warning"
    if 0xA700 <= status <= 0xA7FF:
        return StoreOutcome.REFUSED_FOR_NOW, "out of resources"
    if status == 0x0110:
        return StoreOutcome.REFUSED_FOR_NOW, "processing failure"
    if status == 0x0124:  # a matter of the peer's settings, which change
        return StoreOutcome.REFUSED_FOR_NOW, "not authorized"
    if 0xA900 <= status <= 0xA9FF:
        return StoreOutcome.REFUSED, "data set does not match SOP class"
    if 0xC000 <= status <= 0xCFFF:
        return StoreOutcome.REFUSED, "cannot understand"
    return StoreOutcome.REFUSED, "failure"
