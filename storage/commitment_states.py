"""The state machines of storage commitment: of what we ask, and of what we are asked. One table each.

Rows are moved by `storage.commitments` and `storage.commitment_reports` only.
"""

from enum import StrEnum
from typing import Final

from storage.schema import CommitmentReportState, CommitmentState
from storage.state_machine import step


class CommitmentEvent(StrEnum):
    """What can happen to a storage commitment that we asked for."""

    ANSWERED = "answered"  # late and repeated answers as well: the archive's word stays true
    NOT_ANSWERED = "not_answered"  # refused, or no answer in time


TRANSITIONS: Final[dict[tuple[CommitmentState, CommitmentEvent], CommitmentState]] = {
    (CommitmentState.ASKED, CommitmentEvent.ANSWERED): CommitmentState.ANSWERED,
    (CommitmentState.ASKED, CommitmentEvent.NOT_ANSWERED): CommitmentState.EXPIRED,
    (CommitmentState.EXPIRED, CommitmentEvent.ANSWERED): CommitmentState.ANSWERED,
    (CommitmentState.ANSWERED, CommitmentEvent.ANSWERED): CommitmentState.ANSWERED,
}


class CommitmentReportEvent(StrEnum):
    """What can happen to a storage commitment that a peer asked of us."""

    CLAIMED = "claimed"
    REPORTED = "reported"  # the peer took the result
    POSTPONED = "postponed"  # the peer could not be told: another attempt later
    GAVE_UP = "gave_up"  # nobody to tell, or too many attempts
    REQUESTED_AGAIN = "requested_again"  # the same question under the same transaction: the peer missed our answer


REPORT_TRANSITIONS: Final[dict[tuple[CommitmentReportState, CommitmentReportEvent], CommitmentReportState]] = {
    (CommitmentReportState.PENDING, CommitmentReportEvent.CLAIMED): CommitmentReportState.PENDING,
    (CommitmentReportState.PENDING, CommitmentReportEvent.REPORTED): CommitmentReportState.REPORTED,
    (CommitmentReportState.PENDING, CommitmentReportEvent.POSTPONED): CommitmentReportState.PENDING,
    (CommitmentReportState.PENDING, CommitmentReportEvent.GAVE_UP): CommitmentReportState.DEAD,
    (CommitmentReportState.PENDING, CommitmentReportEvent.REQUESTED_AGAIN): CommitmentReportState.PENDING,
    (CommitmentReportState.REPORTED, CommitmentReportEvent.REQUESTED_AGAIN): CommitmentReportState.PENDING,
    (CommitmentReportState.DEAD, CommitmentReportEvent.REQUESTED_AGAIN): CommitmentReportState.PENDING,
}


def advance(state: CommitmentState, event: CommitmentEvent) -> CommitmentState:
    """The state after the event. Raises IllegalTransition when the event cannot happen in this state."""
    return step(TRANSITIONS, state, event, what="a commitment")


def advance_report(state: CommitmentReportState, event: CommitmentReportEvent) -> CommitmentReportState:
    """The state after the event. Raises IllegalTransition when the event cannot happen in this state."""
    return step(REPORT_TRANSITIONS, state, event, what="a commitment report")
