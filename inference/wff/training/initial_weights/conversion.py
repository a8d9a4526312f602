"""Initial weights: pretrained trunks brought to the names of our nets, and loaded where training starts.

Converted weights belong to nets with batch normalisation: running means and variances are part of them.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from inference.durable_files import write_durably
from inference.errors import WeightsError
from inference.wff.config import BackboneConfig, ClipNet, Norm, SequenceConfig, paper_config
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.initial_weights.names import (
    COUNTER,
    OFFSETS,
    TRUNK,
    Purpose,
    may_be_missing,
    must_be_given,
    source_names,
)
from inference.wff.training.initial_weights.source import Architecture, Origin, Source, read_source

Net = Detector | SequenceClassifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of the tensors of a source; groups of names with their counts."""

    source: Source
    purpose: Purpose
    input_std: float
    matched: int  # tensors of ours that got a value
    left_out: dict[str, int]  # of the source: fc, neck, heads
    at_start: dict[str, int]  # of ours: offsets, adapters, pyramid, heads


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialWeights:
    """What `load_initial` loaded, for the record of a run."""

    matched: int
    at_start: dict[str, int]
    header: dict[str, str]  # source, source_sha256, architecture, licence, ...


_GROUPS: Final = 32
_WIDTH: Final = 4
_DIMENSIONS: Final = {Purpose.DETECTOR: 2, Purpose.SEQUENCE: 3}
_FITTING: Final = {
    Purpose.DETECTOR: "a ResNeXt-101 32x4d (timm, torch.hub or mmdetection) or torchvision's resnext50_32x4d",
    Purpose.SEQUENCE: "a 3-D ResNeXt-101 of 3D-ResNets-PyTorch",
}

# torchvision, timm and mmdetection standardise each colour. The Kinetics nets of 2017 saw gray levels 0..255 less their
# mean. Source: mean.py and opts.py (norm_value) of 3D-ResNets-PyTorch.
_USUAL_STD: Final = {Origin.TORCHVISION: 1.0, Origin.MMDETECTION: 1.0, Origin.VIDEO: 38.9}


def convert(
    file: Path, purpose: Purpose, out: Path, *, licence: str = "", input_std: float | None = None
) -> Conversion:
    """Write the weights of `file` as safetensors in the names of our net of `purpose`, float32.

    `input_std` is the standard deviation of what the source was trained on. Our nets see standardised images, so the
    first kernel is multiplied by it: the statistics of batch normalisation then hold as they are. None: what is usual
    for the origin.

    Raises WeightsError when the file is of another architecture, a shape does not fit, or a value is not finite.
    """
    if input_std is not None and not (math.isfinite(input_std) and input_std > 0.0):
        raise WeightsError(f"the standard deviation of the input is {input_std}, expected a finite number above 0")
    source = read_source(file)
    _require_fitting(source, purpose)
    ours = _shapes_of(source.architecture, purpose)
    theirs = source_names(ours, purpose, source.architecture.blocks)
    state = _renamed(source, ours, theirs)
    _require_whole(source, theirs, state)
    scale = _USUAL_STD[source.origin] if input_std is None else input_std
    state[f"{TRUNK[purpose]}stem.0.weight"] *= scale
    header = {
        "format": "pt",
        "purpose": purpose.value,
        "origin": source.origin.value,
        "architecture": str(source.architecture),
        "blocks": "-".join(map(str, source.architecture.blocks)),
        "source": source.file.name,
        "source_sha256": source.sha256,
        "input_std": f"{scale:g}",
        "licence": licence or "not stated",
    }
    _write(state, out, header)
    return Conversion(
        source=source,
        purpose=purpose,
        input_std=scale,
        matched=len(state),
        left_out=_groups(source.others, depth=1),
        at_start=_at_start(ours, state),
    )


def load_initial(net: Net, file: Path) -> InitialWeights:
    """Give `net` the weights of a file that `convert` wrote. What the file has not stays as it was made.

    Raises WeightsError when the file is of the other net, of another depth or width, or the net has no batch
    normalisation.
    """
    header = fitting_header(net, file)
    ours = _shapes(net)
    state = {_name_in(ours, name): value for name, value in _read(file).items()}
    net.load_state_dict(state, strict=False)
    return InitialWeights(matched=len(state), at_start=_at_start(ours, state), header=header)


def fitting_header(net: Net, file: Path) -> dict[str, str]:
    """What `convert` recorded in a file that fits `net`: source, source_sha256, architecture, licence, ...

    Reads no tensor; `net` may be on torch's device "meta". Raises as `load_initial`, and OSError.
    """
    purpose = Purpose.DETECTOR if isinstance(net, Detector) else Purpose.SEQUENCE
    _require_loadable(net, file)
    try:
        with safe_open(file, framework="pt") as opened:
            header = dict(opened.metadata() or {})
            stored = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _damaged(file, error) from error
    _require_purpose(file, header, purpose)
    ours = _shapes(net)
    shapes = {_name_in(ours, name): shape for name, shape in stored.items()}
    blocks = "-".join(map(str, _trunk_config(net).blocks))
    odd = sorted({name for name in ours if must_be_given(name, purpose)} - set(shapes) | set(shapes) - set(ours))
    if odd:
        raise WeightsError(
            f"{file} is of a {header.get('architecture')} with blocks {header.get('blocks')}, the net to train has "
            f"blocks {blocks}: {odd[0]} is in one of them only; set the same blocks in the configuration"
        )
    _require_shapes(file, ours, shapes)
    return header


def _shapes(net: Net) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in net.state_dict().items()}


def _require_purpose(file: Path, header: Mapping[str, str], purpose: Purpose) -> None:
    if header.get("purpose") != purpose.value:
        raise WeightsError(
            f"{file} holds weights for {header.get('purpose', 'no net of ours')!r}, not for {purpose.value!r}; "
            f"make them with `spinenode weights convert --for {purpose.value}`"
        )


def _damaged(file: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{file} is no whole safetensors file: {error}; convert the weights again")


def _require_fitting(source: Source, purpose: Purpose) -> None:
    found = source.architecture
    if (found.dimensions, found.groups, found.width_per_group) != (_DIMENSIONS[purpose], _GROUPS, _WIDTH):
        raise WeightsError(
            f"{source.file} is a {found}; the {purpose.value} net is a {_DIMENSIONS[purpose]}-D ResNeXt "
            f"{_GROUPS}x{_WIDTH}d: {_FITTING[purpose]} fits"
        )


def _shapes_of(architecture: Architecture, purpose: Purpose) -> dict[str, tuple[int, ...]]:
    """Names and shapes of our full-size net with as many blocks; no memory is used."""
    paper = paper_config()
    net: Net
    with torch.device("meta"):
        if purpose is Purpose.DETECTOR:
            backbone = replace(paper.detector.backbone, blocks=architecture.blocks, norm=Norm.BATCH)
            net = Detector(replace(paper.detector, backbone=backbone))
        else:
            net = SequenceClassifier(replace(paper.sequence, blocks=architecture.blocks, norm=Norm.BATCH))
    return _shapes(net)


def _renamed(source: Source, ours: Mapping[str, tuple[int, ...]], theirs: Mapping[str, str]) -> dict[str, Tensor]:
    state = {}
    for name, their_name in theirs.items():
        value = source.trunk.get(their_name)
        if value is None:
            continue
        if their_name == "conv1.weight" and ours[name][1] == 1 and value.shape[1] == 3:
            value = value.sum(dim=1, keepdim=True)  # gray in each colour gives the same
        if tuple(value.shape) != ours[name]:
            raise WeightsError(
                f"{source.file}: {their_name} has shape {tuple(value.shape)}, but {name} has {ours[name]}; "
                f"{source.architecture} differs from ours there"
            )
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise WeightsError(f"{source.file}: {their_name} holds values that are no finite numbers")
        state[name] = (value.float() if value.is_floating_point() else value).clone(
            memory_format=torch.contiguous_format
        )
    return state


def _require_whole(source: Source, theirs: Mapping[str, str], state: Mapping[str, Tensor]) -> None:
    """A trunk comes whole or not at all: a hole, or a layer that ours has not, makes its features another's."""
    holes = [their for ours, their in theirs.items() if ours not in state and not may_be_missing(ours)]
    if holes:
        raise WeightsError(
            f"{source.file} lacks {holes[0]} and {len(holes) - 1} more tensors of a {source.architecture}"
        )
    strange = sorted(set(source.trunk) - set(theirs.values()))
    if strange:
        raise WeightsError(
            f"{source.file} has {strange[0]}, which a plain ResNeXt has not: its features would be others"
        )


def _require_loadable(net: Net, file: Path) -> None:
    config = _trunk_config(net)
    if config.norm is not Norm.BATCH:
        raise WeightsError(
            f"{file} holds running means of batch normalisation, the net to train has norm {config.norm.value!r}: "
            f"set norm to {Norm.BATCH.value!r}, or train without initial weights"
        )
    if isinstance(config, SequenceConfig) and config.variant is not ClipNet.THREE_D:
        raise WeightsError(f"{file} is for the 3-D sequence classifier; the net to train is {config.variant.value!r}")


def _trunk_config(net: Net) -> BackboneConfig | SequenceConfig:
    return net.config.backbone if isinstance(net, Detector) else net.config


def _name_in(ours: Mapping[str, object], name: str) -> str:
    """A net without deformable convolution names the kernel of a 3x3 directly."""
    plain = name.replace("conv2.conv.", "conv2.")
    return plain if name not in ours and plain in ours else name


def _require_shapes(file: Path, ours: Mapping[str, tuple[int, ...]], stored: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in stored.items():
        if ours[name] != shape:
            raise WeightsError(f"{file}: {name} has shape {shape}, in the net to train it has {ours[name]}")


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise _damaged(file, error) from error


def _write(state: dict[str, Tensor], out: Path, header: dict[str, str]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(out, lambda stream: stream.write(save(state, metadata=header)))


def _at_start(ours: Iterable[str], state: Mapping[str, object]) -> dict[str, int]:
    staying = [name for name in ours if name not in state and not name.endswith(COUNTER)]
    return _groups([_group_of(name) for name in staying], depth=2)


def _group_of(name: str) -> str:
    return "offsets" if OFFSETS in name else re.sub(r"^roi_heads\.(\w+)\..*", r"roi_heads.\1", name)


def _groups(names: Iterable[str], *, depth: int) -> dict[str, int]:
    """fc.weight, fc.bias -> {"fc": 2}."""
    return dict(Counter(".".join(name.split(".")[:depth]) for name in names))
