"""The benchmark of receiving runs, tells what it must tell, and cannot be cheated."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from bench import nodes, peers, receive
from bench.instances import SMALL, InstanceSize
from bench.messages import Payload
from bench.processes import cpu_seconds
from bench.raw_sender import Load, SendingFailed, Target, send_burst
from tests.postgresql import free_port

TINY = InstanceSize("tiny", 16)
PLAN = receive.Plan(
    rounds=1, bytes_per_run=20 * TINY.pixel_bytes, duration_s=5.0, pause_s=0.0, associations=(1, 4), sizes=(TINY,)
)

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (apt-get install gcc)")
needs_dcmtk = pytest.mark.skipif(peers.STORESCP is None, reason="DCMTK is not installed (apt-get install dcmtk)")


@needs_compiler
@needs_dcmtk
@pytest.mark.system
def test_every_contestant_is_measured_in_every_cell_and_the_verdicts_are_in_the_json(tmp_path: Path) -> None:
    limit = partial(peers.synced_writes, program=peers.compile_synced_writes(tmp_path))
    contestants = {
        receive.OURS[0]: nodes.spinenode,
        receive.STORESCP_TUNED: partial(peers.storescp, tuned=True),
        receive.LIMIT: partial(limit, sync_folder=False),
        receive.LIMIT_WITH_FOLDER: partial(limit, sync_folder=True),
    }

    report = receive.report_on(receive.measure(contestants, PLAN), PLAN)

    assert json.loads(json.dumps(report)) == report
    measured = {(one["contestant"], one["size"], one["associations"]) for one in report["results"]}
    assert measured == {(name, "tiny", n) for name in contestants for n in (1, 4)}
    assert all(one["instances_per_s"] > 0 and one["cpu_ms"] >= 0 for one in report["results"])
    assert set(report["ratios"][0]["to"]) == set(contestants) - {receive.OURS[0]}
    assert [one["name"] for one in report["requirements"]] == [
        "of storescp tuned at 4 and 8",
        "server CPU ms per instance",
    ]
    assert report["met"] == all(one["met"] for one in report["requirements"])
    assert report["machine"]["cores"] >= 1
    assert {"spinenode", "dcmtk", "python"} <= set(report["versions"])


@needs_compiler
def test_an_instance_that_was_acknowledged_and_not_kept_ends_the_benchmark(tmp_path: Path) -> None:
    program = peers.compile_synced_writes(tmp_path)

    @contextmanager
    def forgetful(folder: Path) -> Iterator[peers.Server]:
        with peers.synced_writes(folder, program=program, sync_folder=False) as server:

            def check(expected: set[str]) -> None:
                next((folder / "received").iterdir()).unlink()
                server.check(expected)

            yield replace(server, check=check)

    with pytest.raises(AssertionError, match="files were written"):
        receive.measure({"forgetful": forgetful}, PLAN)


@needs_compiler
def test_every_instance_has_a_uid_of_its_own_and_all_are_told(tmp_path: Path) -> None:
    program = peers.compile_synced_writes(tmp_path)
    load = Load(associations=3, instances=30, duration_s=30.0)

    with peers.synced_writes(tmp_path, program=program, sync_folder=True) as server:
        burst = send_burst(Payload(SMALL), server.target, load, run=7)

    files = list((tmp_path / "received").iterdir())
    sent = [file.read_bytes() for file in files]
    assert burst.acknowledged == (10, 10, 10)
    assert len(sent) == 30
    assert all(sum(uid.encode() in content for content in sent) == 1 for uid in burst.sop_instance_uids())


def test_a_peer_that_is_not_there_is_told_and_ends_every_sender() -> None:
    nobody = Target(port=free_port(), ae_title="NOBODY")

    with pytest.raises(SendingFailed, match="ConnectionRefusedError"):
        send_burst(Payload(TINY), nobody, Load(associations=2, instances=2, duration_s=1.0), run=1)


def test_processor_time_of_a_process_that_is_gone_is_nothing() -> None:
    assert cpu_seconds(2**22 + 1) == 0.0
