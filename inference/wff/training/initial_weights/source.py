"""Reads a file of pretrained weights that a user has on disk, and recognises what net it is of.

Read are state dicts with torchvision's names (torchvision, timm, torch.hub), checkpoints of mmdetection, and the 3-D
ResNeXt of 3D-ResNets-PyTorch, as .safetensors or as .pth without any code in it.
"""

import hashlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from inference.errors import WeightsError

State = Mapping[str, Tensor]
_WRAPPINGS = ("state_dict", "model")  # where checkpoints keep the state dict of the net
_PARALLEL = "module."  # prefix that torch's DataParallel leaves
_MMDETECTION = "backbone."
_STAGES = 4
_FOREIGN_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


class Origin(StrEnum):
    TORCHVISION = "torchvision"  # and whatever uses its names
    MMDETECTION = "mmdetection"
    VIDEO = "3D-ResNets-PyTorch"


@dataclass(frozen=True, slots=True)
class Architecture:
    """Of a trunk of bottlenecks."""

    dimensions: int  # 2 or 3
    blocks: tuple[int, ...]
    groups: int
    width_per_group: int

    def __str__(self) -> str:
        depth = 3 * sum(self.blocks) + 2  # three convolutions per block, the stem and the last layer
        kind = "ResNeXt" if self.groups > 1 else "ResNet"
        return f"{self.dimensions}-D {kind}-{depth} {self.groups}x{self.width_per_group}d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A trunk by torchvision's names (`conv1.weight`, `layer1.0.bn2.bias`) and what else the file holds."""

    file: Path
    sha256: str
    origin: Origin
    architecture: Architecture
    trunk: State
    others: tuple[str, ...]  # names of the tensors that belong to no trunk: fc, neck, heads


def read_source(file: Path) -> Source:
    """Raises WeightsError naming what the file lacks, OSError when it cannot be read."""
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    state = _without_prefix(_tensors(file), _PARALLEL)
    inside = {name: value for name, value in state.items() if name.startswith(_MMDETECTION)}
    trunk = _trunk_of(_without_prefix(inside or state, _MMDETECTION))
    architecture = _architecture(trunk, file)
    kept = {_MMDETECTION + name for name in trunk} if inside else set(trunk)
    return Source(
        file=file,
        sha256=sha256,
        origin=_origin(architecture, from_mmdetection=bool(inside)),
        architecture=architecture,
        trunk=trunk,
        others=tuple(sorted(set(state) - kept)),
    )


def _tensors(file: Path) -> State:
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise WeightsError(f"{file} is no whole safetensors file: {error}") from error
    if file.suffix == ".pth":
        return _state_dict(_unpickled(file), file)
    raise WeightsError(f"{file} ends in {file.suffix or 'nothing'}: weights are read from .safetensors or .pth files")


def _unpickled(file: Path) -> object:
    """Tensors, numbers and text only: nothing of the file is run."""
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = _FOREIGN_GLOBAL.search(str(error))
        what = f" ({named[1]})" if named else ""
        raise WeightsError(
            f"{file} is damaged, or holds more than tensors{what}, which is not loaded because it could run code; "
            "where you trust the file, save its state dict as .safetensors"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(f"{file} is no whole .pth file of torch: {reason or type(error).__name__}") from error


def _state_dict(data: object, file: Path) -> State:
    for key in _WRAPPINGS:
        if isinstance(data, dict) and isinstance(data.get(key), dict):
            data = data[key]
    if not isinstance(data, dict):
        raise WeightsError(f"{file} holds a {type(data).__name__}, not a state dict")
    strangers = sorted(str(name) for name, value in data.items() if not isinstance(value, Tensor))
    if strangers or not data:
        raise WeightsError(f"{file} holds no state dict: {', '.join(strangers[:5]) or 'it is empty'}")
    return {str(name): value for name, value in data.items()}


def _without_prefix(state: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in state.items()}


def _trunk_of(state: State) -> State:
    stages = tuple(f"layer{number}." for number in range(1, _STAGES + 1))
    return {name: value for name, value in state.items() if name.startswith(("conv1.", "bn1.", *stages))}


def _architecture(trunk: State, file: Path) -> Architecture:
    names = ("conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight", "layer1.0.conv3.weight")
    missing = [name for name in names if name not in trunk]
    if missing:
        raise WeightsError(f"{file} has no tensor {missing[0]}: it is no ResNeXt by the names of torchvision")
    stem, first, middle, _ = (trunk[name] for name in names)
    if stem.dim() not in (4, 5) or middle.dim() != stem.dim():
        raise WeightsError(
            f"{file} has conv1.weight of shape {tuple(stem.shape)}: it is no ResNeXt of 2 or 3 dimensions"
        )
    dimensions = stem.dim() - 2
    inner, per_group = len(first), middle.shape[1]
    return Architecture(
        dimensions=dimensions,
        blocks=tuple(_blocks(trunk, stage) for stage in range(1, _STAGES + 1)),
        groups=inner // per_group,
        width_per_group=per_group,
    )


def _blocks(trunk: State, stage: int) -> int:
    return len({name.split(".")[1] for name in trunk if name.startswith(f"layer{stage}.")})


def _origin(architecture: Architecture, *, from_mmdetection: bool) -> Origin:
    if architecture.dimensions == 3:
        return Origin.VIDEO
    return Origin.MMDETECTION if from_mmdetection else Origin.TORCHVISION
