"""Gray and colour values for the screen."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray

from node.report.pictures.drawing import Colour

NO_COLOUR: Final[Colour] = (255, 255, 0)
_PERCENTILES: Final = (0.5, 99.5)


def limits_of(values: NDArray[np.float32]) -> tuple[float, float]:
    """Values to show black and white, where nothing says which."""
    low, high = (float(limit) for limit in np.percentile(values, _PERCENTILES))
    return low, high


def gray(values: NDArray[np.float32], limits: tuple[float, float], *, inverse: bool = False) -> NDArray[np.uint8]:
    """0..255, black to white between the limits; `inverse`: white to black."""
    low, high = limits
    parts = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    shown: NDArray[np.uint8] = np.rint(255 * (1 - parts if inverse else parts)).astype(np.uint8)
    return shown


def rgb(cielab: Sequence[int]) -> Colour:
    """RGB of a CIELab value as DICOM writes it (PS3.3 C.10.7.1.1); yellow where there is none."""
    if len(cielab) != 3:
        return NO_COLOUR
    lightness, a, b = (int(part) for part in cielab)
    red, green, blue = CIELabColor.from_dicom_value((lightness, a, b)).to_rgb()
    return int(red), int(green), int(blue)
