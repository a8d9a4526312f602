"""Slices of several sequences through the detector: in batches, on workers, the answers in order."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Self

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.findings import Box, Verdict
from inference.wff.networks.detector import MALIGNANT, Detections
from inference.wff.networks.frozen_detector import detections_of
from inference.wff.networks.preprocessing import Letterbox, letterbox
from inference.wff.networks.workers import Workers
from inference.wff.reading import DetectedBox

log = structlog.get_logger(__name__)

Images = NDArray[np.uint8]  # (Z, Y, X) windowed slices in spatial order
SliceBoxes = tuple[DetectedBox, ...]
_THINNEST_PX = 0.01  # coordinates leave as 32 bit floats: a thinner box would have no area


def in_image(found: Detections, frame: Letterbox) -> SliceBoxes:
    """From letterbox pixels to those of the image; the order stays."""
    boxes = []
    for corners, label, score in zip(found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True):
        box = frame.to_image(Box(x0=corners[0], y0=corners[1], x1=corners[2], y1=corners[3]))
        if min(box.x1 - box.x0, box.y1 - box.y0) > _THINNEST_PX:  # one in the filled part of the square shows nothing
            boxes.append(DetectedBox(box, Verdict.MALIGNANT if label == MALIGNANT else Verdict.BENIGN, score))
    return tuple(boxes)


class SliceDetector:
    """Windowed slices -> boxes in the pixels of their images."""

    def __init__(
        self, find: Callable[[Tensor], Tensor], *, image_size: int, batch: int, device: torch.device | None = None
    ) -> None:
        """`find` takes (B, 3, S, S) on `device` and gives what `FrozenDetector` gives."""
        self._find = find
        self._image_size = image_size
        self._device = device or torch.device("cpu")
        self.batch = batch

    def __call__(self, parts: Sequence[Images]) -> list[SliceBoxes]:
        """Runs of slices, each run of one size -> boxes of every slice, best first. Waits for the device."""
        squares = [letterbox(part, self._image_size, device=self._device) for part in parts]
        found = detections_of(self._halving(torch.cat([x for x, _ in squares])).cpu())
        frames = [frame for x, frame in squares for _ in range(len(x))]
        return [in_image(one, frame) for one, frame in zip(found, frames, strict=True)]

    def _halving(self, x: Tensor) -> Tensor:
        try:
            return self._find(x)
        except torch.OutOfMemoryError:
            if len(x) == 1:
                raise
        half = len(x) // 2
        self.batch = min(self.batch, half)
        log.warning("detector_batch_halved", batch=self.batch, reason="device out of memory")
        return torch.cat((self._halving(x[:half]), self._halving(x[half:])))


class DetectionRun:
    """Takes sequences one by one; while the next is being read, earlier ones are already worked on.

    Use it as a context: at the end nothing runs any more, whatever happened.
    """

    def __init__(self, detector: SliceDetector, *, workers: int) -> None:
        self._detector = detector
        self._workers = Workers(workers)
        self._lengths: list[int] = []
        self._waiting: list[Images] = []  # slices that do not fill a batch yet
        self._batches: list[Future[list[SliceBoxes]]] = []

    def __enter__(self) -> Self:
        self._workers.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._workers.__exit__()

    def add(self, images: Images) -> None:
        """The next sequence; sequences may differ in size."""
        self._lengths.append(len(images))
        while len(images):
            free = self._detector.batch - sum(map(len, self._waiting))
            self._waiting.append(images[: max(1, free)])
            images = images[max(1, free) :]
            if sum(map(len, self._waiting)) >= self._detector.batch:
                self._start()

    def results(self) -> list[tuple[SliceBoxes, ...]]:
        """Boxes of every slice of every sequence, in the order they came. Raises what a worker raised."""
        if self._waiting:
            self._start()
        slices = iter([boxes for batch in self._batches for boxes in batch.result()])
        return [tuple(next(slices) for _ in range(length)) for length in self._lengths]

    def _start(self) -> None:
        self._batches.append(self._workers.submit(self._detector, self._waiting))
        self._waiting = []
