"""Faster launches of the dense part: recorded once as a CUDA graph, or compiled, for batches of one size."""

from typing import Any, cast

import structlog
import torch
from torch import Tensor

from inference.runtime import Compile
from inference.wff.networks.dense_part import Dense, DenseMaps, DensePart

log = structlog.get_logger(__name__)

_WARM_UP_RUNS = 3  # before recording: libraries choose their kernels and reserve their memory
_TOLERANCE = 0.05  # mean difference of the maps over their mean size; number formats of 8 bits differ by 0.01


def accelerated(dense: DensePart, example: Tensor, how: Compile) -> Dense:
    """`dense` for at most as many images as `example` (B, 3, S, S) has.

    Whatever goes wrong, or gives other maps, is logged and the plain module is used: it is slower, not different.
    """
    if how is Compile.OFF:
        return dense
    try:
        fast = _Padded(_fast(dense, example, how), example)
        with torch.inference_mode():
            noise = torch.randn_like(example)
            difference = _difference(fast(noise), dense(noise))
    except Exception as error:  # noqa: BLE001 (compilers and drivers raise what they like)
        log.warning("dense_part_not_accelerated", how=how, error=type(error).__name__, detail=str(error)[:500])
        return dense
    if not difference < _TOLERANCE:
        log.warning("dense_part_not_accelerated", how=how, detail=f"its maps differ by {difference:.3f}")
        return dense
    return fast


def _fast(dense: DensePart, example: Tensor, how: Compile) -> Dense:
    if how is Compile.GRAPH:
        return _Graph(dense, example)
    compiled = torch.compile(dense, dynamic=False, fullgraph=True, mode="max-autotune-no-cudagraphs")
    return _Graph(cast(Dense, compiled), example)


class _Graph:
    """Records the kernels of one run; a replay reads and writes the same memory."""

    def __init__(self, run: Dense, example: Tensor) -> None:
        self._images = example.clone()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch does not type it
        aside.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(aside):
            for _ in range(_WARM_UP_RUNS):
                run(self._images)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            self._maps = run(self._images)

    def __call__(self, images: Tensor) -> DenseMaps:
        """What it returns holds until the next call."""
        self._images.copy_(images)
        self._graph.replay()
        return self._maps


class _Padded:
    """Fills a small batch up to the size that `run` was made for."""

    def __init__(self, run: Dense, example: Tensor) -> None:
        self._run = run
        self._size = len(example)

    def __call__(self, images: Tensor) -> DenseMaps:
        missing = self._size - len(images)
        if missing == 0:
            return self._run(images)
        filled = torch.cat((images, images.new_zeros(missing, *images.shape[1:])))
        filled = filled.contiguous(memory_format=torch.channels_last)
        return DenseMaps(*(tuple(one[: len(images)] for one in level) for level in self._run(filled)))


def _difference(a: DenseMaps, b: DenseMaps) -> float:
    """The largest mean difference of a map over its mean size."""
    pairs: Any = [pair for mine, theirs in zip(a, b, strict=True) for pair in zip(mine, theirs, strict=True)]
    return max(float((x - y).abs().mean() / y.abs().mean().clamp(min=1e-6)) for x, y in pairs)
