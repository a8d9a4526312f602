"""One step of a state machine that is a table; which machines there are, stands in the files of their tables."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from storage.errors import IllegalTransition

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


def step(transitions: Mapping[tuple[State, Event], State], state: State, event: Event, *, what: str) -> State:
    """The state after the event. Raises IllegalTransition, which names `what`, where the table has no such step."""
    try:
        return transitions[state, event]
    except KeyError:
        possible = sorted(event.value for known, event in transitions if known is state)
        raise IllegalTransition(f"{what} that is {state} cannot take {event}; it can take {possible}") from None
