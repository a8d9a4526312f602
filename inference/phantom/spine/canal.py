"""The spinal canal as tables over the spine: how wide, how deep, where the sac and the cord lie. Lengths in mm."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import Float32
from inference.phantom.spine.anatomy import Spine
from inference.phantom.spine.vertebra import Vertebra

_BEFORE_SAC: Final = {"C2": 1.2, "C4": 0.9, "T6": 0.9, "L3": 1.1, "L4": 1.4, "L5": 2.8, "S1": 4.5, "S2": 6.0}
_HOLLOW_WALL: Final = {"C2": 0.3, "T10": 0.5, "L2": 1.0}  # more of it behind the middle of a body
# Half depth and half width of the sac and of the cord, and the cord's place behind the middle of the sac.
_SAC_DEPTH: Final = {
    "C2": 6.4, "C5": 5.6, "C7": 5.8, "T6": 5.7, "T11": 6.4, "L2": 6.7, "L4": 6.3, "L5": 5.4, "S1": 4.0, "S2": 2.4,
    "S3": 1.2,
}  # fmt: skip
_SAC_WIDTH: Final = {
    "C2": 11.0, "C6": 11.0, "T3": 8.0, "T9": 8.0, "L2": 9.5, "L4": 9.0, "L5": 8.0, "S1": 6.5, "S3": 2.0,
}  # fmt: skip
_CORD_DEPTH: Final = {"C2": 4.0, "C5": 3.7, "C7": 3.4, "T4": 3.0, "T9": 3.1, "T11": 3.7, "T12": 3.8}
_CORD_WIDTH: Final = {"C2": 5.6, "C5": 6.4, "T2": 4.6, "T8": 4.2, "T11": 4.7, "T12": 4.7}
_CORD_BEHIND: Final = {"C2": 0.0, "C7": 0.2, "T3": -0.6, "T6": -1.5, "T9": -1.2, "T12": 0.6, "L1": 1.2}
# Half width of the epidural fat, foramina included.
_FORAMEN_WIDTH: Final = {
    "C3": 13.0, "T1": 14.0, "T10": 15.0, "L2": 18.0, "L4": 20.0, "L5": 22.0, "S1": 17.0, "S3": 12.0,
}  # fmt: skip
_FAT_PAD: Final = {"C4": 0.3, "C7": 0.8, "T3": 1.5, "T9": 1.8, "L1": 2.5, "L4": 4.0, "L5": 3.5, "S1": 2.0, "S3": 0.5}
_FORAMEN_MAGNUM_MM: Final = 30.0  # above the centre of C2's body
_CONUS_TAPER_MM: Final = 34.0
_SAC_TAPER_MM: Final = 55.0


@dataclass(frozen=True, eq=False)
class Canal:
    """Tables over the rows of `spine.z_mm`."""

    depth: Float32  # of the bony canal
    front: Float32  # behind the wall, where the epidural space begins: a bulging disc pushes it back
    half_width: Float32  # foramina included; pedicles are painted over them
    fat_pad: Float32  # behind the bony canal's mean depth, between the laminae
    sac_centre: Float32
    sac_depth: Float32
    sac_width: Float32
    cord_centre: Float32
    cord_depth: Float32
    cord_width: Float32
    cord_aside: Float32  # left of the midline: where a mass has pushed it
    top_z_mm: float  # the foramen magnum: the brain stem goes on from here


def draw_canal(rng: np.random.Generator, spine: Spine) -> Canal:
    size = np.float32(rng.uniform(0.92, 1.08))
    bulge = _bulge(spine)
    above_end = np.maximum(spine.z_mm - spine.sac_end_z_mm, 0.0)
    taper = (np.clip(above_end / _SAC_TAPER_MM, 0.0, 1.0) ** 0.5).astype(np.float32)
    sac_depth = spine.anchored(_SAC_DEPTH) * size * taper
    sac_front = spine.anchored(_BEFORE_SAC) + bulge + spine.anchored(_HOLLOW_WALL) * _mid_body(spine)
    back = np.maximum(sac_front + 2.0 * sac_depth - 0.7 * bulge, sac_front + 0.5 * sac_depth)
    above_tip = np.maximum(spine.z_mm - spine.conus_z_mm, 0.0)
    conus = (np.clip(above_tip / _CONUS_TAPER_MM, 0.0, 1.0) ** 0.6).astype(np.float32)
    centre = (sac_front + back) / 2
    return Canal(
        depth=np.maximum(spine.table(lambda v: v.shape.canal) * size, back + np.float32(0.6)),
        front=bulge + np.float32(0.2),
        half_width=spine.anchored(_FORAMEN_WIDTH),
        fat_pad=spine.anchored(_FAT_PAD) * np.float32(rng.uniform(0.5, 1.2)) * _between_laminae(spine),
        sac_centre=centre,
        sac_depth=(back - sac_front) / 2,
        sac_width=spine.anchored(_SAC_WIDTH) * size * taper,
        cord_centre=centre + spine.anchored(_CORD_BEHIND),
        cord_depth=spine.anchored(_CORD_DEPTH) * size * conus,
        cord_width=spine.anchored(_CORD_WIDTH) * size * conus,
        cord_aside=np.zeros(spine.z_mm.size, dtype=np.float32),
        top_z_mm=float(spine.of_level("C2").frame.origin_mm[2]) + _FORAMEN_MAGNUM_MM,
    )


def _bulge(spine: Spine) -> Float32:
    """How far the discs stand out behind the wall."""

    def at(vertebra: Vertebra) -> NDArray[np.float64]:
        disc = vertebra.disc_above
        if disc is None or (vertebra.sacral and vertebra.level != "S1"):
            return np.zeros(spine.z_mm.size)
        centre = disc.frame.to_lps((0.0, disc.half_depth, 0.0))
        from_disc = (spine.z_mm - centre[2]) / (disc.half_height + 1.0)
        bulge: NDArray[np.float64] = disc.bulge_mm * np.exp(-0.5 * from_disc**2)
        return bulge

    total: Float32 = np.sum([at(v) for v in spine.vertebrae], axis=0).astype(np.float32)
    return total


def _mid_body(spine: Spine) -> Float32:
    """1 behind the middle of a body, 0 at the discs."""
    wave: Float32 = (0.5 + 0.5 * np.cos(2.0 * np.pi * spine.level_number)).astype(np.float32)
    return wave


def _between_laminae(spine: Spine) -> Float32:
    """0 at the laminae (lower half of the bodies), 1 between them."""
    wave: Float32 = np.clip(0.5 + 0.8 * np.cos(2.0 * np.pi * (spine.level_number - 0.12)), 0.0, 1.0).astype(np.float32)
    return wave
