"""The faults that strike a node, one function each: what happens, and what brings the node back afterwards.

A fault function is called when the first images are on their way and blocks until the fault has struck; what it
returns tells whether it did (a point may not be reached). `heal` in `rounds.py` then mends the disk and starts the node
when it does not run.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.system.orthanc import wait_until
from tests.torture.disk import Disk
from tests.torture.node import TorturedNode
from tests.torture.points.torture_points import POINTS
from tests.torture.postgres import RestartingPostgresql

SQLITE: Final = "sqlite"
POSTGRESQL: Final = "postgresql"

# A round's images are received within some tenths of a second, its case is answered and delivered within some seconds.
_RECEIVING_S: Final = 0.4
_WHOLE_ROUND_S: Final = 5.0
_POINT_TIMEOUT_S: Final = 40.0
# Points that are passed for each instance: a later passage is as good as the first
_PASSED_OFTEN: Final = frozenset(
    {"after_write", "after_sync", "after_rename", "before_commit", "after_commit", "before_response", "after_response"}
)
_LATEST_PASSAGE: Final = 3
# The clock of a machine whose battery is empty starts years ago, an NTP step is seconds; an hour is the summer time
# that someone sets by hand.
CLOCK_SET_BACK_S: Final = (2.0, 90.0, 3600.0)


@dataclass
class Scene:
    """What a fault can reach. `disk` and `postgres` are None where the machine or the node has none."""

    node: TorturedNode
    disk: Disk | None
    postgres: RestartingPostgresql | None
    rng: random.Random

    def wait_a_moment(self) -> None:
        """Until a random moment: half of them while images come in, half at any time of a round."""
        time.sleep(self.rng.uniform(0.0, self.rng.choice((_RECEIVING_S, _WHOLE_ROUND_S))))


def _nothing(scene: Scene) -> bool:
    return scene.node.is_alive


def _kill_node(scene: Scene) -> bool:
    scene.wait_a_moment()
    scene.node.kill_everything()
    return True


def _kill_role(role: str, scene: Scene) -> bool:
    scene.wait_a_moment()
    return scene.node.kill(role)


def _kill_at_point(point: str, scene: Scene) -> bool:
    count = scene.rng.randint(1, _LATEST_PASSAGE) if point in _PASSED_OFTEN else 1
    scope = scene.rng.choice(("process", "node"))
    scene.node.arm(point, count=count, scope=scope)
    try:
        wait_until(lambda: scene.node.was_struck, timeout_s=_POINT_TIMEOUT_S, what=f"the point {point} is reached")
    except TimeoutError:
        scene.node.disarm()
        return False
    if scope == "node":  # of the processes that it killed, the supervisor may be the last to go
        scene.node.kill_everything()
    return True


def _restart_postgresql(scene: Scene) -> bool:
    assert scene.postgres is not None
    scene.wait_a_moment()
    scene.postgres.stop_at_once()
    time.sleep(scene.rng.uniform(0.0, 1.0))
    scene.postgres.come_back()
    return True


def _fill_disk(scene: Scene) -> bool:
    assert scene.disk is not None
    scene.wait_a_moment()
    scene.disk.fill()
    time.sleep(scene.rng.uniform(0.3, 2.0))
    return True  # room is made by `heal`


def _abort_disk(scene: Scene) -> bool:
    assert scene.disk is not None
    scene.wait_a_moment()
    scene.disk.abort()
    time.sleep(scene.rng.uniform(0.3, 2.0))
    return True


def _cut_power(scene: Scene) -> bool:
    assert scene.disk is not None
    scene.wait_a_moment()
    scene.disk.cut_power()  # first the disk: the processes may still say what they believe
    scene.node.kill_everything()
    return True


def _set_clock_back(scene: Scene) -> bool:
    scene.wait_a_moment()
    scene.node.turn_clock(-scene.rng.choice(CLOCK_SET_BACK_S))
    return True


@dataclass(frozen=True)
class Fault:
    """A kind of fault. `strike` returns whether it struck. `broken_disk`: the disk must be mended afterwards."""

    kind: str
    strike: Callable[[Scene], bool]
    databases: tuple[str, ...] = (SQLITE, POSTGRESQL)
    needs_disk: bool = False
    broken_disk: bool = False
    needs_clock: bool = False


_AT_RANDOM: Final = (
    Fault("none", _nothing),
    Fault("kill node", _kill_node),
    Fault("kill supervisor", partial(_kill_role, "serve")),
    Fault("kill receiver", partial(_kill_role, "receiver")),
    Fault("kill worker", partial(_kill_role, "worker")),
    Fault("postgresql restart", _restart_postgresql, databases=(POSTGRESQL,)),
    Fault("disk full", _fill_disk, needs_disk=True),
    Fault("disk read-only", _abort_disk, needs_disk=True, broken_disk=True),
    Fault("power cut", _cut_power, needs_disk=True, broken_disk=True),
    # leases on PostgreSQL go by its server's clock: the node's own says little there
    Fault("clock set back", _set_clock_back, databases=(SQLITE,), needs_clock=True),
)
_AT_POINTS: Final = tuple(Fault(f"at {point}", partial(_kill_at_point, point)) for point in POINTS)
FAULTS: Final = {fault.kind: fault for fault in (*_AT_RANDOM, *_AT_POINTS)}
