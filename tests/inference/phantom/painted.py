"""Scenes painted without a scanner: noise-free signals on a straight grid, for tests of what the picture shows."""

import numpy as np
from numpy.typing import NDArray

from inference.datasets import SpineRegion
from inference.findings import SequenceKind
from inference.phantom.grid import Float32, Region, SliceGrid
from inference.phantom.law import Sign
from inference.phantom.lesions.plans import LesionPlan
from inference.phantom.painting.scene_painting import paint_scene
from inference.phantom.scanner.stations import PLANS, STATION_OF
from inference.phantom.scene import Scene
from inference.phantom.scene_drawing import draw_scene
from inference.phantom.spine.vertebra import Vertebra
from inference.phantom.tissue import FatSuppression, Sequence

T1 = Sequence(kind=SequenceKind.T1, tr_ms=500.0, te_ms=12.0)
T2 = Sequence(kind=SequenceKind.T2, tr_ms=3400.0, te_ms=100.0)
FS = Sequence(
    kind=SequenceKind.T2FS, tr_ms=3700.0, te_ms=80.0, fat_suppression=FatSuppression.SATURATION, residual_fat=0.1
)
STIR = Sequence(kind=SequenceKind.T2FS, tr_ms=3700.0, te_ms=80.0, ti_ms=212.0, fat_suppression=FatSuppression.STIR)
SHAPE = (13, 176, 176)
_STEP_MM = 4.2


def straight_grid(region: SpineRegion = SpineRegion.LUMBAR) -> SliceGrid:
    """Sagittal slices on the station of a region, from left to right."""
    plan = PLANS[STATION_OF[region]]
    pixel = plan.fov_mm / SHAPE[1]
    affine = np.array(
        [
            [-_STEP_MM, 0, 0, _STEP_MM * (SHAPE[0] - 1) / 2],
            [0, 0, pixel, -plan.before_mm + 12.0 - plan.fov_mm / 2],
            [0, -pixel, 0, plan.fov_mm / 2],
            [0, 0, 0, 1.0],
        ]
    )
    return SliceGrid(affine, SHAPE)


def scene_with(*signs: Sign, seed: int = 0, region: SpineRegion = SpineRegion.LUMBAR) -> Scene:
    present = {str(sign): sign in signs for sign in Sign}
    return draw_scene(np.random.default_rng(seed), present, region=region, station=STATION_OF[region])


def healthy_scene(seed: int = 0, region: SpineRegion = SpineRegion.LUMBAR) -> Scene:
    return draw_scene(np.random.default_rng(seed), None, region=region, station=STATION_OF[region])


def painted(
    scene: Scene, sequence: Sequence, region: SpineRegion = SpineRegion.LUMBAR
) -> tuple[Float32, NDArray[np.bool_]]:
    """Magnitude of the signal, and the mask of all lesions, both (Z, Y, X)."""
    signal, masks = paint_scene(scene, straight_grid(region), sequence)
    whole = np.zeros(SHAPE, dtype=bool)
    for mask in masks:
        whole[mask.index] |= mask.voxels
    return np.abs(signal.water + signal.fat), whole


def in_body(vertebra: Vertebra, region: SpineRegion = SpineRegion.LUMBAR, depth_mm: float = 2.5) -> NDArray[np.bool_]:
    """The voxels deep in a vertebral body, (Z, Y, X)."""
    grid = straight_grid(region)
    around = vertebra.around(grid, 1.0)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[around.index] = vertebra.body_sdf(around) < -depth_mm
    return inside


def local_coordinates(plan: LesionPlan, mask: NDArray[np.bool_], grid: SliceGrid) -> NDArray[np.float64]:
    """(n, 3) places of the mask's voxels as (l, a, h) mm in the frame of the lesion's vertebra."""
    k, j, i = np.nonzero(mask)
    points = (grid.affine_lps @ np.stack([k, j, i, np.ones_like(k)]).astype(float))[:3].T
    local: NDArray[np.float64] = (points - plan.vertebra.frame.origin_mm) @ plan.vertebra.frame.axes.T
    return local


def whole_region(region: SpineRegion = SpineRegion.LUMBAR) -> Region:
    return straight_grid(region).whole()
