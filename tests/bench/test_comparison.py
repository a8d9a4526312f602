"""Medians, ratios and verdicts: a benchmark that computes them wrongly misleads for years."""

from bench.comparison import Cell, Comparison, Measurement

ONE, FOUR = Cell("big", 1), Cell("big", 4)


def measured(contestant: str, cell: Cell, number: int, rate: float, cpu_ms: float = 1.0) -> Measurement:
    return Measurement(contestant=contestant, cell=cell, round=number, instances_per_s=rate, cpu_ms=cpu_ms)


def test_a_ratio_is_formed_within_each_round() -> None:
    # the machine was three times as slow in the second round, for both
    rates = [(90, 100), (33, 30), (110, 100)]
    comparison = Comparison(
        [
            measured(name, ONE, n, rate)
            for n, pair in enumerate(rates)
            for name, rate in zip(("a", "b"), pair, strict=True)
        ]
    )

    assert comparison.ratio("a", "b", ONE) == 1.1


def test_a_requirement_is_not_met_when_one_cell_fails_and_that_cell_is_named() -> None:
    comparison = Comparison(
        [
            measured("a", ONE, 0, 90),
            measured("a", FOUR, 0, 300),
            measured("b", ONE, 0, 100),
            measured("b", FOUR, 0, 200),
        ]
    )

    verdict = comparison.at_least("of b", ["a"], "b", comparison.cells, limit=1.0).as_json()

    assert verdict["met"] is False
    assert verdict["worst"] == 0.9
    assert verdict["not_met_at"] == ["a, big, 1 associations"]


def test_a_limit_of_processor_time_is_met_up_to_the_limit_itself() -> None:
    comparison = Comparison([measured("a", ONE, 0, 1, cpu_ms=3.0), measured("a", FOUR, 0, 1, cpu_ms=3.1)])

    verdict = comparison.cpu_at_most("CPU", ["a"], limit_ms=3.0).as_json()

    assert verdict["not_met_at"] == ["a, big, 4 associations"]


def test_results_hold_medians_and_the_rounds_they_come_from() -> None:
    comparison = Comparison([measured("a", ONE, n, rate) for n, rate in enumerate((10, 500, 20))])

    (result,) = comparison.results()

    assert result["instances_per_s"] == 20
    assert result["instances_per_s_of_rounds"] == [10, 500, 20]
