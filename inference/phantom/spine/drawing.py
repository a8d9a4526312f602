"""Draw the spine of one patient. Lengths in mm, angles in radians.

Source: phantom specification, items 1 and 2.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from inference.phantom.grid import Frame
from inference.phantom.spine.anatomy import TABLE_STEP_MM, Spine
from inference.phantom.spine.curvature import draw_leans
from inference.phantom.spine.levels import SACRAL, Level, draw_levels
from inference.phantom.spine.vertebra import Disc, Vertebra

_TABLE_BEYOND_MM: Final = 200.0  # past the first and the last vertebra
_SCOLIOSIS_MM: Final = 3.0  # standard deviation


def draw_spine(rng: np.random.Generator) -> Spine:
    """A whole spine, coccyx to C2, in coordinates of its own: L3's body centre is at y = 0, z = 0."""
    levels = draw_levels(rng)
    size = float(rng.uniform(0.93, 1.05))
    lean = np.deg2rad(draw_leans(rng, [level.name for level in levels]))
    disc_scale = np.clip(rng.normal(1.0, 0.1, len(levels)), 0.75, 1.2)
    dryness = _draw_dryness(rng, levels)
    gaps = size * np.array([level.disc for level in levels]) * disc_scale * (1.0 - 0.35 * dryness)
    centres = _stack_centres(levels, lean, size, gaps)
    centres -= centres[[level.name for level in levels].index("L3")]
    lateral, tilt = _draw_scoliosis(rng, centres[:, 1])
    frames = [
        Frame(np.array([lateral[n], *centres[n]]), _axes(float(lean[n]), float(tilt[n]))) for n in range(len(levels))
    ]
    discs = [_disc(rng, levels, frames, n, (size, float(gaps[n]), float(dryness[n]))) for n in range(len(levels))]
    return _with_curve(
        rng, tuple(_vertebra(rng, *parts, size) for parts in zip(levels, frames, discs, dryness, strict=True))
    )


def _draw_dryness(rng: np.random.Generator, levels: Sequence[Level]) -> NDArray[np.float64]:
    """Degeneration of the discs: a patient's own, worse at the foot of the lumbar spine and at C5 to C7."""
    worn = {"S1": 0.25, "L5": 0.22, "L4": 0.08, "C7": 0.15, "C6": 0.2, "C5": 0.12}
    common = 0.85 * rng.beta(1.2, 1.6)
    each = rng.normal(0.0, 0.18, len(levels)) + np.array([worn.get(level.name, -0.05) for level in levels])
    dryness: NDArray[np.float64] = np.clip(common + each, 0.0, 1.0)
    return dryness


def _draw_scoliosis(
    rng: np.random.Generator, z_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smooth lateral offsets (mm) and the tilt (radians) that goes with them, per level."""
    amplitude, phase = rng.normal(0.0, _SCOLIOSIS_MM, 2), rng.uniform(0.0, 2.0 * np.pi, 2)
    rate = 2.0 * np.pi / np.array([700.0, 330.0])
    angle = rate * z_mm[:, None] + phase
    offsets = (amplitude * np.sin(angle) * (1.0, 0.5)).sum(axis=1)
    slope = (amplitude * rate * np.cos(angle) * (1.0, 0.5)).sum(axis=1)
    return offsets, np.arctan(slope)


def _axes(lean: float, tilt: float) -> NDArray[np.float64]:
    """Left, posterior, cranial; a positive lean tips the cranial axis forward, a positive tilt to the left."""
    upright = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(lean), np.sin(lean)], [0.0, -np.sin(lean), np.cos(lean)]])
    turned = np.array([[np.cos(tilt), 0.0, -np.sin(tilt)], [0.0, 1.0, 0.0], [np.sin(tilt), 0.0, np.cos(tilt)]])
    axes: NDArray[np.float64] = turned @ upright
    return axes


def _stack_centres(
    levels: Sequence[Level], lean: NDArray[np.float64], size: float, gaps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(levels, 2) centres as (y, z): each body and half disc goes along its own cranial axis."""
    cranial = np.stack([-np.sin(lean), np.cos(lean)], axis=1)
    centres = np.zeros((len(levels), 2))
    for n in range(1, len(levels)):
        lower, upper = size * levels[n - 1].height + gaps[n - 1], size * levels[n].height + gaps[n - 1]
        centres[n] = centres[n - 1] + (lower * cranial[n - 1] + upper * cranial[n]) / 2
        # Posterior walls stay in line where the depth of the bodies changes (S1 to L5, C2 to C3).
        centres[n, 0] += 0.35 * size * (levels[n - 1].depth - levels[n].depth) / 2 * np.cos(lean[n])
    return centres


def _disc(
    rng: np.random.Generator,
    levels: Sequence[Level],
    frames: Sequence[Frame],
    n: int,
    drawn: tuple[float, float, float],
) -> Disc | None:
    """The disc that fills the gap above level `n`; `drawn` is (size, gap in mm, dryness)."""
    size, gap, dryness = drawn
    bulge, cleft = 0.3 + max(0.0, dryness - 0.45) * rng.uniform(1.5, 6.5), rng.uniform(0.15, 0.75)
    if n + 1 == len(levels):
        return None
    below, above = frames[n], frames[n + 1]
    bottom = below.to_lps((0.0, 0.0, size * levels[n].height / 2))
    top = above.to_lps((0.0, 0.0, -size * levels[n + 1].height / 2))
    left = below.axes[0] + above.axes[0]
    cranial = below.axes[2] + above.axes[2]
    left /= np.linalg.norm(left)
    cranial -= left * (left @ cranial)
    cranial /= np.linalg.norm(cranial)
    depth = min(levels[n].depth, 1.08 * levels[n + 1].depth)
    return Disc(
        frame=Frame((bottom + top) / 2, np.array([left, np.cross(cranial, left), cranial])),
        half_height=max(0.4, gap / 2),
        half_depth=size * depth / 2 * 1.03,
        half_width=size * min(levels[n].width, 1.08 * levels[n + 1].width) / 2,
        degeneration=dryness,
        bulge_mm=float(bulge * min(1.0, gap / 5.0)),
        cleft=float(cleft),
    )


def _vertebra(
    rng: np.random.Generator, level: Level, frame: Frame, disc: Disc | None, dryness: float, size: float
) -> Vertebra:
    sacral = level.name in SACRAL
    wedge, hollow, lip = rng.normal(0.0, 0.015), rng.uniform(0.06, 0.13), rng.uniform(0.5, 3.5)
    base = {"L": -0.03 if level.name in ("L5", "L6") else 0.0, "T": 0.035}.get(level.name[0], 0.0)
    stretch = rng.normal(1.0, 0.015, 2)
    return Vertebra(
        shape=level,
        frame=frame,
        half_height=size * level.height / 2,
        half_depth=float(size * level.depth / 2 * stretch[0]),
        half_width=float(size * level.width / 2 * stretch[1]),
        taper=0.13 if sacral else 0.0,
        wedge=0.0 if sacral else float(base + wedge),
        hollow=0.02 if sacral and level.name != "S1" else float(hollow),
        lip_mm=0.0 if sacral else float(lip * max(0.0, dryness - 0.35)),
        collapse=0.0,
        disc_above=disc,
    )


def _with_curve(rng: np.random.Generator, vertebrae: tuple[Vertebra, ...]) -> Spine:
    walls = np.array([v.frame.to_lps((0.0, v.half_depth, 0.0)) for v in vertebrae])
    z = np.arange(walls[0, 2] - _TABLE_BEYOND_MM, walls[-1, 2] + _TABLE_BEYOND_MM, TABLE_STEP_MM)
    keep = np.concatenate([[True], np.diff(walls[:, 2]) > 1.0])  # a spline needs rising knots
    knots = walls[keep]
    clipped = np.clip(z, knots[0, 2], knots[-1, 2])
    curve = CubicSpline(knots[:, 2], knots[:, 1])
    slope = curve(clipped, 1)
    y = curve(clipped) + slope * np.clip(z - clipped, -np.inf, 25.0)
    level = {v.level: float(v.frame.origin_mm[2]) for v in vertebrae}
    return Spine(
        vertebrae=vertebrae,
        z_mm=z,
        wall_y=y.astype(np.float32),
        wall_cosine=(1.0 / np.hypot(1.0, slope)).astype(np.float32),
        wall_x=np.interp(z, knots[:, 2], knots[:, 0]).astype(np.float32),
        level_number=np.interp(z, walls[:, 2], np.arange(len(walls))).astype(np.float32),
        conus_z_mm=float(level["L1"] + np.clip(rng.normal(0.0, 10.0), -22.0, 22.0)),
        sac_end_z_mm=float(level["S2"] + rng.normal(0.0, 6.0)),
    )
