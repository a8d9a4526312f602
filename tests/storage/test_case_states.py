"""The state machine of a case against a table written by hand from the design, cell by cell."""

from itertools import product

import pytest

from storage.case_states import CaseEvent, advance
from storage.errors import IllegalTransition
from storage.schema import CaseState

# Rows: events. Columns: states. "-" cannot happen.
REFERENCE = """
event            collecting ready      running  reported   done       held       failed
instance_arrived collecting collecting -        collecting collecting held       collecting
completed        ready      -          -        -          -          -          -
held             held       held       -        held       held       -          held
released         -          -          -        -          -          collecting -
rejected         -          -          -        -          -          ready      -
claimed          -          running    -        -          -          -          -
lease_ran_out    -          -          ready    -          -          -          -
attempt_failed   -          -          ready    -          -          -          -
reported         -          -          reported -          -          -          -
gave_up          -          -          failed   -          -          -          -
delivered        -          -          -        done       -          -          -
"""


def reference() -> dict[tuple[str, str], str]:
    (_, *states), *lines = (line.split() for line in REFERENCE.strip().splitlines())
    return {(state, event): cell for event, *cells in lines for state, cell in zip(states, cells, strict=True)}


def test_the_reference_names_every_state_and_event_once() -> None:
    assert set(reference()) == set(product(list(CaseState), list(CaseEvent)))


@pytest.mark.parametrize(("state", "event"), list(product(CaseState, CaseEvent)))
def test_each_event_in_each_state_does_what_the_reference_says(state: CaseState, event: CaseEvent) -> None:
    expected = reference()[state, event]

    if expected == "-":
        with pytest.raises(IllegalTransition, match=f"{state}.*{event}"):
            advance(state, event)
    else:
        assert advance(state, event) == expected
