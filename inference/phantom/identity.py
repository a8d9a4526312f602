"""Who a phantom patient is: a pseudonym from all that makes the patient, and the versions of what paints it."""

import hashlib
import json
from dataclasses import asdict
from importlib import metadata
from typing import Final

import numpy as np
import scipy

from inference.phantom.subject import PhantomConfig

GENERATOR: Final = 3  # raised whenever the same patient comes out with other grey values


def set_mark(seed: int, config: PhantomConfig) -> str:
    """Eight hexadecimal digits that patients of this seed, configuration and version have in common, and no others."""
    makes = json.dumps([software_version(), GENERATOR, seed, asdict(config)], sort_keys=True)
    return hashlib.sha256(makes.encode()).hexdigest()[:8]


def pseudonym(index: int, mark: str) -> str:
    """PatientID, e.g. "PH-000001-ec3fc171": patient 1 of another set is another patient."""
    return f"PH-{index:06d}-{mark}"


def versions() -> dict[str, str]:
    """Of all that paints: with another one the same patient may come out with other grey values."""
    return {
        "spinenode": software_version(),
        "generator": str(GENERATOR),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def software_version() -> str:
    """Of the code that paints: another version may paint the same patient otherwise."""
    try:
        return metadata.version("spinenode")
    except metadata.PackageNotFoundError:
        return "not installed"  # run from a source tree
