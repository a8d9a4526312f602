"""Where the slices of a series lie: planned on the station, and off the plan by a small pose of its own."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import SliceGrid

_SHIFT_MM: Final = 1.0  # standard deviation
_TURN_DEG: Final = 0.9
_LIMIT: Final = 2.0  # mm and degrees


@dataclass(frozen=True, slots=True)
class Pose:
    """How the planes of a series lie off the planned ones: each within 2 mm and 2 degrees, about the LPS axes."""

    shift_mm: tuple[float, float, float]
    turn_deg: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Size of a stack of parallel slices. Lengths in mm."""

    shape: tuple[int, int, int]  # (Z, Y, X)
    fov_mm: float  # of a row
    step_mm: float  # between slice centres
    thickness_mm: float


def draw_pose(rng: np.random.Generator) -> Pose:
    shift = np.clip(rng.normal(0.0, _SHIFT_MM, 3), -_LIMIT, _LIMIT)
    turn = np.clip(rng.normal(0.0, _TURN_DEG, 3), -_LIMIT, _LIMIT)
    return Pose((float(shift[0]), float(shift[1]), float(shift[2])), (float(turn[0]), float(turn[1]), float(turn[2])))


def sagittal_grid(centre_mm: NDArray[np.float64], pose: Pose, stack: Stack) -> SliceGrid:
    """A sagittal stack; rows run to the back, columns to the feet."""
    turned = _rotation(np.deg2rad(pose.turn_deg))
    return plane_grid(
        row=turned @ (0.0, 1.0, 0.0),
        column=turned @ (0.0, 0.0, -1.0),
        centre_mm=centre_mm + np.array(pose.shift_mm),
        stack=stack,
    )


def plane_grid(
    *, row: NDArray[np.float64], column: NDArray[np.float64], centre_mm: NDArray[np.float64], stack: Stack
) -> SliceGrid:
    """Slices along the normal row x column, centred on `centre_mm`.

    `row` is the direction in which the column index grows (PS3.3 C.7.6.2.1.1), `column` the other.
    """
    pixel = stack.fov_mm / stack.shape[2]
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * stack.step_mm
    affine[:3, 1] = column * pixel
    affine[:3, 2] = row * pixel
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array(stack.shape) - 1) / 2)
    return SliceGrid(affine, stack.shape, filled=stack.thickness_mm / stack.step_mm)


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: NDArray[np.float64] = about_z @ about_y @ about_x
    return rotation
