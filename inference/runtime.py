"""Where and how fast networks run: what a site may choose without changing the model. Imports no torch."""

from dataclasses import dataclass
from enum import StrEnum


class Device(StrEnum):
    AUTO = "auto"  # a GPU when there is one
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """Of the search. What it finds near the threshold is measured in fp32, whatever was chosen."""

    AUTO = "auto"  # bf16 on a GPU that has it, else fp16 there; fp32 on a CPU
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Compile(StrEnum):
    """How the part of a network with static shapes is launched on a GPU."""

    AUTO = "auto"  # a graph
    OFF = "off"
    GRAPH = "graph"  # CUDA graph: the same kernels, launched as one
    INDUCTOR = "inductor"  # torch.compile: fused kernels in a graph; needs a C++ compiler and minutes at start


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """`None`: as the model or the machine says.

    `image_size` and `proposals` trade accuracy for time and change what is found; a threshold that was fitted at the
    bundle's own does not carry over: measure a model with them before use. The others change a box that votes by less
    than a pixel.
    """

    device: Device = Device.AUTO
    threads: int | None = None  # of the networks on a CPU
    precision: Precision = Precision.AUTO
    compile: Compile = Compile.AUTO
    batch: int | None = None  # slices that a device takes at once
    image_size: int | None = None  # letterbox side in pixels, a multiple of 64
    proposals: int | None = None  # regions per slice that the detector looks at closely

    def __post_init__(self) -> None:
        for name in ("threads", "batch", "image_size", "proposals"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")
        if self.image_size is not None and self.image_size % 64:
            raise ValueError(f"image_size is {self.image_size}, expected a multiple of 64")


@dataclass(frozen=True, slots=True)
class ChangedSize:
    """`image_size` or `proposals`, as a site runs it otherwise than its bundle says."""

    name: str
    of_bundle: int
    as_run: int

    def __str__(self) -> str:
        return f"{self.name} {self.as_run} instead of {self.of_bundle}"
