"""Training from converted weights: the statistics of batch normalisation stay as they came, the first stage too."""

from pathlib import Path

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from inference.wff.detector import Detector
from inference.wff.pretrained import load_initial
from inference.wff.sequence_classifier import SequenceClassifier


def start_from(net: Detector | SequenceClassifier, file: str) -> None:
    """An empty name changes nothing. Raises WeightsError when the file does not fit the net."""
    if file:
        load_initial(net, Path(file))


def set_training_mode(net: Detector | SequenceClassifier, *, started_from_weights: bool) -> None:
    """Training mode. Of a trunk that started from weights, batch normalisation goes on with the means and variances
    that came with them, and stem and first stage are not trained.

    Source: `norm_eval` and `frozen_stages=1` of MMDetection. Parts that began at random learn their statistics.
    """
    net.train()
    if not started_from_weights:
        return
    trunk = net.backbone.trunk if isinstance(net, Detector) else net.trunk
    for module in trunk.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    for module in _first_stage(net):
        module.requires_grad_(False)


def _first_stage(net: Detector | SequenceClassifier) -> list[nn.Module]:
    """The stem and the blocks of the first stage."""
    if isinstance(net, Detector):
        return [net.backbone.trunk.stem, net.backbone.trunk.stages[0]]
    stem, stages = net.trunk.stem, net.trunk.stages
    if not isinstance(stem, nn.Module) or not isinstance(stages, nn.Sequential):
        raise TypeError("only the 3-D trunk starts from weights")
    return [stem, *stages[: net.config.blocks[0]]]
