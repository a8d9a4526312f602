"""How the soak judges its samples, and that it measures a real node."""

from pathlib import Path

import pytest

from bench.soak import PARTS, Sample, judge, soak

MIB = 1 << 20


def samples(*, growth: int = 0, database_costs: list[float] | None = None) -> list[Sample]:
    """Of a node whose one process grows by so many bytes in each part."""
    costs = database_costs or [750.0] * PARTS
    return [
        Sample(
            instances=10_000 * (part + 1),
            instances_per_s=300.0,
            memory={"serve 1": 150 * MIB + part * growth},
            database_bytes=0,
            file_bytes=0,
            database_cost=costs[part],
            file_cost=36_864.0,
        )
        for part in range(PARTS)
    ]


def test_flat_memory_and_constant_costs_are_no_fault() -> None:
    assert judge(samples()) == []


def test_a_process_that_grows_with_each_part_is_told_with_its_bytes_per_instance() -> None:
    (fault,) = judge(samples(growth=10 * MIB))

    assert "serve 1 grew by 70 MiB" in fault


def test_an_instance_that_costs_more_later_is_told() -> None:
    (fault,) = judge(samples(database_costs=[750.0] * (PARTS - 1) + [1500.0]))

    assert "database_cost" in fault


def test_what_the_first_parts_need_more_is_warming_up() -> None:
    assert judge(samples(database_costs=[9000.0, 2000.0, *[750.0] * (PARTS - 2)])) == []


def test_a_process_that_was_started_anew_is_told() -> None:
    found = samples()
    found[-1].memory["worker 2"] = MIB

    assert judge(found) == ["worker 2 was started anew during the soak"]


@pytest.mark.system
@pytest.mark.slow
def test_a_short_soak_measures_every_process_and_loses_nothing(tmp_path: Path) -> None:
    found = soak(tmp_path, instances=40, edge=32, associations=2)

    assert [one.instances for one in found] == [4 * (part + 1) for part in range(PARTS)]
    assert {name.split()[0] for name in found[-1].memory} >= {"serve", "worker", "receiver"}
    assert all(one.file_cost > 0 for one in found)
