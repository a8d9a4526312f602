"""What a mass in the canal does to the sac and the cord: they yield to it, and are flattened where they cannot.

It follows from the lesion alone, so the picture still tells of the verdict through the signs only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from inference.phantom.grid import Float32, Region
from inference.phantom.lesions.lobes import Lobe
from inference.phantom.lesions.plans import LesionPlan
from inference.phantom.spine.anatomy import TABLE_STEP_MM, Spine
from inference.phantom.spine.canal import Canal
from inference.phantom.spine.vertebra import Vertebra

_STEP_MM: Final = 0.5  # of the grid across the canal on which the mass is looked at
_ACROSS_MM: Final = 12.0  # to each side
_BEHIND_MM: Final = 22.0  # the posterior wall
_ASIDE_MM: Final = 3.0  # a mass whose middle lies further from the midline pushes sideways
_FLUID_MM: Final = 0.5  # left between the mass and the cord, and between the cord and the dura
_LEAST_CORD: Final = 0.55  # of its depth or width
_LEAST_SAC: Final = 0.35  # of its depth
_TRANSITION_MM: Final = 4.0  # over which the cord comes back to its place


@dataclass(frozen=True, eq=False)
class _Push:
    """Tables over the rows of the canal, in mm: how far the mass reaches."""

    front: Float32  # behind the wall, near the midline
    aside: Float32  # from its own side towards the midline: the position of its inner edge
    side: Float32  # +1 it lies left, -1 right, 0 it does not push sideways


def displaced(canal: Canal, spine: Spine, lesions: Sequence[LesionPlan]) -> Canal:
    """The canal with the masses of the lesions in it; the same canal when none of them reaches it."""
    for plan in lesions:
        for within_dura in (False, True):
            lobes = [lobe for lobe in plan.lobes if lobe.outside_bone is within_dura]
            if lobes:
                canal = _yielding(canal, _push(canal, spine, plan.vertebra, lobes), push_sac=not within_dura)
    return canal


def _push(canal: Canal, spine: Spine, vertebra: Vertebra, lobes: Sequence[Lobe]) -> _Push:
    across = np.arange(-_ACROSS_MM, _ACROSS_MM + _STEP_MM, _STEP_MM)
    behind = np.arange(0.0, _BEHIND_MM, _STEP_MM)
    rows = _rows(spine, vertebra, lobes)
    mass = _mass(spine, vertebra, lobes, rows, across, behind)  # (rows, behind, across)
    front, aside, side = (np.zeros(spine.z_mm.size, dtype=np.float32) for _ in range(3))
    middle = np.where(mass, across, 0.0).sum() / max(1, mass.sum())
    if abs(middle) > _ASIDE_MM:
        edge = np.where(mass, across * np.sign(middle), np.inf).min(axis=(1, 2))
        reaches = np.isfinite(edge)
        aside[rows] = np.where(reaches, edge, 0.0)
        side[rows] = np.where(reaches, np.sign(middle), 0.0)
    else:
        near = mass[:, :, np.abs(across) < _ASIDE_MM].any(axis=2)
        front[rows] = np.where(near, behind, 0.0).max(axis=1)
    return _Push(front, aside, side)


def _rows(spine: Spine, vertebra: Vertebra, lobes: Sequence[Lobe]) -> slice:
    """Of the tables: those beside the lobes."""
    lower, upper = np.min([one.lower for one in lobes], axis=0), np.max([one.upper for one in lobes], axis=0)
    corners = np.array(np.meshgrid(*zip(lower, upper, strict=True), indexing="ij")).reshape(3, -1).T
    z = np.array([vertebra.frame.to_lps((x, y, h))[2] for x, y, h in corners])
    first, last = np.searchsorted(spine.z_mm, (z.min(), z.max()))
    return slice(int(first), int(last))


def _mass(
    spine: Spine,
    vertebra: Vertebra,
    lobes: Sequence[Lobe],
    rows: slice,
    across: NDArray[np.float64],
    behind: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Whether the lobes lie at (row, behind the wall, across)."""
    z, wall_x, wall_y = spine.z_mm[rows], spine.wall_x[rows], spine.wall_y[rows]
    x = wall_x[:, None, None] + across[None, None, :]
    y = wall_y[:, None, None] + (behind[None, :] / spine.wall_cosine[rows, None])[:, :, None]
    x, y, height = np.broadcast_arrays(x, y, z[:, None, None])
    local = (np.stack([x, y, height], axis=-1) - vertebra.frame.origin_mm) @ vertebra.frame.axes.T
    index = (slice(0, len(z)), slice(0, behind.size), slice(0, across.size))
    region = Region(index, *(local[..., n].astype(np.float32) for n in range(3)))
    mass: NDArray[np.bool_] = np.logical_or.reduce([lobe.sdf(region) < 0.0 for lobe in lobes])
    return mass


def _yielding(canal: Canal, push: _Push, *, push_sac: bool) -> Canal:
    """Back or aside as far as the sac lets it, and flatter for the rest."""
    if push_sac:
        canal = _flattened_sac(canal, push)
    back = canal.sac_centre + canal.sac_depth - _FLUID_MM
    cord_back = canal.cord_centre + canal.cord_depth
    wanted = np.where(push.front > 0, push.front + _FLUID_MM - (canal.cord_centre - canal.cord_depth), 0.0)
    wanted = np.maximum(wanted, 0.0)
    moved = np.minimum(wanted, np.maximum(back - cord_back, 0.0))
    squeezed = np.minimum((wanted - moved) / 2.0, (1.0 - _LEAST_CORD) * canal.cord_depth)
    away = -push.side * canal.cord_aside  # how far another mass has pushed it that way already
    room = np.maximum(canal.sac_width - canal.cord_width - _FLUID_MM - away, 0.0)
    from_side = np.where(push.side != 0, canal.cord_width + _FLUID_MM - push.aside - away, 0.0)
    from_side = np.maximum(from_side, 0.0)
    aside = np.minimum(from_side, room)
    narrowed = np.minimum((from_side - aside) / 2.0, (1.0 - _LEAST_CORD) * canal.cord_width)
    return replace(
        canal,
        cord_centre=canal.cord_centre + _gently(moved + squeezed),
        cord_depth=canal.cord_depth - _gently(squeezed),
        cord_aside=canal.cord_aside - _gently(push.side * (aside + narrowed)),
        cord_width=canal.cord_width - _gently(narrowed),
    )


def _flattened_sac(canal: Canal, push: _Push) -> Canal:
    """A mass before the dura pushes its front wall back; the wall behind stays."""
    front = canal.sac_centre - canal.sac_depth
    most = (1.0 - _LEAST_SAC) * 2.0 * canal.sac_depth
    pushed = _gently(np.clip(np.where(push.front > 0, push.front - front, 0.0), 0.0, most))
    return replace(
        canal, sac_centre=canal.sac_centre + pushed / 2.0, sac_depth=np.maximum(canal.sac_depth - pushed / 2.0, 0.0)
    )


def _gently(table: NDArray[np.float32]) -> Float32:
    """Without steps from row to row."""
    smooth: Float32 = gaussian_filter1d(table.astype(np.float32), _TRANSITION_MM / 2.0 / TABLE_STEP_MM, truncate=3.0)
    return smooth
