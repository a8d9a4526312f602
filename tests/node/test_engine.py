"""What a site sets for its worker reaches the networks."""

from pathlib import Path

import torch
from structlog.testing import capture_logs

from config.settings import WorkerSettings
from inference.case import Case
from inference.findings import Findings
from inference.runtime import Device, Runtime
from node.engine import LocalEngine, runtime_of

torch.set_num_threads(1)
ON_CPU = WorkerSettings(device="cpu", threads=1)


def answer(bundle: Path, study: Path, worker: WorkerSettings) -> Findings:
    files = tuple(sorted(file for file in study.rglob("*") if file.is_file()))
    return LocalEngine(bundle, runtime_of(worker)).run(Case(case_id="c", files=files))


def test_every_choice_of_the_site_is_handed_on() -> None:
    worker = WorkerSettings(device="cuda", threads=3, image_size=320, proposals=100)

    assert runtime_of(worker) == Runtime(device=Device.CUDA, threads=3, image_size=320, proposals=100)


def test_another_size_than_the_bundles_is_run_and_told_with_the_answer(voting_bundle: Path, spine_study: Path) -> None:
    small = answer(voting_bundle, spine_study, ON_CPU.model_copy(update={"image_size": 192, "proposals": 5}))
    usual = answer(voting_bundle, spine_study, ON_CPU)

    assert small.parameters == {**usual.parameters, "image_size": 192.0, "proposals": 5.0}
    assert small.lesions != usual.lesions


def test_the_bundles_own_size_is_nothing_to_tell(voting_bundle: Path, spine_study: Path) -> None:
    same = answer(voting_bundle, spine_study, ON_CPU.model_copy(update={"image_size": 128, "proposals": 30}))

    assert "image_size" not in same.parameters
    assert same.parameters == answer(voting_bundle, spine_study, ON_CPU).parameters


def test_a_worker_that_runs_unlike_its_bundle_logs_it_once_at_its_start(voting_bundle: Path, spine_study: Path) -> None:
    with capture_logs() as logs:
        answer(voting_bundle, spine_study, ON_CPU.model_copy(update={"image_size": 192}))
        answer(voting_bundle, spine_study, ON_CPU)

    (told,) = [entry for entry in logs if entry["event"] == "runs_unlike_its_bundle"]
    assert told["changed"] == ["image_size 192 instead of 128"]
    assert "spinenode evaluate --image-size 192" in told["remedy"]
