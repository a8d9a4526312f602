from itertools import product

import pytest

from storage.commitment_states import CommitmentEvent, CommitmentReportEvent, advance, advance_report
from storage.errors import IllegalTransition
from storage.schema import CommitmentReportState, CommitmentState

# Written independently of the code: rows are events, columns are states; "-" means not possible.
REFERENCE = """
event         asked     answered  expired
answered      answered  answered  answered
not_answered  expired   -         -
"""
REPORT_REFERENCE = """
event            pending   reported  dead
claimed          pending   -         -
reported         reported  -         -
postponed        pending   -         -
gave_up          dead      -         -
requested_again  pending   pending   pending
"""


def cells(table: str) -> dict[tuple[str, str], str]:
    (_, *states), *lines = (line.split() for line in table.strip().splitlines())
    return {(state, event): cell for event, *row in lines for state, cell in zip(states, row, strict=True)}


def test_the_references_name_every_state_and_event_once() -> None:
    assert set(cells(REFERENCE)) == set(product(list(CommitmentState), list(CommitmentEvent)))
    assert set(cells(REPORT_REFERENCE)) == set(product(list(CommitmentReportState), list(CommitmentReportEvent)))


@pytest.mark.parametrize(("state", "event"), list(product(CommitmentState, CommitmentEvent)))
def test_each_event_of_a_question_does_what_the_reference_says(state: CommitmentState, event: CommitmentEvent) -> None:
    expected = cells(REFERENCE)[state, event]

    if expected == "-":
        with pytest.raises(IllegalTransition, match=f"{state}.*{event}"):
            advance(state, event)
    else:
        assert advance(state, event) == expected


@pytest.mark.parametrize(("state", "event"), list(product(CommitmentReportState, CommitmentReportEvent)))
def test_each_event_of_a_report_does_what_the_reference_says(
    state: CommitmentReportState, event: CommitmentReportEvent
) -> None:
    expected = cells(REPORT_REFERENCE)[state, event]

    if expected == "-":
        with pytest.raises(IllegalTransition, match=f"{state}.*{event}"):
            advance_report(state, event)
    else:
        assert advance_report(state, event) == expected
