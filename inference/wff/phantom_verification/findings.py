"""What an item found: a number, how sure it is, what was asked of it, and the verdict."""

from dataclasses import dataclass
from enum import StrEnum

from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Rate


class Item(StrEnum):
    """The letters of the phantom specification, "Honest verification"."""

    PIPELINE = "a"
    ORACLE = "b"
    NO_SIGNS = "c"
    DOSE = "d"
    AGE = "e"
    CONTROLS = "f"
    LESION_FREE = "g"
    UNSEEN = "h"
    SEQUENCES = "i"
    MEMORY = "j"


class Judgement(StrEnum):
    HOLDS = "holds"
    FAILS = "does not hold"
    UNSURE = "cannot tell"  # a fault would not have been seen either; counts as not held


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the table. `low` and `high` are the ends of the 95 % interval; None where there is none."""

    item: Item
    what: str
    value: float
    low: float | None
    high: float | None
    bound: str
    verdict: Judgement
    beside: str = ""  # what helps to judge it

    @property
    def holds(self) -> bool:
        return self.verdict is Judgement.HOLDS


def judged(holds: bool, *, telling: bool = True) -> Judgement:
    """`telling`: had there been a fault, it would have been seen. A fault that was seen needs no such promise."""
    if not holds:
        return Judgement.FAILS
    return Judgement.HOLDS if telling else Judgement.UNSURE


def from_estimate(
    item: Item, what: str, estimate: Estimate, bound: str, *, holds: bool, telling: bool = True, beside: str = ""
) -> Finding:
    """An estimate that no resample could tell has no interval."""
    finite = estimate.low == estimate.low and estimate.high == estimate.high
    return Finding(
        item=item,
        what=what,
        value=estimate.value,
        low=estimate.low if finite else None,
        high=estimate.high if finite else None,
        bound=bound,
        verdict=judged(holds, telling=telling),
        beside=beside,
    )


def from_rate(
    item: Item, what: str, rate: Rate, bound: str, *, holds: bool, telling: bool = True, beside: str = ""
) -> Finding:
    low, high = rate.interval
    counted = f"{rate.hits} of {rate.total}"
    return Finding(
        item=item,
        what=what,
        value=rate.value,
        low=low,
        high=high,
        bound=bound,
        verdict=judged(holds, telling=telling),
        beside=f"{counted}; {beside}" if beside else counted,
    )


def without_interval(
    item: Item, what: str, value: float, bound: str, *, holds: bool, telling: bool = True, beside: str = ""
) -> Finding:
    """A count, or the worst of all: nothing that patients drawn anew would spread."""
    return Finding(
        item=item,
        what=what,
        value=value,
        low=None,
        high=None,
        bound=bound,
        verdict=judged(holds, telling=telling),
        beside=beside,
    )


def contains(estimate: Estimate, value: float) -> bool:
    return estimate.low <= value <= estimate.high
