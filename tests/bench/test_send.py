"""The benchmark of sending runs and tells what it must tell."""

import json
from pathlib import Path

import pytest

from bench import peers, send
from bench.instances import InstanceSize

PLAN = send.Plan(rounds=1, outbox_rounds=0, files=8, size=InstanceSize("tiny", 16))


@pytest.mark.system
@pytest.mark.skipif(send.DCMSEND is None or peers.STORESCP is None, reason="DCMTK is not installed")
def test_every_way_of_sending_is_measured_and_the_verdicts_are_in_the_json(tmp_path: Path) -> None:
    report = send.report_on(send.measure(tmp_path, PLAN), PLAN, tmp_path)

    assert json.loads(json.dumps(report)) == report
    measured = {(one["contestant"], one["associations"]) for one in report["results"]}
    assert measured == {(name, n) for name in send.CONTESTANTS for n in (1, 4)}
    assert all(one["instances_per_s"] > 0 for one in report["results"])
    assert [one["name"] for one in report["requirements"]] == ["of dcmsend as shipped", "of dcmsend, TCP_NODELAY=1"]
    assert all(set(one["to"]) == {send.DCMSEND_SHIPPED, send.DCMSEND_WITHOUT_NAGLE} for one in report["ratios"])
