"""A receiver process' way to what only the supervisor has: the database, the table of places, the other services."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from node.admission import Refusal
from node.commitment.parsing import CommitmentRequest, CommitmentResult, OwedResult, ToldResult
from node.receiving.channel import ChannelClient, with_tuples
from storage.new_instance import NewInstance, Outcome
from storage.new_quarantined import NewQuarantined


class Call(StrEnum):
    """What a process may say besides the names in SERVICES."""

    RECORD = "record"
    TAKE_PLACE = "take_place"
    # news, without an answer
    READY = "ready"
    PONG = "pong"
    LEFT = "left"
    METRICS = "metrics"
    STOPPED = "stopped"


# The methods of `Services`, each with the type that it takes
SERVICES: Final[dict[str, type[Any]]] = {
    "commitment_requested": CommitmentRequest,
    "commitment_result": CommitmentResult,
    "commitment_outcome": CommitmentRequest,
    "commitment_told": ToldResult,
    "quarantined": NewQuarantined,
}


# What crosses of a received instance, in this order
_RECORDED: Final = tuple(one.name for one in fields(NewInstance) if one.name != "received_at")


class RemoteRecorder:
    """`storage.instances.InstanceRecorder`, in the supervisor."""

    def __init__(self, channel: ChannelClient) -> None:
        self._channel = channel

    def record(self, new: NewInstance) -> Outcome:
        """As there: the row is committed on disk when this returns. Raises StorageFull or StorageError."""
        return Outcome(self._channel.call(Call.RECORD, [getattr(new, name) for name in _RECORDED]))


class RemotePlaces:
    """`node.receiving.places.PlaceTable`, in the supervisor."""

    def __init__(self, channel: ChannelClient) -> None:
        self._channel = channel

    def take(self, connection: int) -> Refusal | None:
        name = self._channel.call(Call.TAKE_PLACE, connection)
        return None if name is None else Refusal[name]


class RemoteServices:
    """The services of the supervisor; they are durable when a method returns, and raise what they raise there."""

    def __init__(self, channel: ChannelClient) -> None:
        self._channel = channel

    def commitment_requested(self, request: CommitmentRequest) -> None:
        self._channel.call("commitment_requested", body_of(request))

    def commitment_result(self, result: CommitmentResult) -> None:
        self._channel.call("commitment_result", body_of(result))

    def commitment_outcome(self, request: CommitmentRequest) -> OwedResult | None:
        owed = self._channel.call("commitment_outcome", body_of(request))
        return None if owed is None else OwedResult(**with_tuples(owed))

    def commitment_told(self, told: ToldResult) -> None:
        self._channel.call("commitment_told", body_of(told))

    def quarantined(self, refused: NewQuarantined) -> None:
        self._channel.call("quarantined", body_of(refused))


def body_of(value: Any) -> dict[str, object]:
    """The fields of one of our flat, frozen types: text, numbers, times, and tuples of them."""
    return {one.name: getattr(value, one.name) for one in fields(value)}


def new_instance(values: Sequence[Any], received_at: datetime) -> NewInstance:
    """What `RemoteRecorder` was given, by the supervisor's clock: that of a process may be set back."""
    return NewInstance(received_at=received_at, **dict(zip(_RECORDED, with_tuples(values), strict=True)))


def service_argument(name: str, body: dict[str, Any]) -> Any:
    """What `body_of` made of the argument of this method of `Services`, back again."""
    return SERVICES[name](**with_tuples(body))
