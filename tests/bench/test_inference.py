"""The inference benchmark compares like with like, or stops."""

import json
import re

import pytest
import torch
from torch import Tensor

from bench import inference
from bench.limits import PeakMemory, gigaflops
from bench.networks import PlainLoop, assert_same, load, patient, share_within_a_pixel
from inference.findings import Box, Verdict
from inference.runtime import Device, Precision, Runtime
from inference.wff.model import WffModel
from inference.wff.networks.batches import SliceBoxes
from inference.wff.networks.deformable import DeformableConv3x3
from inference.wff.networks.second_look import Find
from inference.wff.reading import DetectedBox

torch.set_num_threads(1)
ONE_ROUND = ["--size", "demo", "--device", "cpu", "--threads", "1", "--slices", "1", "--rounds", "1"]


@pytest.fixture(scope="module")
def model() -> WffModel:
    return load("demo", Runtime(device=Device.CPU, threads=1))


@pytest.mark.slow
def test_one_run_tells_the_ratio_the_stages_the_limits_and_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    inference.main([*ONE_ROUND, "--json"])

    told = json.loads(capsys.readouterr().out)
    assert told["changed"] == []
    assert (told["slices"], told["sequences"], told["boxes"]["share_within_a_pixel"]) == (4, 4, 1.0)
    assert told["boxes"]["same"] > 3
    assert told["ratio"] == pytest.approx(
        told["seconds_per_patient"]["plain loop"]["median"] / told["seconds_per_patient"]["this pipeline"]["median"]
    )
    assert set(told["stage_seconds"]) == {"detector", "crops", "sequence", "fusion"}
    assert all(mib > 100 for mib in told["peak_memory_mib"].values())
    assert all(0 < share < 1.5 for share in told["limits"]["share_of_peak"].values())


@pytest.mark.slow
def test_both_contenders_run_at_the_sizes_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The same boxes of both are asserted before anything is told."""
    inference.main([*ONE_ROUND, "--image-size", "128", "--proposals", "9"])

    told = capsys.readouterr().out
    assert "image_size 128 instead of 256, proposals 9 instead of" in told
    assert "'share_within_a_pixel': 1.0" in told
    assert "p95" not in told


def test_a_net_of_any_scores_has_the_share_of_its_slices_looked_at_again_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half = load("demo", Runtime(device=Device.CPU, threads=1, precision=Precision.BF16))
    sequences = patient(half.config.detector.image_size, 5)
    slices = sum(map(len, sequences))

    for share in (0.25, 0.5):
        searching = inference.with_share(half, sequences, share)
        again: list[int] = []

        def in_full(images: Tensor, full: Find = half.full, again: list[int] = again) -> Tensor:
            again.append(len(images))
            return full(images)

        monkeypatch.setattr(searching, "full", in_full)
        spied = searching.with_fusion(searching.config.fusion)
        for images in sequences:
            spied.detect(images)

        assert sum(again) == pytest.approx(share * slices, abs=2)


def test_a_95th_percentile_is_told_from_twenty_rounds_on() -> None:
    assert "p95" not in inference.spread([1.0] * 19)
    assert inference.spread([*map(float, range(1, 21))])["p95"] == 19.0


def test_each_contender_is_measured_against_the_peak_of_its_own_numbers(
    model: WffModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks = {torch.float32: 10.0, torch.bfloat16: 80.0}
    monkeypatch.setattr(inference, "peak_gigaflops_per_s", lambda _device, dtype: peaks[dtype])
    contenders = [
        inference.Contender("ours", lambda: None, torch.bfloat16),
        inference.Contender("plain", lambda: None, torch.float32),
    ]

    measured = inference.in_turn(contenders, PeakMemory(model.device), model.device, rounds=2)

    assert (measured["ours"].peak, measured["plain"].peak) == (80.0, 10.0)
    assert [len(one.seconds) for one in measured.values()] == [2, 2]


class FakeAllocator:
    """torch.cuda's counters, in bytes."""

    def __init__(self) -> None:
        self.allocated = self.peak = 0

    def take(self, mib: int) -> None:
        self.allocated += mib * 2**20
        self.peak = max(self.peak, self.allocated)

    def reset(self) -> None:
        self.peak = self.allocated


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> FakeAllocator:
    fake = FakeAllocator()
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: fake.allocated)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: fake.allocated)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: fake.peak)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", fake.reset)
    return fake


def test_on_a_gpu_the_memory_of_a_contender_is_its_own(allocator: FakeAllocator) -> None:
    """What the other one holds and took is not counted."""
    memory = PeakMemory(torch.device("cuda"))
    allocator.take(100)
    ours = memory.newly_held()
    allocator.take(300)
    theirs = memory.newly_held()

    memory.reset()
    allocator.take(50)
    allocator.take(-50)
    during_ours = memory.mib()
    memory.reset()
    allocator.take(20)

    assert (ours, theirs) == (100.0, 300.0)
    assert (during_ours, memory.mib()) == (50.0, 20.0)


def test_the_plain_loop_runs_torchvisions_own_kernel_and_leaves_ours_as_it_was(
    model: WffModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = DeformableConv3x3.forward
    images = patient(128, 1)[0]
    ours = model.detect(images)
    monkeypatch.setattr("inference.wff.networks.deformable._by_rows", None)  # our way of reading the taps would fail

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


@pytest.mark.slow
def test_in_half_precision_it_is_told_how_near_the_boxes_are_and_how_often_full_precision_looked_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inference.main([*ONE_ROUND, "--precision", "bf16"])

    told = capsys.readouterr().out
    assert "'share_of_those_from_tau_on': 1.0" in told  # told only where there is one
    assert "looked at again in full precision" in told
    [again] = map(int, re.findall(r"'slices_looked_at_again': (\d+)", told))
    assert 1 <= again <= 4  # one slice of each sequence
