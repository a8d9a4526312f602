"""The short form: each kind of fault once, on SQLite or PostgreSQL. The long one is `make torture`."""

import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.torture.faults import FAULTS, POSTGRESQL, SQLITE, Fault, Scene
from tests.torture.place import Ground
from tests.torture.postgres import restarting_postgresql
from tests.torture.rounds import Result, judge_by_command, play

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(900)]

SEED = 20261102
AT_RANDOM = [fault for kind, fault in FAULTS.items() if not kind.startswith("at ")]
AT_POINTS = [fault for kind, fault in FAULTS.items() if kind.startswith("at ")]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with ExitStack() as parts:
        try:
            postgres = parts.enter_context(restarting_postgresql())
        except FileNotFoundError:
            pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
        ground = Ground(tmp_path_factory.mktemp("torture"), postgres=postgres)
        parts.callback(ground.close)
        yield ground


@pytest.fixture(scope="module", params=[SQLITE, POSTGRESQL])
def scene(request: pytest.FixtureRequest, ground: Ground) -> Iterator[Scene]:
    """One node for all faults on one database, as in the long form."""
    with ground.scene(request.param) as scene:
        yield scene


# What strikes the processes or the database itself is played on both; the rest on one: the same code runs on both.
ON_BOTH = {"none", "kill node", "postgresql restart"}


def skip_unless_here(scene: Scene, *, here: bool) -> None:
    if (scene.postgres is None) != here:
        pytest.skip("on the other database")


def play_one(fault: Fault, scene: Scene, ground: Ground) -> Result:
    database = SQLITE if scene.postgres is None else POSTGRESQL
    if database not in fault.databases:
        pytest.skip(f"{fault.kind} says nothing on {database}")
    if not ground.allows(fault):
        pytest.skip(f"{fault.kind} needs root with loop devices, or a C compiler")
    scene.rng = random.Random(f"{SEED} {fault.kind}")  # noqa: S311 - when to strike, no secret
    result = Result(index=0, kind=fault.kind, database=database)
    return play(scene, ground.archive, ground.studies, result, name=f"{database} {fault.kind}")


def assert_kept_every_promise(result: Result) -> None:
    verdict = result.verdict
    assert not result.broken
    assert (verdict.lost, verdict.twice, verdict.stuck) == ([], [], [])


@pytest.mark.parametrize("fault", AT_RANDOM, ids=lambda fault: fault.kind)
def test_nothing_is_lost_answered_twice_or_stuck_after(fault: Fault, scene: Scene, ground: Ground) -> None:
    if fault.kind not in ON_BOTH:
        skip_unless_here(scene, here=fault.kind != "kill receiver")

    result = play_one(fault, scene, ground)

    assert_kept_every_promise(result)


@pytest.mark.parametrize("fault", AT_POINTS, ids=lambda fault: fault.kind)
def test_every_point_is_reached_and_a_death_there_breaks_no_promise(fault: Fault, scene: Scene, ground: Ground) -> None:
    skip_unless_here(scene, here=AT_POINTS.index(fault) % 2 == 0)

    result = play_one(fault, scene, ground)

    assert result.struck, f"no process passed {fault.kind}: has the code moved away from tests/torture/points?"
    assert_kept_every_promise(result)


def test_the_command_verify_finds_no_fault_after_all_of_them(scene: Scene) -> None:
    assert judge_by_command(scene.node) == []
