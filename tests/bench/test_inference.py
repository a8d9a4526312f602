"""The inference benchmark compares like with like, or stops."""

import json

import pytest
import torch

from bench import inference
from bench.limits import gigaflops
from bench.networks import PlainLoop, assert_same, load, patient, share_within_a_pixel
from inference.findings import Box, Verdict
from inference.runtime import Device, Runtime
from inference.wff.batches import SliceBoxes
from inference.wff.deformable import DeformableConv3x3
from inference.wff.model import WffModel
from inference.wff.reading import DetectedBox

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> WffModel:
    return load("demo", Runtime(device=Device.CPU, threads=1))


@pytest.mark.slow
def test_one_run_tells_the_ratio_the_stages_the_limits_and_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--size", "demo", "--device", "cpu", "--threads", "1", "--slices", "1", "--rounds", "1", "--json"]

    inference.main(arguments)

    told = json.loads(capsys.readouterr().out)
    assert (told["slices"], told["sequences"], told["boxes"]["share_within_a_pixel"]) == (4, 4, 1.0)
    assert told["boxes"]["same"] > 3
    assert told["ratio"] == pytest.approx(
        told["seconds_per_patient"]["plain loop"]["median"] / told["seconds_per_patient"]["this pipeline"]["median"]
    )
    assert set(told["stage_seconds"]) == {"detector", "crops", "sequence", "fusion"}
    assert all(mib > 100 for mib in told["peak_memory_mib"].values())
    assert all(0 < share < 1.5 for share in told["limits"]["share_of_peak"].values())


def test_the_plain_loop_runs_torchvisions_own_kernel_and_leaves_ours_as_it_was(
    model: WffModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = DeformableConv3x3.forward
    images = patient(128, 1)[0]
    ours = model.detect(images)
    monkeypatch.setattr("inference.wff.deformable._by_rows", None)  # our way of reading the taps would fail

    theirs = PlainLoop(model).detect(images)

    assert DeformableConv3x3.forward is before
    assert_same([ours], [theirs])


def test_the_operations_of_the_deformable_convolutions_are_counted_too(
    model: WffModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = patient(128, 1)[0]
    whole, _ = gigaflops(model, images)
    monkeypatch.setattr("bench.limits._deformable_flop", lambda *_shapes, **_more: 0)

    without, _ = gigaflops(model, images)

    expected = 0.0
    for layer, side in zip(deformable_layers(model), (32, 32, 16, 16, 8), strict=True):
        expected += 2e-9 * layer.conv.weight.numel() * side**2
    assert whole - without == pytest.approx(expected)


def deformable_layers(model: WffModel) -> list[DeformableConv3x3]:
    return [module for module in model.nets[0].modules() if isinstance(module, DeformableConv3x3)]


def boxes(*placed: tuple[float, float]) -> SliceBoxes:
    return tuple(DetectedBox(Box(x0=x, y0=0, x1=x + 9, y1=9), Verdict.BENIGN, score) for x, score in placed)


def test_a_box_that_moved_by_more_than_a_pixel_stops_the_benchmark() -> None:
    theirs = [(boxes((10.0, 0.9)),)]

    assert assert_same([(boxes((10.9, 0.9)),)], theirs) == 1
    with pytest.raises(AssertionError, match="not where the plain loop has it"):
        assert_same([(boxes((11.1, 0.9)),)], theirs)


def test_boxes_in_another_order_stop_it_unless_their_scores_are_tied() -> None:
    swapped = [(boxes((50.0, 0.9), (10.0, 0.9)),)]

    assert assert_same(swapped, [(boxes((10.0, 0.9), (50.0, 0.9)),)]) == 2
    with pytest.raises(AssertionError, match="not where"):
        assert_same(swapped, [(boxes((10.0, 0.9), (50.0, 0.7)),)])


def test_a_missing_box_stops_it_and_is_counted_where_only_the_share_is_told() -> None:
    theirs = [(boxes((10.0, 0.9), (50.0, 0.8)),)]

    with pytest.raises(AssertionError, match="1 boxes, the plain loop has 2"):
        assert_same([(boxes((10.0, 0.9)),)], theirs)
    assert share_within_a_pixel([(boxes((10.0, 0.9)),)], theirs) == 0.5
