"""The networks of one patient: our pipeline beside a plain per-image loop over torchvision's parts, in one run.

Both run the same weights on the same slices in turn and must give the same boxes before a ratio is printed. Beside them
stand the counted operations and the share of this machine's measured peak. Ratios hold on a busy machine, seconds do
not: the load is printed with them.
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
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.limits import PeakMemory, gigaflops, peak_gigaflops_per_s, seconds
from bench.networks import PlainLoop, assert_same, load, patient, share_within_a_pixel
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import write_study
from inference.runtime import Compile, Device, Precision, Runtime
from inference.selection import read_head, select_series
from inference.volume import load_volume, window_to_uint8
from inference.wff.batches import Images, SliceBoxes
from inference.wff.model import WffModel
from inference.wff.preprocessing import letterbox
from inference.wff.stage_times import StageTimes

OURS, PLAIN = "this pipeline", "plain loop"
_SEQUENCES, _SLICES = 4, 15  # of a usual patient
_AGE_YEARS = 60.0


def main(argv: Sequence[str] | None = None) -> None:
    options = _options(argv)
    runtime = Runtime(
        device=Device(options.device),
        threads=options.threads,
        precision=Precision(options.precision),
        compile=Compile(options.compile),
    )
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load(options.size, runtime)
    slices = options.slices or (3 if options.size == "paper" and model.device.type == "cpu" else _SLICES)
    rounds = options.rounds or (20 if model.device.type == "cuda" else 3)
    result = measure(model, patient(model.config.detector.image_size, slices), rounds=rounds)
    result = {"size": options.size, "slices_per_sequence": slices, **result, "read": read_times()}
    sys.stdout.write(json.dumps(result, indent=2) + "\n" if options.json else _text(result))


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
    parser.add_argument("--slices", type=int, help=f"per sequence, at most {_SLICES}; fewer at paper size on a CPU")
    parser.add_argument("--rounds", type=int, help="3 on a CPU, 20 on a GPU where it is left out")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def measure(model: WffModel, sequences: list[Images], *, rounds: int) -> dict[str, Any]:
    model.warm_up()
    plain = PlainLoop(model)
    stages = StageTimes()
    answers: dict[str, Any] = {}

    def ours() -> None:
        with stages.stage("detector"), model.detection() as run:
            for images in sequences:
                run.add(images)
            answers[OURS] = run.results()
        model.decide(sequences, answers[OURS], _AGE_YEARS, stages)

    def theirs() -> None:
        answers[PLAIN], _ = plain.analyse(sequences)

    times, memory, peaks = _in_turn({OURS: ours, PLAIN: theirs}, model, rounds)
    count = sum(map(len, sequences))
    per_slice, per_clip = gigaflops(model, sequences[0])
    work = count * per_slice + len(sequences) * per_clip
    dtype = model.frozen.dtype
    peak = statistics.median(peaks)
    return {
        "device": _name(model.device),
        "machine": machine.describe(Path(tempfile.gettempdir())),
        "threads": torch.get_num_threads(),
        "waiting_threads": os.environ.get("OMP_WAIT_POLICY", "as the library likes").lower(),
        "precision": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "sequences": len(sequences),
        "slices": count,
        "rounds": rounds,
        "boxes": _compared(answers[OURS], answers[PLAIN], exact=dtype == torch.float32),
        "seconds_per_patient": {name: _spread(found) for name, found in times.items()},
        "ratio": statistics.median(b / a for a, b in zip(times[OURS], times[PLAIN], strict=True)),
        "stage_seconds": {name: total / rounds for name, total in stages.seconds.items()},
        "detector_parts_seconds": detector_parts(model, sequences[0]),
        "peak_memory_mib": memory,
        "limits": {
            "gigaflop_per_slice": per_slice,
            "gigaflop_per_clip": per_clip,
            "gigaflop": work,
            "peak_gigaflop_per_s": peak,
            "gigaflop_per_s": {name: work / statistics.median(found) for name, found in times.items()},
            "share_of_peak": {name: work / statistics.median(found) / peak for name, found in times.items()},
        },
    }


def _in_turn(
    contenders: dict[str, Callable[[], None]], model: WffModel, rounds: int
) -> tuple[dict[str, list[float]], dict[str, float], list[float]]:
    """Seconds of every round, peak memory, and the machine's peak measured between the rounds."""
    memory = PeakMemory(model.device)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    most = dict.fromkeys(contenders, 0.0)
    peaks = []
    for _ in range(rounds):
        for name, run in contenders.items():
            memory.reset()
            times[name].append(seconds(run, model.device))
            most[name] = max(most[name], memory.mib())
        peaks.append(peak_gigaflops_per_s(model.device, model.frozen.dtype))
    return times, most, peaks


def _compared(
    ours: list[tuple[SliceBoxes, ...]], theirs: list[tuple[SliceBoxes, ...]], *, exact: bool
) -> dict[str, float]:
    """In full precision every box is asserted; else the share is told: untrained nets have many tied boxes."""
    if exact:
        return {"same": assert_same(ours, theirs), "share_within_a_pixel": 1.0}
    return {"share_within_a_pixel": share_within_a_pixel(ours, theirs)}


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
    parts = {"letterbox": square, "backbone, pyramid, proposal maps": dense, "proposals, regions": whole - dense}
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


def _spread(found: list[float]) -> dict[str, float]:
    ranked = sorted(found)
    return {
        "median": statistics.median(ranked),
        "p95": ranked[min(len(ranked) - 1, round(0.95 * (len(ranked) - 1)))],
        "least": ranked[0],
        "most": ranked[-1],
    }


def _text(result: dict[str, Any]) -> str:
    limits, on, usual = result["limits"], result["machine"], _SEQUENCES * _SLICES
    less = "" if result["slices"] == usual else f" (a usual patient has {usual})"
    lines = [
        (
            f"{result['size']} size: {result['sequences']} sequences, {result['slices']} slices{less}, "
            f"{result['rounds']} rounds in turn"
        ),
        (
            f"{result['device']}, {result['threads']} threads, {result['precision']}; {on['processor']}, "
            f"{on['cores']} cores, load {on['load_average']} at the end, waiting threads {result['waiting_threads']}"
        ),
        f"boxes: {result['boxes']}",
        *(_line(name, result) for name in result["seconds_per_patient"]),
        f"  {PLAIN} / {OURS}: {result['ratio']:.2f} x",
        (
            f"counted: {limits['gigaflop_per_slice']:.1f} GF per slice, {limits['gigaflop_per_clip']:.1f} per clip, "
            f"{limits['gigaflop']:.0f} in all; measured peak {limits['peak_gigaflop_per_s']:.0f} GF/s"
        ),
        "stages: " + ", ".join(f"{name} {1e3 * s:.1f} ms" for name, s in result["stage_seconds"].items()),
        "one batch, one worker: "
        + ", ".join(f"{k} {1e3 * s:.1f} ms/slice" for k, s in result["detector_parts_seconds"].items()),
        (
            f"reading DICOM: {result['read']['headers_ms']:.2f} ms/slice headers, "
            f"{result['read']['pixels_ms']:.2f} ms/slice pixels; it runs beside the networks"
        ),
    ]
    return "\n".join(lines) + "\n"


def _milliseconds(took: dict[str, float], unit: str) -> str:
    return ", ".join(f"{name} {1e3 * seconds_:.1f} {unit}" for name, seconds_ in took.items())


def _line(name: str, result: dict[str, Any]) -> str:
    took, limits = result["seconds_per_patient"][name], result["limits"]
    return (
        f"  {name:14} {1e3 * took['median']:9.0f} ms median {1e3 * took['p95']:9.0f} p95   "
        f"{1e3 * took['median'] / result['slices']:8.1f} ms/slice   {limits['gigaflop_per_s'][name]:7.0f} GF/s = "
        f"{100 * limits['share_of_peak'][name]:3.0f} % of peak   {result['peak_memory_mib'][name]:6.0f} MiB"
    )


if __name__ == "__main__":
    main()
