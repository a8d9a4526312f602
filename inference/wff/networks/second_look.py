"""Half precision searches; where it finds something, full precision measures.

Rounding to half precision moves a score by about 0.001. Of two candidates of one lesion whose scores lie closer than
that, the other one is then kept, and its corners may lie pixels away. No half format is fine enough to rule that out,
whichever layers it is kept to: so the slices that count are looked at again in full.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from inference.wff.networks.detector import BENIGN, MALIGNANT

AT_ONCE = 4  # slices in full precision: it takes more memory, and each size of a batch is planned for once
MARGIN = 0.1  # how far below tau half precision may score a slice that full precision lets vote, see docs/speed.md

Find = Callable[[Tensor], Tensor]  # images (B, 3, S, S) -> what `FrozenDetector` gives


class SecondLook:
    """One detector in two precisions as one; the boxes of a slice are all of one of them."""

    def __init__(self, quick: Find, full: Find, *, tau: float, unseen: float) -> None:
        """`tau` is the score from which a lesion counts; boxes below `unseen` are not told by `quick`."""
        self._quick = quick
        self._full = full
        self._unseen = unseen
        self._least = tau - MARGIN

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """images (B, 3, S, S) -> (B, M, 6): corners, label, score. Waits for the device."""
        found = self._quick(images)
        again = (self._most(found) >= self._least).nonzero()[:, 0]
        for part in torch.split(again, AT_ONCE):
            if len(part):
                found[part] = self._full(images[part])
        return found

    def _most(self, found: Tensor) -> Tensor:
        """(B, M, 6) -> (B,) what a lesion of each slice can score at most: the best of both classes together.

        A box that is not told scores less than `unseen`, or less than the last of a full list.
        """
        labels, scores = found[..., 4], found[..., 5]
        untold = scores.amin(dim=1).clamp(min=self._unseen)
        best = [torch.where(labels == label, scores, 0.0).amax(dim=1) for label in (BENIGN, MALIGNANT)]
        benign, malignant = (torch.maximum(one, untold) for one in best)
        return 1.0 - (1.0 - benign) * (1.0 - malignant)
