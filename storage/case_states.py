"""The state machine of a case: one table, one `advance`. Rows are moved by `storage.cases` only."""

from enum import StrEnum
from typing import Final

from storage.schema import CaseState
from storage.state_machine import step


class CaseEvent(StrEnum):
    """What can happen to a case."""

    INSTANCE_ARRIVED = "instance_arrived"
    COMPLETED = "completed"  # quiet for long enough, or the expected count is there
    HELD = "held"  # identity in doubt
    RELEASED = "released"  # a person: it is one patient, go on
    REJECTED = "rejected"  # a person: do not analyse, report why
    CLAIMED = "claimed"
    LEASE_RAN_OUT = "lease_ran_out"  # the worker died or hung
    ATTEMPT_FAILED = "attempt_failed"
    REPORTED = "reported"
    GAVE_UP = "gave_up"  # a "not analysed" report was made
    DELIVERED = "delivered"  # every report object reached its destinations, or is a dead letter


# An absent pair is a fault of the caller. RUNNING has no INSTANCE_ARRIVED: the instance waits unplaced until the
# running revision is reported, so that a report always answers a known set of images.
TRANSITIONS: Final[dict[tuple[CaseState, CaseEvent], CaseState]] = {
    (CaseState.COLLECTING, CaseEvent.INSTANCE_ARRIVED): CaseState.COLLECTING,
    (CaseState.COLLECTING, CaseEvent.COMPLETED): CaseState.READY,
    (CaseState.COLLECTING, CaseEvent.HELD): CaseState.HELD,
    (CaseState.HELD, CaseEvent.INSTANCE_ARRIVED): CaseState.HELD,
    (CaseState.HELD, CaseEvent.RELEASED): CaseState.COLLECTING,
    (CaseState.HELD, CaseEvent.REJECTED): CaseState.READY,
    (CaseState.READY, CaseEvent.INSTANCE_ARRIVED): CaseState.COLLECTING,
    (CaseState.READY, CaseEvent.HELD): CaseState.HELD,  # an image of another case made its identity doubtful
    (CaseState.READY, CaseEvent.CLAIMED): CaseState.RUNNING,
    (CaseState.RUNNING, CaseEvent.LEASE_RAN_OUT): CaseState.READY,
    (CaseState.RUNNING, CaseEvent.ATTEMPT_FAILED): CaseState.READY,
    (CaseState.RUNNING, CaseEvent.REPORTED): CaseState.REPORTED,
    (CaseState.RUNNING, CaseEvent.GAVE_UP): CaseState.FAILED,
    (CaseState.REPORTED, CaseEvent.DELIVERED): CaseState.DONE,
    # the answer is out: the next one is a new revision
    (CaseState.REPORTED, CaseEvent.INSTANCE_ARRIVED): CaseState.COLLECTING,
    (CaseState.DONE, CaseEvent.INSTANCE_ARRIVED): CaseState.COLLECTING,
    (CaseState.FAILED, CaseEvent.INSTANCE_ARRIVED): CaseState.COLLECTING,
    # a contradiction that shows up after the answer: a person decides, the decision is a new revision
    (CaseState.REPORTED, CaseEvent.HELD): CaseState.HELD,
    (CaseState.DONE, CaseEvent.HELD): CaseState.HELD,
    (CaseState.FAILED, CaseEvent.HELD): CaseState.HELD,
}


def advance(state: CaseState, event: CaseEvent) -> CaseState:
    """The state after the event. Raises IllegalTransition when the event cannot happen in this state."""
    return step(TRANSITIONS, state, event, what="a case")
