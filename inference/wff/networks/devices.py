"""What a `Runtime` means on this machine: device, number formats, batch, workers."""

from dataclasses import dataclass

import structlog
import torch
from torchvision.ops import deform_conv2d

from inference.runtime import Compile, Device, Precision, Runtime

log = structlog.get_logger(__name__)

_DTYPES = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
_CPU_PIXELS = 512 * 512  # of a batch: larger ones leave the processor's cache, smaller ones are held up by Python
_GPU_SLICES = 64  # a patient of four usual sequences in one batch
_GPU_STATIC_SLICES = 16  # fills a large GPU; a graph has one batch size, so the last one is padded


@dataclass(frozen=True, slots=True)
class Numerics:
    """Number formats of the detector on one device."""

    dtype: torch.dtype = torch.float32
    deformable_dtype: torch.dtype = torch.float32  # of the deformable convolutions, whose kernel may lack `dtype`


@dataclass(frozen=True, slots=True)
class Placement:
    """A runtime, settled for this machine."""

    device: torch.device
    numerics: Numerics
    compile: Compile
    batch: int  # slices
    threads: int | None  # of a CPU; None: as many as torch has

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def workers(self) -> int:
        """Threads beside the caller's, each with a batch of its own. A GPU has one, so that the caller can go on."""
        threads = self.threads or torch.get_num_threads()
        return (threads if threads > 1 else 0) if self.on_cpu else 1


def settle(runtime: Runtime, *, image_size: int) -> Placement:
    """Look at the machine; what it lacks is logged and replaced by what it has."""
    device = _device(runtime.device)
    dtype = _dtype(runtime.precision, device)
    graphs = _compile(runtime.compile, device)
    on_cpu = device.type == "cpu"
    usual = max(1, _CPU_PIXELS // image_size**2) if on_cpu else _GPU_SLICES
    if graphs is not Compile.OFF and not on_cpu:
        usual = _GPU_STATIC_SLICES
    return Placement(
        device=device,
        numerics=Numerics(dtype, dtype if on_cpu else _deformable_dtype(dtype, device)),
        compile=graphs,
        batch=runtime.batch or usual,
        threads=runtime.threads,
    )


def _device(wanted: Device) -> torch.device:
    available = torch.cuda.is_available()
    if wanted is Device.CUDA and not available:
        log.warning("cuda_not_available", device="cpu", advice="install a GPU driver or set device to cpu")
    return torch.device("cuda" if available and wanted is not Device.CPU else "cpu")


def _dtype(wanted: Precision, device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        if wanted is Precision.FP16:
            log.warning("precision_not_available", wanted="fp16", used="fp32", advice="fp16 is for GPUs; try bf16")
        return torch.bfloat16 if wanted is Precision.BF16 else torch.float32
    if wanted is Precision.AUTO:
        wanted = Precision.BF16 if torch.cuda.is_bf16_supported(including_emulation=False) else Precision.FP16
    return _DTYPES[wanted]


def _compile(wanted: Compile, device: torch.device) -> Compile:
    if device.type != "cpu":
        return Compile.GRAPH if wanted is Compile.AUTO else wanted
    if wanted not in (Compile.AUTO, Compile.OFF):
        log.warning("compile_not_available", wanted=wanted, used="off", advice="on a CPU it gained nothing measurable")
    return Compile.OFF


def _deformable_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The first of `dtype`, fp16 and fp32 that torchvision's kernel takes: releases differ, so it is asked."""
    for candidate in (dtype, torch.float16):
        image, offset, weight = (torch.zeros(shape, dtype=candidate, device=device) for shape in _TINY)
        try:
            deform_conv2d(image, offset, weight, padding=1)
        except (RuntimeError, NotImplementedError):
            continue
        return candidate
    return torch.float32


_TINY = ((1, 1, 3, 3), (1, 18, 3, 3), (1, 1, 3, 3))  # image, offsets and weights of a 3x3 convolution
