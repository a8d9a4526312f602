"""Weights of the two nets to and from safetensors, stored as float16, and the model of a bundle."""

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from inference.bundle import METADATA, Bundle
from inference.errors import BundleError
from inference.runtime import Runtime
from inference.wff.age import AgeTable
from inference.wff.config import config_from_json
from inference.wff.model import WffModel
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier

_Net = TypeVar("_Net", bound=nn.Module)
DETECTOR = "detector"
CLASSIFIER = "sequence_classifier"


def save_weights(net: nn.Module, file: Path) -> None:
    """Half precision halves the file; the loss is far below what training noise leaves."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in net.state_dict().items()
    }
    file.write_bytes(save(state))  # not its own `save_file`, which hides why it failed


def rounded_as_stored(net: _Net) -> _Net:
    """The same net with its weights rounded as `save_weights` stores them, so that it is measured as it is shipped."""
    net.load_state_dict({n: v.half().float() if v.is_floating_point() else v for n, v in net.state_dict().items()})
    return net


def load_weights(net: nn.Module, file: Path) -> None:
    """Into a net of the same architecture, as float32. Raises BundleError naming the file."""
    try:
        stored = load_file(file)
        net.load_state_dict({n: v.float() if v.is_floating_point() else v for n, v in stored.items()})
    except (SafetensorError, RuntimeError, OSError) as error:
        raise BundleError(f"{file} does not hold the weights that {METADATA} describes: {error}") from error


def load_model(bundle: Bundle, *, device: str = "cpu", runtime: Runtime | None = None) -> WffModel:
    """`runtime` says more than `device` and goes before it.

    Raises BundleError naming what is missing or does not fit.
    """
    try:
        config = config_from_json(bundle.metadata["config"])
        age_table = AgeTable(tuple(float(p) for p in bundle.metadata["age_table"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{bundle.folder / METADATA}: {error!r}; install the bundle again") from error
    detector, classifier = Detector(config.detector), SequenceClassifier(config.sequence)
    load_weights(detector, bundle.weights(DETECTOR))
    load_weights(classifier, bundle.weights(CLASSIFIER))
    return WffModel(config, detector, classifier, age_table, device=device, runtime=runtime)
