"""The state machine of a delivery: one table, one `advance`.

Rows are moved by `storage.delivery_moves`, and many at once by `storage.outbox`.
"""

from enum import StrEnum
from typing import Final

from storage.schema import DeliveryState
from storage.state_machine import step


class DeliveryEvent(StrEnum):
    """What can happen to a delivery."""

    CLAIMED = "claimed"
    LEASE_RAN_OUT = "lease_ran_out"  # the sender died or hung; the peer may hold the object already
    SENT = "sent"
    COMMITTED = "committed"  # the peer took over the responsibility (storage commitment, PS3.4 annex J)
    NOT_COMMITTED = "not_committed"  # the peer answered that it does not hold the object: it is sent again
    POSTPONED = "postponed"  # a fault that may pass: another attempt later
    GAVE_UP = "gave_up"  # a fault that will not pass, or too many attempts: a person is needed
    DESTINATION_GONE = "destination_gone"  # the settings know its destination no more: a person is needed
    ASKED_AGAIN = "asked_again"  # a person: send the dead letter again


TRANSITIONS: Final[dict[tuple[DeliveryState, DeliveryEvent], DeliveryState]] = {
    (DeliveryState.PENDING, DeliveryEvent.CLAIMED): DeliveryState.SENDING,
    (DeliveryState.PENDING, DeliveryEvent.ASKED_AGAIN): DeliveryState.PENDING,  # now instead of later
    (DeliveryState.PENDING, DeliveryEvent.DESTINATION_GONE): DeliveryState.DEAD,
    (DeliveryState.SENDING, DeliveryEvent.LEASE_RAN_OUT): DeliveryState.PENDING,
    (DeliveryState.SENDING, DeliveryEvent.SENT): DeliveryState.SENT,
    (DeliveryState.SENDING, DeliveryEvent.POSTPONED): DeliveryState.PENDING,
    (DeliveryState.SENDING, DeliveryEvent.GAVE_UP): DeliveryState.DEAD,
    (DeliveryState.SENT, DeliveryEvent.COMMITTED): DeliveryState.COMMITTED,
    (DeliveryState.SENT, DeliveryEvent.NOT_COMMITTED): DeliveryState.PENDING,
    (DeliveryState.SENT, DeliveryEvent.GAVE_UP): DeliveryState.DEAD,  # not committed, and attempts used up
    (DeliveryState.DEAD, DeliveryEvent.ASKED_AGAIN): DeliveryState.PENDING,
}


def advance(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """The state after the event. Raises IllegalTransition when the event cannot happen in this state."""
    return step(TRANSITIONS, state, event, what="a delivery")
