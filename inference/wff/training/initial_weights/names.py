"""Which tensor of a pretrained trunk belongs to which tensor of our nets."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final


class Purpose(StrEnum):
    DETECTOR = "detector"
    SEQUENCE = "sequence"


TRUNK: Final = {Purpose.DETECTOR: "backbone.trunk.", Purpose.SEQUENCE: "trunk."}
COUNTER: Final = "num_batches_tracked"  # old checkpoints have none, and nothing reads it
OFFSETS: Final = ".offset."  # learned shifts start at zero: a plain trunk has none
_BODY: Final = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}  # of a 3-D bottleneck
_STEM: Final = {"0": "conv1", "1": "bn1"}


def source_names(ours: Iterable[str], purpose: Purpose, blocks: Sequence[int]) -> dict[str, str]:
    """Our name -> the name in the source, for every tensor of the trunk."""
    prefix = TRUNK[purpose]
    places = [(stage, block) for stage, count in enumerate(blocks, 1) for block in range(count)]

    def name_of(name: str) -> str:
        return _torchvision_name(name) if purpose is Purpose.DETECTOR else _video_name(name, places)

    return {name: name_of(name.removeprefix(prefix)) for name in ours if name.startswith(prefix)}


def may_be_missing(name: str) -> bool:
    return OFFSETS in name or name.endswith(COUNTER)


def must_be_given(name: str, purpose: Purpose) -> bool:
    return name.startswith(TRUNK[purpose]) and not may_be_missing(name)


def _torchvision_name(name: str) -> str:
    """stem.0.weight -> conv1.weight; stages.1.0.conv2.conv.weight -> layer2.0.conv2.weight."""
    part, first, rest = name.split(".", 2)
    if part == "stem":
        return f"{_STEM[first]}.{rest}"
    # mmdetection keeps the offsets of a deformable convolution beside its kernel
    rest = rest.replace("conv2.conv.", "conv2.").replace("conv2.offset.", "conv2.conv_offset.")
    return f"layer{int(first) + 1}.{rest}"


def _video_name(name: str, places: Sequence[tuple[int, int]]) -> str:
    """stem.1.bias -> bn1.bias; stages.3.body.6.weight -> layer2.0.conv3.weight (after 3 blocks of the first stage)."""
    part, first, rest = name.split(".", 2)
    if part == "stem":
        return f"{_STEM[first]}.{rest}"
    stage, block = places[int(first)]
    branch, number, value = rest.split(".")
    layer = _BODY[number] if branch == "body" else f"downsample.{number}"
    return f"layer{stage}.{block}.{layer}.{value}"
