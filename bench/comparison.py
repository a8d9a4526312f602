"""From measurements of several rounds to medians, ratios and whether what is required is met.

A ratio is formed within each round, where both sides were measured within a minute; the median of these is told.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What is varied besides the contestant."""

    size: str
    associations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One contestant in one cell of one round. Processor times are milliseconds per instance."""

    contestant: str
    cell: Cell
    round: int
    instances_per_s: float
    cpu_ms: float | None = None  # from the common start to the last answer
    cpu_ms_until_quiet: float | None = None  # with the work that was put off
    database_cpu_ms: float | None = None  # of a database server, until quiet


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """`value` of `contestant` in every one of `cells` is at least (or at most) `limit`."""

    name: str
    limit: float
    at_most: bool = False
    values: dict[str, float]  # by contestant and cell, in words

    def as_json(self) -> dict[str, Any]:
        worst = max(self.values, key=self._badness)
        return {
            "name": self.name,
            "at_most" if self.at_most else "at_least": self.limit,
            "worst": round(self.values[worst], 3),
            "worst_at": worst,
            "met": self._badness(worst) <= 0,
            "not_met_at": sorted(key for key in self.values if self._badness(key) > 0),
        }

    def _badness(self, key: str) -> float:
        excess = self.values[key] - self.limit
        return excess if self.at_most else -excess


class Comparison:
    """All measurements of one benchmark."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._measurements = list(measurements)
        self.contestants = list(dict.fromkeys(one.contestant for one in measurements))
        self.cells = list(dict.fromkeys(one.cell for one in measurements))

    def median(self, contestant: str, cell: Cell, value: Callable[[Measurement], float | None]) -> float | None:
        """None where the contestant was not measured in the cell, or has no such value."""
        found = [value(one) for one in self._of(contestant, cell)]
        known = [one for one in found if one is not None]
        return statistics.median(known) if known else None

    def ratio(self, contestant: str, to: str, cell: Cell) -> float | None:
        """Instances per second of one contestant in those of another: the median over the rounds."""
        other = {one.round: one.instances_per_s for one in self._of(to, cell)}
        ours = [one for one in self._of(contestant, cell) if one.round in other]
        return statistics.median(one.instances_per_s / other[one.round] for one in ours) if ours else None

    def at_least(
        self, name: str, contestants: Iterable[str], to: str, cells: Iterable[Cell], *, limit: float
    ) -> Requirement:
        wanted = [(contestant, cell) for contestant in contestants for cell in cells]
        values = {_words(*key): ratio for key in wanted if (ratio := self.ratio(key[0], to, key[1])) is not None}
        return Requirement(name=name, limit=limit, values=values)

    def cpu_at_most(self, name: str, contestants: Iterable[str], *, limit_ms: float) -> Requirement:
        wanted = [(contestant, cell) for contestant in contestants for cell in self.cells]
        values = {_words(*key): cpu for key in wanted if (cpu := self.median(*key, lambda one: one.cpu_ms)) is not None}
        return Requirement(name=name, limit=limit_ms, at_most=True, values=values)

    def results(self) -> list[dict[str, Any]]:
        """One object per contestant and cell: medians, and the rounds that they come from."""
        values = [field.name for field in fields(Measurement) if field.name not in ("contestant", "cell", "round")]
        results = []
        for contestant in self.contestants:
            for cell in self.cells:
                rounds = self._of(contestant, cell)
                if not rounds:
                    continue
                medians = {name: self.median(contestant, cell, lambda one, n=name: getattr(one, n)) for name in values}
                told = {name: round(value, 3) for name, value in medians.items() if value is not None}
                each = [round(one.instances_per_s, 1) for one in rounds]
                results.append({"contestant": contestant, **asdict(cell), **told, "instances_per_s_of_rounds": each})
        return results

    def ratios(self, ours: Iterable[str], to: Sequence[str]) -> list[dict[str, Any]]:
        """One object per contestant of ours and cell, with the ratio to each of the others."""
        return [
            {
                "contestant": contestant,
                **asdict(cell),
                "to": {other: round(ratio, 3) for other in to if (ratio := self.ratio(contestant, other, cell))},
            }
            for contestant in ours
            for cell in self.cells
            if self._of(contestant, cell)
        ]

    def _of(self, contestant: str, cell: Cell) -> list[Measurement]:
        return [one for one in self._measurements if one.contestant == contestant and one.cell == cell]


def _words(contestant: str, cell: Cell) -> str:
    return f"{contestant}, {cell.size}, {cell.associations} associations"


def print_report(report: dict[str, Any]) -> None:
    """The same as the JSON object, for people."""
    machine = ", ".join(f"{key} {value}" for key, value in report["machine"].items())
    print(f"{report['benchmark']}: median of {report['rounds']} rounds in turn; {machine}")
    print("  " + ", ".join(f"{name} {number}" for name, number in report["versions"].items()))
    print(f"  {'':34}{'size':>8} {'assoc.':>6} {'inst./s':>8} {'CPU ms':>7} {'until quiet':>11} {'database':>8}")
    for one in report["results"]:
        numbers = [one.get(name) for name in ("cpu_ms", "cpu_ms_until_quiet", "database_cpu_ms")]
        cpu, quiet, database = ("" if number is None else f"{number:.2f}" for number in numbers)
        print(
            f"  {one['contestant']:34}{one['size']:>8} {one['associations']:6} {one['instances_per_s']:8.0f} "
            f"{cpu:>7} {quiet:>11} {database:>8}"
        )
    for one in report["ratios"]:
        told = ", ".join(f"{ratio:.2f} x {other}" for other, ratio in one["to"].items())
        print(f"  {one['contestant']}, {one['size']}, {one['associations']} associations: {told}")
    for one in report["requirements"]:
        sense = f"at most {one['at_most']:g}" if "at_most" in one else f"at least {one['at_least']:g}"
        verdict = "met" if one["met"] else f"NOT MET at {len(one['not_met_at'])}"
        print(f"  {one['name']}: {sense}: {verdict}; worst {one['worst']:.2f} ({one['worst_at']})")
