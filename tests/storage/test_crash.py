import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from storage.database import Database
from storage.files import FileStore
from storage.schema import InstanceRow
from tests.storage.crashing_receiver import content_of

KILLS = 6
MOST_ACKNOWLEDGED_BEFORE_A_KILL = 60
ROOT = Path(__file__).parents[2]


def receive_until_killed(url: str, root: Path, run: int, acknowledged_before_kill: int) -> list[str]:
    """The UIDs that the process acknowledged before it was killed in the middle of its work."""
    command = [sys.executable, "-m", "tests.storage.crashing_receiver", url, root, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged_before_kill)]
        process.kill()
        lines += process.stdout.readlines()
    return [line.strip() for line in lines if line.endswith("\n")]


def test_every_acknowledged_instance_of_a_killed_receiver_has_its_row_and_its_whole_file(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    chance = random.Random(20061012)  # noqa: S311 - when to kill, not a secret
    acknowledged: list[str] = []

    for run in range(KILLS):
        number = chance.randint(1, MOST_ACKNOWLEDGED_BEFORE_A_KILL)
        acknowledged += receive_until_killed(database_url, tmp_path / "files", run, number)

    files = FileStore(tmp_path / "files")
    with database.reading() as session:
        recorded = {row.sop_instance_uid: row.file for row in session.scalars(select(InstanceRow))}
    assert len(acknowledged) >= KILLS
    assert set(acknowledged) <= set(recorded)
    for uid, file in recorded.items():  # acknowledged or not: a row never names a file that is not whole
        assert files.path(file).read_bytes() == content_of(uid)


def test_what_a_killed_receiver_left_behind_is_removed_at_the_next_start(database_url: str, tmp_path: Path) -> None:
    if database_url.startswith("postgresql"):
        pytest.skip("looks at files only")
    root = tmp_path / "files"
    receive_until_killed(database_url, root, 1, 20)

    for part in root.rglob("*.part"):  # some time later: a young empty file may be one that is about to be locked
        os.utime(part, (0, 0))
    files = FileStore(root)
    files.remove_stale_parts()

    assert list(root.rglob("*.part")) == []
