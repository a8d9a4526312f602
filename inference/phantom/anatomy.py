"""The spine of one patient: vertebrae with their frames, discs, and the curve of the canal.

Lengths in mm, angles in degrees. Sizes follow the level table of the phantom specification, item 1.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from inference.phantom.grid import Float32, Frame, Region

# level: body height, depth (AP), width, disc above, forward lean of the cranial axis in degrees
_LEVELS: Final[dict[str, tuple[float, float, float, float, float]]] = {
    "S4": (14.0, 12.0, 24.0, 1.0, 60.0),
    "S3": (17.0, 15.0, 30.0, 1.5, 56.0),
    "S2": (21.0, 20.0, 40.0, 2.5, 48.0),
    "S1": (27.0, 29.0, 50.0, 10.0, 37.0),
    "L5": (28.0, 34.5, 52.0, 11.0, 21.0),
    "L4": (28.0, 35.0, 50.0, 11.0, 8.0),
    "L3": (28.0, 34.5, 48.0, 10.0, -2.0),
    "L2": (27.5, 33.5, 46.0, 9.0, -9.0),
    "L1": (27.0, 32.0, 44.0, 8.0, -13.0),
    "T12": (26.0, 30.5, 42.0, 7.0, -14.0),
    "T11": (24.5, 29.0, 38.0, 6.0, -12.0),
    "T10": (23.0, 28.0, 35.0, 5.0, -9.0),
    "T9": (22.0, 27.0, 33.0, 4.5, -5.0),
    "T8": (21.0, 26.0, 32.0, 4.2, -1.0),
    "T7": (20.5, 25.0, 31.0, 4.0, 3.0),
    "T6": (20.0, 24.0, 30.0, 4.0, 7.0),
    "T5": (19.0, 22.5, 29.0, 3.8, 10.0),
}
SACRAL: Final = frozenset({"S1", "S2", "S3", "S4"})
_TABLE_STEP_MM: Final = 0.5
_TABLE_REACH_MM: Final = 260.0  # beyond every image edge
_BUTTOCK_MM: Final = 68.0  # the skin follows the sacrum no farther back than this behind L5
_SKIN_SMOOTHING_MM: Final = 25.0


@dataclass(frozen=True, eq=False)
class Disc:
    """The disc above a vertebra, in a frame of its own."""

    frame: Frame
    half_height: float
    half_depth: float
    half_width: float
    degeneration: float  # 0 young and bright .. 1 dry and dark
    bulge_mm: float  # how far the posterior edge passes the vertebral wall


@dataclass(frozen=True, eq=False)
class Vertebra:
    level: str
    frame: Frame
    half_height: float
    half_depth: float
    half_width: float
    disc_above: Disc | None

    @property
    def sacral(self) -> bool:
        return self.level in SACRAL

    def body_sdf(self, region: Region) -> Float32:
        """Distance to the body: superelliptic in the axial plane, waisted, with slightly hollow end plates."""
        width, depth, height = (np.float32(v) for v in (self.half_width, self.half_depth, self.half_height))
        tall = np.clip(region.h / height, -1.0, 1.0)
        waist = 1.0 - np.float32(0.07) * (1.0 - tall * tall)
        across, along = np.abs(region.l) / width, np.abs(region.a) / depth
        radius = np.sqrt(np.sqrt(across**4 + along**4))
        wall = (radius - waist) * depth
        hollow = np.float32(0.07) * np.maximum(1.0 - radius * radius, 0.0)
        plate = np.abs(region.h) - height * (1.0 - hollow)
        corner = np.float32(2.0)  # rounds the rim of the end plate
        outside = np.sqrt(np.maximum(wall + corner, 0.0) ** 2 + np.maximum(plate + corner, 0.0) ** 2)
        distance: Float32 = np.minimum(np.maximum(wall, plate) + corner, 0.0) + outside - corner
        return distance


@dataclass(frozen=True, eq=False)
class Spine:
    """Vertebrae from caudal to cranial, and the posterior wall as a table over z."""

    vertebrae: tuple[Vertebra, ...]
    wall_y: Float32  # posterior wall of the bodies, y in mm per table step
    wall_cosine: Float32  # turns a difference in y into a distance across the canal
    wall_x: Float32  # lateral midline
    back_y: Float32  # the wall as the skin of the back sees it: smooth, and flat over the buttocks
    conus_z_mm: float
    sac_end_z_mm: float

    def table_index(self, z_mm: Float32) -> NDArray[np.int32]:
        scaled = (z_mm + np.float32(_TABLE_REACH_MM)) * np.float32(1.0 / _TABLE_STEP_MM)
        index: NDArray[np.int32] = np.clip(scaled, 0, self.wall_y.size - 1).astype(np.int32)
        return index

    def behind_wall_mm(self, y_mm: Float32, index: NDArray[np.int32]) -> Float32:
        """Distance behind the posterior wall, across the canal (negative in the bodies)."""
        distance: Float32 = (y_mm - self.wall_y[index]) * self.wall_cosine[index]
        return distance


def draw_spine(rng: np.random.Generator, *, centre_level: str) -> Spine:
    """A spine with `centre_level` at z = 0, y = 0 (body centre)."""
    names = list(_LEVELS)
    size = rng.uniform(0.93, 1.05)
    lean = np.deg2rad([_LEVELS[name][4] * rng.uniform(0.8, 1.2) + rng.normal(0.0, 1.5) for name in names])
    lean *= rng.uniform(0.85, 1.15)
    disc_scale = np.clip(rng.normal(1.0, 0.1, len(names)), 0.75, 1.2)
    dryness = np.clip(rng.beta(1.2, 1.6) + rng.normal(0.0, 0.2, len(names)), 0.0, 1.0)
    lateral = _scoliosis(rng, len(names))

    centres = _stack_centres(names, lean, size, disc_scale * (1.0 - 0.35 * dryness))
    centres -= centres[names.index(centre_level)]
    frames = [Frame(np.array([lateral[n], *centres[n]]), _axes(lean[n])) for n in range(len(names))]
    vertebrae = []
    for n, name in enumerate(names):
        height, depth, width, _, _ = _LEVELS[name]
        disc = None
        if n + 1 < len(names):
            disc = _disc_between(
                frames[n], frames[n + 1], size, name, (height, float(disc_scale[n]), float(dryness[n]))
            )
        vertebrae.append(Vertebra(name, frames[n], size * height / 2, size * depth / 2, size * width / 2, disc))
    return _with_curve(rng, tuple(vertebrae))


def _scoliosis(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Smooth lateral offsets, standard deviation about 3 mm at the ends."""
    phase, amplitude = rng.uniform(0.0, 2.0 * np.pi), rng.normal(0.0, 3.0)
    offsets: NDArray[np.float64] = amplitude * np.sin(np.linspace(0.0, np.pi, count) + phase)
    return offsets


def _axes(lean: float) -> NDArray[np.float64]:
    """Left, posterior, cranial; a positive lean tips the cranial axis forward (towards -y)."""
    return np.array([[1.0, 0.0, 0.0], [0.0, np.cos(lean), np.sin(lean)], [0.0, -np.sin(lean), np.cos(lean)]])


def _stack_centres(
    names: list[str], lean: NDArray[np.float64], size: float, disc_scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(levels, 2) centres as (y, z): each body and half disc goes along its own cranial axis."""
    cranial = np.stack([-np.sin(lean), np.cos(lean)], axis=1)
    centres = np.zeros((len(names), 2))
    for n in range(1, len(names)):
        gap = _LEVELS[names[n - 1]][3] * disc_scale[n - 1]
        lower, upper = _LEVELS[names[n - 1]][0] + gap, _LEVELS[names[n]][0] + gap
        centres[n] = centres[n - 1] + size / 2 * (lower * cranial[n - 1] + upper * cranial[n])
    return centres


def _disc_between(below: Frame, above: Frame, size: float, level: str, shape: tuple[float, float, float]) -> Disc:
    """The disc that fills the gap between two frames; `shape` is (height of the body below, scale, dryness)."""
    body_height, scale, dryness = shape
    _, depth, width, gap, _ = _LEVELS[level]
    names = list(_LEVELS)
    upper_height = _LEVELS[names[names.index(level) + 1]][0]
    bottom = below.to_lps((0.0, 0.0, size * body_height / 2))
    top = above.to_lps((0.0, 0.0, -size * upper_height / 2))
    axes = below.axes + above.axes
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return Disc(
        frame=Frame((bottom + top) / 2, axes),
        half_height=max(0.6, size * gap * scale * (1.0 - 0.35 * dryness) / 2),
        half_depth=size * depth / 2 * 1.02,
        half_width=size * width / 2,
        degeneration=dryness,
        bulge_mm=0.4 + 2.6 * max(0.0, dryness - 0.5),
    )


def _with_curve(rng: np.random.Generator, vertebrae: tuple[Vertebra, ...]) -> Spine:
    walls = np.array([v.frame.to_lps((0.0, v.half_depth, 0.0)) for v in vertebrae])
    z = np.arange(-_TABLE_REACH_MM, _TABLE_REACH_MM + _TABLE_STEP_MM, _TABLE_STEP_MM)
    keep = np.concatenate([[True], np.diff(walls[:, 2]) > 1.0])  # a spline needs rising knots
    knots = walls[keep]
    clipped = np.clip(z, knots[0, 2], knots[-1, 2])
    curve = CubicSpline(knots[:, 2], knots[:, 1])
    y = curve(clipped) + curve(clipped, 1) * (z - clipped)
    slope = curve(clipped, 1)
    level = {v.level: v for v in vertebrae}
    buttock_y = float(level["L5"].frame.origin_mm[1]) + _BUTTOCK_MM
    smooth = gaussian_filter1d(np.minimum(y, buttock_y), _SKIN_SMOOTHING_MM / _TABLE_STEP_MM, mode="nearest")
    return Spine(
        vertebrae=vertebrae,
        wall_y=y.astype(np.float32),
        wall_cosine=(1.0 / np.hypot(1.0, slope)).astype(np.float32),
        wall_x=np.interp(z, knots[:, 2], knots[:, 0]).astype(np.float32),
        back_y=smooth.astype(np.float32),
        conus_z_mm=float(level["L1"].frame.origin_mm[2] + rng.normal(0.0, 8.0)),
        sac_end_z_mm=float(level["S2"].frame.origin_mm[2] + rng.normal(0.0, 5.0)),
    )
