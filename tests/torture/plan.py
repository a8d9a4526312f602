"""Which fault strikes in which round: drawn from a seed, every kind equally often, in blocks that share one node."""

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from tests.torture.faults import FAULTS, POSTGRESQL, SQLITE

# Long enough that a node lives through many faults on the same data, short enough that a few jobs share the work evenly
BLOCK: Final = 12


@dataclass(frozen=True, slots=True)
class Planned:
    index: int
    block: int
    kind: str
    database: str


def plan(
    rounds: int, *, seed: int, kinds: Collection[str], databases: tuple[str, ...] = (SQLITE, POSTGRESQL)
) -> list[Planned]:
    """The rounds in their order; blocks take turns between the databases."""
    rng = random.Random(seed)  # noqa: S311 - a shuffle, no secret
    kinds_of = {one: _endless([k for k in kinds if one in FAULTS[k].databases], rng) for one in databases}
    planned = []
    for index in range(rounds):
        block = index // BLOCK
        database = databases[block % len(databases)]
        planned.append(Planned(index=index, block=block, kind=next(kinds_of[database]), database=database))
    return planned


def _endless(kinds: list[str], rng: random.Random) -> Iterator[str]:
    while kinds:
        rng.shuffle(kinds)
        yield from list(kinds)
