"""The networks of one patient: our pipeline beside a plain per-image loop over torchvision's parts, in one run.

Both run the same weights on the same slices in turn. In fp32 they must give the same boxes before a ratio is printed;
in half precision the shares of boxes within a pixel are printed beside it, and on how many slices full precision had to
look again. With them stand the counted operations and the share of this machine's measured peak. Ratios hold on a busy
machine, seconds do not: the load is printed with them.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import machine
from bench.inference_text import as_text
from bench.limits import PeakMemory, gigaflops, peak_gigaflops_per_s, seconds
from bench.networks import PlainLoop, assert_same, load, patient, share_within_a_pixel
from inference.findings import Verdict
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import write_study
from inference.runtime import Compile, Device, Precision, Runtime
from inference.selection import read_head, select_series
from inference.volume import load_volume, window_to_uint8
from inference.wff.model import WffModel
from inference.wff.networks.batches import Images, SliceBoxes
from inference.wff.networks.preprocessing import letterbox
from inference.wff.networks.second_look import MARGIN
from inference.wff.reading import lesions_of, of_either
from inference.wff.stage_times import StageTimes

OURS, PLAIN = "this pipeline", "plain loop"
_SLICES = 15  # per sequence of a usual patient
_AGE_YEARS = 60.0
_AGAIN = 0.40  # of the slices of a patient with a lesion, docs/speed.md
_ROUNDS_OF_A_P95 = 20


def main(argv: Sequence[str] | None = None) -> None:
    options = _options(argv)
    runtime = Runtime(
        device=Device(options.device),
        threads=options.threads,
        precision=Precision(options.precision),
        compile=Compile(options.compile),
        image_size=options.image_size,
        proposals=options.proposals,
    )
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load(options.size, runtime)
    slices = options.slices or (3 if options.size == "paper" and model.device.type == "cpu" else _SLICES)
    rounds = options.rounds or (20 if model.device.type == "cuda" else 3)
    images = patient(model.config.detector.image_size, slices)
    result = measure(model, images, rounds=rounds, looked_at_again=_AGAIN if options.size == "paper" else None)
    result = {"size": options.size, "slices_per_sequence": slices, **result, "read": read_times()}
    sys.stdout.write(json.dumps(result, indent=2) + "\n" if options.json else as_text(result))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.inference", description=__doc__)
    parser.add_argument(
        "--size", choices=["demo", "paper"], default="demo", help="demo bundle or published architecture"
    )
    parser.add_argument("--device", choices=list(Device), default="auto")
    parser.add_argument(
        "--precision", choices=list(Precision), default="auto", help="of our pipeline; the loop has fp32"
    )
    parser.add_argument("--compile", choices=list(Compile), default="auto")
    parser.add_argument("--threads", type=int, help="of a CPU; all where it is left out")
    parser.add_argument("--image-size", type=int, help="a multiple of 64; the model's own where it is left out")
    parser.add_argument("--proposals", type=int, help="regions per slice; the model's own where it is left out")
    parser.add_argument("--slices", type=int, help=f"per sequence, at most {_SLICES}; fewer at paper size on a CPU")
    parser.add_argument("--rounds", type=int, help="3 on a CPU, 20 on a GPU where it is left out")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    run: Callable[[], None]
    dtype: torch.dtype  # of the detector, most of the work


@dataclass(slots=True)
class Measured:
    """One contender over all rounds."""

    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)  # GF/s of this machine in the contender's numbers
    mib: float = 0.0  # most, see `PeakMemory`

    @property
    def peak(self) -> float:
        return statistics.median(self.peaks)


def measure(
    model: WffModel, sequences: list[Images], *, rounds: int, looked_at_again: float | None = None
) -> dict[str, Any]:
    """`looked_at_again`: the share of the slices that full precision looks at again; None: by the model's own tau."""
    memory = PeakMemory(model.device)
    model.warm_up()
    searching = model if looked_at_again is None else with_share(model, sequences, looked_at_again)
    held = {OURS: memory.newly_held()}
    plain = PlainLoop(model)
    held[PLAIN] = memory.newly_held()
    stages = StageTimes()
    answers: dict[str, Any] = {}

    def ours() -> None:
        with stages.stage("detector"), searching.detection() as run:
            for images in sequences:
                run.add(images)
            answers[OURS] = run.results()
        model.decide(sequences, answers[OURS], _AGE_YEARS, stages)

    def theirs() -> None:
        answers[PLAIN], _ = plain.analyse(sequences)

    dtype = model.frozen.dtype
    contenders = [Contender(OURS, ours, dtype), Contender(PLAIN, theirs, torch.float32)]
    found = in_turn(contenders, memory, model.device, rounds=rounds)
    return {
        "device": _name(model.device),
        "machine": machine.describe(Path(tempfile.gettempdir())),
        "threads": torch.get_num_threads(),
        "waiting_threads": os.environ.get("OMP_WAIT_POLICY", "as the library likes").lower(),
        "precision": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "changed": [str(one) for one in model.changed],
        "sequences": len(sequences),
        "slices": sum(map(len, sequences)),
        "rounds": rounds,
        "boxes": _compared(searching, answers[OURS], answers[PLAIN]),
        "seconds_per_patient": {name: spread(one.seconds) for name, one in found.items()},
        "ratio": statistics.median(b / a for a, b in zip(found[OURS].seconds, found[PLAIN].seconds, strict=True)),
        "stage_seconds": {name: total / rounds for name, total in stages.seconds.items()},
        "detector_parts_seconds": detector_parts(model, sequences[0]),
        "peak_memory_mib": {name: held[name] + one.mib for name, one in found.items()},
        "limits": _limits(model, sequences, found),
    }


def with_share(model: WffModel, sequences: list[Images], share: float) -> WffModel:
    """The model with the threshold at which full precision looks at this share of the slices again.

    A net that was never trained scores every slice alike, so that its own threshold has all of them looked at, or none.
    """
    if model.full is model.frozen:
        return model
    never = model.with_fusion(replace(model.config.fusion, tau=1.0 + 2 * MARGIN))
    most = [most_of_a_lesion(model, boxes) for images in sequences for boxes in never.detect(images)]
    tau = float(np.quantile(most, 1.0 - share, method="higher")) + MARGIN
    return model.with_fusion(replace(model.config.fusion, tau=tau))


def in_turn(
    contenders: Sequence[Contender], memory: PeakMemory, device: torch.device, *, rounds: int
) -> dict[str, Measured]:
    """Each contender by name; the machine's peak is measured between the rounds."""
    found = {one.name: Measured() for one in contenders}
    for _ in range(rounds):
        for one in contenders:
            memory.reset()
            found[one.name].seconds.append(seconds(one.run, device))
            found[one.name].mib = max(found[one.name].mib, memory.mib())
        peaks = {dtype: peak_gigaflops_per_s(device, dtype) for dtype in {one.dtype for one in contenders}}
        for one in contenders:
            found[one.name].peaks.append(peaks[one.dtype])
    return found


def _limits(model: WffModel, sequences: list[Images], found: dict[str, Measured]) -> dict[str, Any]:
    """Counted operations, and the share of the peak that each contender reached in its own numbers."""
    per_slice, per_clip = gigaflops(model, sequences[0])
    work = sum(map(len, sequences)) * per_slice + len(sequences) * per_clip
    speed = {name: work / statistics.median(one.seconds) for name, one in found.items()}
    return {
        "gigaflop_per_slice": per_slice,
        "gigaflop_per_clip": per_clip,
        "gigaflop": work,
        "peak_gigaflop_per_s": {name: one.peak for name, one in found.items()},
        "gigaflop_per_s": speed,
        "share_of_peak": {name: speed[name] / one.peak for name, one in found.items()},
    }


def _compared(
    model: WffModel, ours: list[tuple[SliceBoxes, ...]], theirs: list[tuple[SliceBoxes, ...]]
) -> dict[str, float]:
    """In full precision every box is asserted; else the shares are told, and on how many slices both were needed."""
    if model.full is model.frozen:
        return {"same": assert_same(ours, theirs), "share_within_a_pixel": 1.0}
    tau = model.config.fusion.tau
    most = [most_of_a_lesion(model, boxes) for slices in ours for boxes in slices]
    voting = [[lesions_of(boxes, tau) for boxes in slices] for slices in theirs]
    lesions = sum(len(boxes) for slices in voting for boxes in slices)
    return {
        "share_within_a_pixel": share_within_a_pixel(ours, theirs),
        "lesions_from_tau_on": lesions,
        **({"share_of_those_from_tau_on": share_within_a_pixel(ours, voting)} if lesions else {}),
        "slices_looked_at_again": sum(score >= tau - MARGIN for score in most),  # by their last score: about
    }


def most_of_a_lesion(model: WffModel, boxes: SliceBoxes) -> float:
    """What a lesion of the slice can score at most, as the second look has it."""
    least = model.config.detector.score_threshold
    if len(boxes) == model.config.detector.maximum_boxes:
        least = max(least, min(box.score for box in boxes))
    return of_either(*(max([least, *(b.score for b in boxes if b.verdict is verdict)]) for verdict in Verdict))


def detector_parts(model: WffModel, images: Images) -> dict[str, float]:
    """Seconds per slice of the parts of one batch, each waited for: what runs at once in the pipeline stands apart."""
    batch = images[: min(len(images), 16 if model.device.type == "cuda" else 1)]
    size, device = model.config.detector.image_size, model.device
    x, _ = letterbox(batch, size, device=device)
    x = x.to(model.frozen.dtype).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), _as_one_worker(device):
        model.frozen(x)
        square = seconds(lambda: letterbox(batch, size, device=device), device)
        dense = seconds(lambda: model.frozen.run_dense(x), device)
        whole = seconds(lambda: model.frozen(x), device)
        again = seconds(lambda: model.full(x), device)
    parts = {"letterbox": square, "backbone, pyramid, proposal maps": dense, "proposals, regions": whole - dense}
    if model.full is not model.frozen:
        parts["looked at again in full precision"] = again
    return {name: max(0.0, found) / len(batch) for name, found in parts.items()}


@contextmanager
def _as_one_worker(device: torch.device) -> Iterator[None]:
    """On a CPU a slice is worked on by one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if device.type == "cpu" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def read_times() -> dict[str, float]:
    """Milliseconds per slice from DICOM files of a phantom to windowed slices."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_study(generate_patient(0, seed=1, config=PhantomConfig()), Path(folder))
        begin = time.perf_counter()
        heads = [read_head(file) for file in files]
        eligible = select_series(heads).eligible
        middle = time.perf_counter()
        slices = sum(len(window_to_uint8(load_volume(one))) for one in eligible)
        end = time.perf_counter()
    return {"headers_ms": 1e3 * (middle - begin) / slices, "pixels_ms": 1e3 * (end - middle) / slices}


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def spread(found: Sequence[float]) -> dict[str, float]:
    """A 95th percentile of fewer than twenty rounds would be their maximum under another name."""
    ranked = sorted(found)
    told = {"median": statistics.median(ranked), "least": ranked[0], "most": ranked[-1]}
    if len(ranked) >= _ROUNDS_OF_A_P95:
        told["p95"] = ranked[round(0.95 * (len(ranked) - 1))]
    return told


if __name__ == "__main__":
    main()
