"""Training from converted weights: the statistics of batch normalisation stay as they came, the first stage too.

Whoever gets a bundle must be able to see whose weights it began at, and under which licence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from inference.data_facts import file_sha256
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.initial_weights.conversion import fitting_header, load_initial
from inference.wff.training.initial_weights.names import Purpose
from inference.wff.training.settings import TrainingSettings

log = structlog.get_logger(__name__)

_NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingWeights:
    """Where a net began, as the header of the converted file says."""

    file: str  # name without folder
    sha256: str  # of that file
    source: str  # what was converted
    source_sha256: str
    architecture: str
    licence: str  # as stated at the conversion


def starting_weights_of(settings: TrainingSettings) -> dict[str, StartingWeights]:
    """By net ("detector", "sequence"); one that begins at random is left out. Reads no tensor.

    Raises WeightsError when a file is damaged or of another net, OSError when it cannot be read.
    """
    config, found = settings.config, {}
    with torch.device("meta"):
        if file := settings.detector.initial_weights:
            found[Purpose.DETECTOR.value] = _starting_weights(Path(file), Detector(config.detector))
        if file := settings.sequence.initial_weights:
            found[Purpose.SEQUENCE.value] = _starting_weights(Path(file), SequenceClassifier(config.sequence))
    return found


def _starting_weights(file: Path, net: Detector | SequenceClassifier) -> StartingWeights:
    sha256 = file_sha256(file)
    header: Mapping[str, str] = fitting_header(net, file)
    return StartingWeights(
        file=file.name,
        sha256=sha256,
        source=header.get("source", _NOT_STATED),
        source_sha256=header.get("source_sha256", _NOT_STATED),
        architecture=header.get("architecture", _NOT_STATED),
        licence=header.get("licence", _NOT_STATED),
    )


def start_from(net: Detector | SequenceClassifier, file: str) -> None:
    """An empty name changes nothing. Raises WeightsError when the file does not fit the net."""
    if file:
        loaded = load_initial(net, Path(file))
        log.info(
            "initial_weights_loaded",
            matched=loaded.matched,
            left_as_made=loaded.at_start,
            source_sha256=loaded.header.get("source_sha256", _NOT_STATED),
            licence=loaded.header.get("licence", _NOT_STATED),
        )


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
