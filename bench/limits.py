"""What the machine and the arithmetic allow: counted operations, measured peak, measured memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.networks import PlainLoop
from inference.wff.model import WffModel
from inference.wff.networks.batches import Images

_PEAK_RUNS = 3


def _deformable_flop(x: Any, weight: Any, offset: Any, *_rest: Any, **_kwargs: Any) -> int:
    """2 x multiply-adds of torchvision::deform_conv2d; shapes in, as the counter hands them over."""
    batch, _, rows, columns = offset
    out, in_group, high, wide = weight
    return int(2 * batch * rows * columns * out * in_group * high * wide)


def gigaflops(model: WffModel, images: Images) -> tuple[float, float]:
    """Of the detector per slice and the classifier per clip, counted while the plain nets run (2 x multiply-adds)."""
    plain = PlainLoop(model)
    kernel = torch.ops.torchvision.deform_conv2d
    with FlopCounterMode(display=False, custom_mapping={kernel: _deformable_flop}) as detector:
        plain.detect(images[:1])
    settings = model.config.sequence
    clip = torch.zeros(1, settings.clip_slices, settings.clip_size, settings.clip_size, device=model.device)
    with FlopCounterMode(display=False) as classifier, torch.inference_mode():
        model.nets[1](clip)
    return detector.get_total_flops() / 1e9, classifier.get_total_flops() / 1e9


def peak_gigaflops_per_s(device: torch.device, dtype: torch.dtype) -> float:
    """The better of a large matrix product and a 3x3 convolution as the pyramid has them, on all cores."""
    side = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    batch = 1 if device.type == "cpu" else 16
    x = torch.randn(batch, 256, 128, 128, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    w = torch.randn(256, 256, 3, 3, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        product = _best_seconds(lambda: a @ b, device)
        convolution = _best_seconds(lambda: torch.nn.functional.conv2d(x, w, padding=1), device)
    return max(2e-9 * side**3 / product, 2e-9 * batch * 256 * 256 * 9 * 128**2 / convolution)


def _best_seconds(run: Callable[[], Tensor], device: torch.device) -> float:
    run()
    return min(seconds(run, device) for _ in range(_PEAK_RUNS))


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Wall time until the device has done everything."""
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    begin = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - begin


class PeakMemory:
    """Most memory in use between two looks, in MiB.

    On a CPU that of this process, with all that it holds. On a GPU what torch took beyond what was held at the reset,
    so that contenders side by side are measured apart; `newly_held` tells what each of them holds.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._held = self._at_reset = 0

    def newly_held(self) -> float:
        """Since the last call: weights and recorded graphs on a GPU, whose memory no peak shows. 0 on a CPU."""
        if not self._on_gpu:
            return 0.0
        torch.cuda.empty_cache()
        before, self._held = self._held, torch.cuda.memory_reserved()
        return (self._held - before) / 2**20

    def reset(self) -> None:
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self._at_reset = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM

    def mib(self) -> float:
        if self._on_gpu:
            return (torch.cuda.max_memory_allocated() - self._at_reset) / 2**20
        status = Path("/proc/self/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
