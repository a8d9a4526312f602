"""The versions that decide the numbers of a training or an evaluation."""

import platform
from importlib.metadata import version

import numpy as np
import torch
import torchvision


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,  # with its build, which decides the kernels
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "spinenode": version("spinenode"),
    }
