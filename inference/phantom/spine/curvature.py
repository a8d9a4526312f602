"""How far each vertebra leans: sacral slope, lumbar lordosis, thoracic kyphosis, cervical lordosis.

Degrees; a positive lean tips the cranial axis forwards. Source: phantom specification, item 1 (the three ranges).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_LUMBAR_LORDOSIS: Final = (40.0, 60.0)
_THORACIC_KYPHOSIS: Final = (20.0, 45.0)
_CERVICAL_LORDOSIS: Final = (20.0, 40.0)
_JITTER: Final = 1.2  # standard deviation per level

# Part of the lordosis that lies below each level: most of it bends at L4 to S1.
_LUMBAR_SHAPE: Final = ((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.0, 0.32, 0.58, 0.78, 0.92, 1.0))
_THORACIC_SHAPE: Final = ((0.0, 0.2, 0.5, 0.8, 1.0), (0.0, 0.12, 0.5, 0.86, 1.0))
_CERVICAL_SHAPE: Final = ((0.0, 0.35, 0.65, 1.0), (0.1, 0.45, 0.75, 1.0))
# Lean below S1, relative to the sacral slope.
_SACRUM: Final = {"S1": 0.0, "S2": 10.0, "S3": 9.0, "S4": -10.0, "S5": -32.0, "CO": -62.0}


def draw_leans(rng: np.random.Generator, levels: Sequence[str]) -> NDArray[np.float64]:
    """(levels,) degrees for levels named from caudal to cranial."""
    lordosis, kyphosis = rng.uniform(*_LUMBAR_LORDOSIS), rng.uniform(*_THORACIC_KYPHOSIS)
    slope = 0.5 * lordosis + rng.uniform(8.0, 16.0)
    thoracic_base = slope - lordosis
    # A steep first thoracic vertebra asks for more lordosis of the neck to look straight ahead.
    wanted = (thoracic_base + kyphosis) / 40.0 + rng.normal(0.0, 0.15)
    neck = float(np.interp(wanted, (0.1, 0.9), _CERVICAL_LORDOSIS))
    leans: list[float] = [slope + _SACRUM[name] for name in levels if name in _SACRUM]
    leans += list(slope - lordosis * _spread(_count(levels, "L"), _LUMBAR_SHAPE)[1:])
    leans += list(thoracic_base + kyphosis * _spread(_count(levels, "T") - 1, _THORACIC_SHAPE))
    leans += list(thoracic_base + kyphosis - neck * _spread(_count(levels, "C") - 1, _CERVICAL_SHAPE))
    jitter = np.array([0.3 if name in _SACRUM else 1.0 for name in levels]) * rng.normal(0.0, _JITTER, len(levels))
    return np.array(leans) + jitter


def _count(levels: Sequence[str], letter: str) -> int:
    return sum(name.startswith(letter) and name not in _SACRUM for name in levels)


def _spread(steps: int, shape: tuple[tuple[float, ...], tuple[float, ...]]) -> NDArray[np.float64]:
    """The shape at `steps` + 1 even places from 0 to 1."""
    return np.interp(np.linspace(0.0, 1.0, steps + 1), *shape)
