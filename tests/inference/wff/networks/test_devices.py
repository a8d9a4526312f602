"""What a site may choose, and what becomes of it on a machine without a GPU."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog
import torch

from inference.bundle import DEMO_BUNDLE
from inference.case import Case
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import write_study
from inference.pipeline import load_pipeline
from inference.runtime import Compile, Device, Precision, Runtime
from inference.wff.config import micro_config
from inference.wff.networks import static_shapes
from inference.wff.networks.dense_part import DenseMaps, DensePart
from inference.wff.networks.devices import settle
from inference.wff.networks.static_shapes import accelerated
from tests.inference.wff.networks.lively import lively_model, lively_nets

ON_CPU = Runtime(device=Device.CPU)
IMAGES = np.random.default_rng(1).integers(0, 256, size=(2, 96, 96), dtype=np.uint8)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("runtime", "event"),
    [
        (Runtime(device=Device.CUDA), "cuda_not_available"),
        (Runtime(precision=Precision.FP16), "precision_not_available"),
        (Runtime(compile=Compile.GRAPH), "compile_not_available"),
    ],
)
@pytest.mark.usefixtures("no_gpu")
def test_what_the_machine_lacks_is_told_and_replaced_by_what_it_has(runtime: Runtime, event: str) -> None:
    with structlog.testing.capture_logs() as logs:
        placement = settle(runtime, image_size=128)

    assert [entry["event"] for entry in logs] == [event]
    assert placement == settle(ON_CPU, image_size=128)


@pytest.mark.usefixtures("no_gpu")
def test_the_automatic_choice_without_a_gpu_is_full_precision_on_the_cpu() -> None:
    placement = settle(Runtime(), image_size=512)

    assert (placement.device.type, placement.numerics.dtype) == ("cpu", torch.float32)
    assert (placement.compile, placement.batch) == (Compile.OFF, 1)


@pytest.mark.parametrize(
    ("wrong", "told"), [({"image_size": 300}, "multiple of 64"), ({"batch": 0}, "batch is 0"), ({"threads": -1}, "-1")]
)
def test_a_choice_that_cannot_be_is_refused_by_name(wrong: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Runtime(**wrong)  # type: ignore[arg-type]


def test_a_site_may_choose_smaller_images_and_fewer_proposals() -> None:
    whole, small = lively_model(ON_CPU), lively_model(replace(ON_CPU, image_size=64, proposals=3))

    found = small.detect(IMAGES)

    assert small.config.detector.image_size == 64
    assert small.config.detector.rpn_test_proposals == (100, 3)
    assert all(0 < len(boxes) <= 3 * 2 for boxes in found)  # each proposal may be both classes
    assert all(box.box.x1 <= 96 and box.box.y1 <= 96 for boxes in found for box in boxes)
    assert max(len(boxes) for boxes in whole.detect(IMAGES)) > 6
    assert whole.config.detector == micro_config().detector


def test_the_answer_tells_what_the_site_chose(tmp_path: Path) -> None:
    files = write_study(generate_patient(0, seed=7, config=PhantomConfig(matrix=64)), tmp_path)
    case = Case(case_id="c", files=tuple(files))
    default = load_pipeline(DEMO_BUNDLE, device="cpu", threads=1)
    chosen = load_pipeline(DEMO_BUNDLE, runtime=replace(ON_CPU, threads=1, image_size=128, proposals=30))

    told, told_default = chosen.run(case).parameters, default.run(case).parameters

    assert told == {**told_default, "image_size": 128.0, "proposals": 30.0}


@pytest.fixture
def dense() -> DensePart:
    detector, _ = lively_nets(micro_config())
    return DensePart(detector.backbone, detector.rpn.head)


def test_where_launches_cannot_be_recorded_the_plain_module_runs(dense: DensePart) -> None:
    with structlog.testing.capture_logs() as logs:
        run = accelerated(dense, torch.zeros(2, 3, 128, 128), Compile.GRAPH)

    assert run is dense
    assert [entry["event"] for entry in logs] == ["dense_part_not_accelerated"]


def test_an_accelerated_part_that_gives_other_maps_is_not_used(
    dense: DensePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(images: torch.Tensor) -> DenseMaps:
        maps: DenseMaps = dense(images)
        return maps._replace(features=tuple(1.2 * one for one in maps.features))

    monkeypatch.setattr(static_shapes, "_fast", lambda *_given: stale)

    with structlog.testing.capture_logs() as logs:
        run = accelerated(dense, torch.zeros(2, 3, 128, 128), Compile.GRAPH)

    assert run is dense
    assert "differ" in logs[0]["detail"]


def test_a_part_made_for_one_size_of_batch_takes_smaller_ones(
    dense: DensePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_four(images: torch.Tensor) -> DenseMaps:
        assert len(images) == 4
        maps: DenseMaps = dense(images)
        return maps

    monkeypatch.setattr(static_shapes, "_fast", lambda *_given: of_four)
    images = torch.randn(3, 3, 128, 128)

    with torch.inference_mode():
        maps = accelerated(dense, torch.zeros(4, 3, 128, 128), Compile.GRAPH)(images)
        expected = dense(images)

    for mine, theirs in zip(maps, expected, strict=True):
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(mine, theirs, strict=True))


def test_the_choices_of_a_site_are_read_without_loading_torch() -> None:
    code = "import inference.runtime, inference.pipeline, sys; assert 'torch' not in sys.modules"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
