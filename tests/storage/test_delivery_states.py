"""The state machine of a delivery against a table written by hand from the design, cell by cell."""

from itertools import product

import pytest

from storage.delivery_states import DeliveryEvent, advance
from storage.errors import IllegalTransition
from storage.schema import DeliveryState

# Rows: events. Columns: states. "-" cannot happen.
REFERENCE = """
event         pending sending sent      committed dead
claimed       sending -       -         -         -
lease_ran_out -       pending -         -         -
sent          -       sent    -         -         -
committed     -       -       committed -         -
not_committed -       -       pending   -         -
postponed     -       pending -         -         -
gave_up       -       dead    dead      -         -
destination_gone dead -       -         -         -
asked_again   pending -       -         -         pending
"""


def reference() -> dict[tuple[str, str], str]:
    (_, *states), *lines = (line.split() for line in REFERENCE.strip().splitlines())
    return {(state, event): cell for event, *cells in lines for state, cell in zip(states, cells, strict=True)}


def test_the_reference_names_every_state_and_event_once() -> None:
    assert set(reference()) == set(product(list(DeliveryState), list(DeliveryEvent)))


@pytest.mark.parametrize(("state", "event"), list(product(DeliveryState, DeliveryEvent)))
def test_each_event_in_each_state_does_what_the_reference_says(state: DeliveryState, event: DeliveryEvent) -> None:
    expected = reference()[state, event]

    if expected == "-":
        with pytest.raises(IllegalTransition, match=f"{state}.*{event}"):
            advance(state, event)
    else:
        assert advance(state, event) == expected
