"""A trained sequence classifier made ready for one device."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from inference.wff.config import ClipNet
from inference.wff.networks.folding import fold_batch_norm
from inference.wff.networks.sequence_classifier import SequenceClassifier


class FrozenClassifier:
    """Batch norm folded, channels last, no gradients.

    Always in 32 bits: it is a hundredth of the work of a case, and its word goes straight into the decision.
    """

    def __init__(self, classifier: SequenceClassifier, *, device: torch.device) -> None:
        self.device = device
        self._net = deepcopy(classifier).eval().requires_grad_(False).to(device)
        fold_batch_norm(self._net)
        is_3d = classifier.config.variant is ClipNet.THREE_D
        self._net.to(memory_format=torch.channels_last_3d if is_3d else torch.channels_last)

    def __call__(self, clips: Sequence[Tensor]) -> list[float]:
        """(N, size, size) each -> their malignant probabilities."""
        return self._net.probability_malignant(torch.stack(list(clips)).to(self.device))

    def logits(self, clips: Tensor) -> Tensor:
        """(B, N, size, size) -> (B, 2) on the device: benign, malignant."""
        said: Tensor = self._net(clips.to(self.device))
        return said
