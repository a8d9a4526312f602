"""Batches, workers and number formats change the time, not the answer."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from inference.bundle import DEMO_BUNDLE, open_bundle
from inference.findings import Verdict
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.data_set import windowed
from inference.runtime import Device, Precision, Runtime
from inference.wff.config import FusionConfig
from inference.wff.model import WffModel
from inference.wff.networks.batches import DetectionRun, Images, SliceBoxes, SliceDetector
from inference.wff.networks.detector import BENIGN, MALIGNANT
from inference.wff.networks.workers import Workers
from inference.wff.reading import DetectedBox, PatientReading, lesions_of
from inference.wff.weights import load_model
from tests.inference.wff.networks.lively import lively_model

EVERYTHING_VOTES = FusionConfig(tau=0.06)
ON_CPU = Runtime(device=Device.CPU)


@pytest.fixture(scope="module")
def sequences() -> list[Images]:
    """Sixty slices of four sequences that differ in size and count."""
    rng = np.random.default_rng(5)
    shapes = ((15, 96, 96), (20, 128, 80), (12, 64, 64), (13, 200, 150))
    return [rng.integers(0, 256, size=shape, dtype=np.uint8) for shape in shapes]


def analysed(runtime: Runtime, sequences: list[Images]) -> tuple[list[tuple[SliceBoxes, ...]], PatientReading]:
    model = lively_model(runtime).with_fusion(EVERYTHING_VOTES)
    with model.detection() as run:
        for images in sequences:
            run.add(images)
        found = run.results()
    return found, model.decide(sequences, found, 61.0)


def assert_same_boxes(found: SliceBoxes, expected: SliceBoxes, *, px: float) -> None:
    assert [box.verdict for box in found] == [box.verdict for box in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert corners(ours) == pytest.approx(corners(theirs), abs=px)


def corners(found: DetectedBox) -> list[float]:
    return [found.box.x0, found.box.y0, found.box.x1, found.box.y1]


def decisions(reading: PatientReading) -> list[object]:
    votes = [s.vote for s in reading.sequences] + [reading.vote]
    return [None if vote is None else (vote.verdict, vote.tie) for vote in votes]


@pytest.mark.parametrize(
    "runtime",
    [
        replace(ON_CPU, batch=60),
        replace(ON_CPU, batch=7),
        replace(ON_CPU, threads=3),
        replace(ON_CPU, batch=4, threads=2),
    ],
    ids=["sixty at once", "batches over the ends of sequences", "three workers", "both"],
)
def test_boxes_and_decisions_are_those_of_one_slice_at_a_time_in_the_order_of_the_slices(
    runtime: Runtime, sequences: list[Images]
) -> None:
    found, reading = analysed(runtime, sequences)

    expected, expected_reading = analysed(replace(ON_CPU, batch=1), sequences)
    assert [len(one) for one in found] == [15, 20, 12, 13]
    assert all(boxes for one in expected for boxes in one)
    for ours, theirs in zip(found, expected, strict=True):
        for boxes, others in zip(ours, theirs, strict=True):
            assert_same_boxes(boxes, others, px=1e-2)
    assert decisions(reading) == decisions(expected_reading)
    assert reading.vote is not None
    assert expected_reading.vote is not None
    assert reading.vote.mean == pytest.approx(expected_reading.vote.mean, abs=1e-4)


def test_with_workers_a_slice_gives_the_same_bits_alone_and_among_others(sequences: list[Images]) -> None:
    model = lively_model(Runtime(device=Device.CPU, threads=2, batch=1))

    together = model.detect(sequences[0])

    assert [model.detect(sequences[0][k : k + 1])[0] for k in range(15)] == list(together)


def test_a_sequence_is_worked_on_while_the_next_one_is_being_read() -> None:
    found = threading.Event()

    def find(batch: Tensor) -> Tensor:
        found.set()
        return marks(batch)

    with DetectionRun(SliceDetector(find, image_size=64, batch=2), workers=1) as run:
        run.add(np.zeros((2, 64, 64), dtype=np.uint8))

        assert found.wait(timeout=30)  # before the second one came, or anybody asked


def test_after_a_run_torch_has_as_many_threads_as_before(sequences: list[Images]) -> None:
    model = lively_model(Runtime(device=Device.CPU, threads=2))
    torch.set_num_threads(2)
    try:
        model.detect(sequences[2])

        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_runs_that_overlap_leave_torch_as_it_was_when_the_last_one_ends() -> None:
    torch.set_num_threads(3)
    try:
        first, second = Workers(2), Workers(2)
        first.__enter__()
        second.__enter__()
        first.__exit__()

        assert torch.get_num_threads() == 1
        second.__exit__()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def broken(_batch: Tensor) -> Tensor:
    raise RuntimeError("the driver went away")


@pytest.mark.parametrize("workers", [0, 2])
def test_what_goes_wrong_on_a_worker_is_raised_where_the_result_is_asked(workers: int) -> None:
    slices = np.zeros((9, 64, 64), dtype=np.uint8)

    with DetectionRun(SliceDetector(broken, image_size=64, batch=2), workers=workers) as run:
        run.add(slices)

        with pytest.raises(RuntimeError, match="driver went away"):
            run.results()


def marks(batch: Tensor) -> Tensor:
    """One malignant and one benign box, and a place without any, on every image."""
    one = [[8, 8, 40, 40, MALIGNANT, 0.9], [60, 60, 90, 90, BENIGN, 0.8], [0, 0, 0, 0, BENIGN, -1]]
    return torch.tensor(one, dtype=torch.float32).repeat(len(batch), 1, 1)


def test_the_classes_of_the_detector_keep_their_meaning_and_boxes_are_in_pixels_of_the_image() -> None:
    detect = SliceDetector(marks, image_size=128, batch=8)

    ((first, second),) = detect([np.zeros((1, 64, 64), dtype=np.uint8)])

    assert (first.verdict, first.score) == (Verdict.MALIGNANT, pytest.approx(0.9))
    assert (second.verdict, second.score) == (Verdict.BENIGN, pytest.approx(0.8))
    assert corners(second) == [30, 30, 45, 45]


def test_a_device_that_runs_out_of_memory_gets_smaller_batches_from_then_on() -> None:
    sizes: list[int] = []

    def at_most_three(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return marks(batch)

    detect = SliceDetector(at_most_three, image_size=64, batch=8)
    for _ in range(2):
        with DetectionRun(detect, workers=0) as run:
            run.add(np.zeros((8, 64, 64), dtype=np.uint8))
            (found,) = run.results()

    assert [len(boxes) for boxes in found] == [2] * 8
    assert sizes == [8, 4, 2, 2, 4, 2, 2, 2, 2, 2, 2]


def test_a_device_too_small_for_one_slice_is_told_to_the_caller() -> None:
    def too_small(_batch: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        SliceDetector(too_small, image_size=64, batch=4)([np.zeros((4, 64, 64), dtype=np.uint8)])


@pytest.mark.slow
def test_the_demo_bundle_finds_and_decides_alike_in_batches_of_one_and_sixty_and_in_half_precision() -> None:
    config = PhantomConfig(lesion_free_fraction=0.0)
    studies = [
        [windowed(series) for series in generate_patient(index, seed=1, config=config).series] for index in range(8)
    ]
    bundle = open_bundle(DEMO_BUNDLE)
    one, sixty, half = (
        load_model(bundle, runtime=runtime)
        for runtime in (
            replace(ON_CPU, batch=1),
            replace(ON_CPU, batch=60),
            replace(ON_CPU, batch=60, precision=Precision.BF16),
        )
    )
    tau = one.config.fusion.tau

    alone, together, halved = ([found_in(study, model) for study in studies] for model in (one, sixty, half))

    votes = [decisions(reading) for _, reading in alone]
    assert votes == [decisions(reading) for _, reading in together]
    assert votes == [decisions(reading) for _, reading in halved]
    assert any(vote is not None for of_one in votes for vote in of_one)
    for (by_one, _), (by_sixty, _), (by_half, _) in zip(alone, together, halved, strict=True):
        for boxes, in_sixty, in_half in zip(by_one, by_sixty, by_half, strict=True):
            assert_same_boxes(in_sixty, boxes, px=1e-2)
            assert_same_boxes(lesions_of(in_half, tau), lesions_of(boxes, tau), px=1e-2)
    assert sum(len(lesions_of(boxes, tau)) for by_one, _ in alone for boxes in by_one) > 50


def found_in(study: list[Images], model: WffModel) -> tuple[list[SliceBoxes], PatientReading]:
    """Boxes of every slice of a study, and what becomes of them."""
    with model.detection() as run:
        for images in study:
            run.add(images)
        found = run.results()
    return [boxes for sequence in found for boxes in sequence], model.decide(study, found, 61.0)
