"""The spine of one patient: its vertebrae, and the curve of the posterior wall as a table over z. Lengths in mm."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import Float32, Frame
from inference.phantom.spine.vertebra import Vertebra

TABLE_STEP_MM: Final = 0.5
_OCCIPUT_MM: Final = 62.0  # above the centre of C2


@dataclass(frozen=True, eq=False)
class Spine:
    """Vertebrae from caudal to cranial, and the posterior wall as a table over z."""

    vertebrae: tuple[Vertebra, ...]
    z_mm: NDArray[np.float64]  # of the table's rows
    wall_y: Float32  # posterior wall of the bodies, y in mm
    wall_cosine: Float32  # turns a difference in y into a distance across the canal
    wall_x: Float32  # lateral midline
    level_number: Float32  # place in `vertebrae`; half numbers at the discs
    conus_z_mm: float
    sac_end_z_mm: float

    def table_index(self, z_mm: Float32) -> NDArray[np.int32]:
        scaled = (z_mm - np.float32(self.z_mm[0])) * np.float32(1.0 / TABLE_STEP_MM)
        index: NDArray[np.int32] = np.clip(scaled, 0, self.z_mm.size - 1).astype(np.int32)
        return index

    def behind_wall_mm(self, y_mm: Float32, index: NDArray[np.int32]) -> Float32:
        """Distance behind the posterior wall, across the canal (negative in the bodies)."""
        distance: Float32 = (y_mm - self.wall_y[index]) * self.wall_cosine[index]
        return distance

    def wall_at(self, z_mm: float) -> tuple[float, float]:
        """Lateral midline and posterior wall, (x, y) in mm, at one height."""
        return float(np.interp(z_mm, self.z_mm, self.wall_x)), float(np.interp(z_mm, self.z_mm, self.wall_y))

    def height_of(self, level: str) -> float:
        """z of the centre of a vertebra's body."""
        return float(self.of_level(level).frame.origin_mm[2])

    def table(self, value_of: Callable[[Vertebra], float]) -> Float32:
        """A quantity told per vertebra, interpolated over z: a row for each of `z_mm`."""
        z = [v.frame.origin_mm[2] for v in self.vertebrae]
        values: Float32 = np.interp(self.z_mm, z, [value_of(v) for v in self.vertebrae]).astype(np.float32)
        return values

    def anchored(self, anchors: dict[str, float]) -> Float32:
        """The same from a few levels; a level that this patient lacks is left out. "HEAD" stands for the occiput."""
        known = [(v.frame.origin_mm[2], anchors[v.level]) for v in self.vertebrae if v.level in anchors]
        if "HEAD" in anchors:
            known.append((self.height_of("C2") + _OCCIPUT_MM, anchors["HEAD"]))
        z, values = zip(*known, strict=True)
        table: Float32 = np.interp(self.z_mm, z, values).astype(np.float32)
        return table

    def of_level(self, name: str) -> Vertebra:
        """The vertebra of that name; for one that this patient lacks, the next one above."""
        found = {v.level: v for v in self.vertebrae}
        return found.get(name) or found["L4" if name == "L5" else "L5"]


def moved(spine: Spine, offset_mm: NDArray[np.float64]) -> Spine:
    """The same spine at another place of the table."""

    def frame(old: Frame) -> Frame:
        return Frame(old.origin_mm + offset_mm, old.axes)

    def vertebra(old: Vertebra) -> Vertebra:
        disc = None if old.disc_above is None else replace(old.disc_above, frame=frame(old.disc_above.frame))
        return replace(old, frame=frame(old.frame), disc_above=disc)

    x, y, z = (np.float32(v) for v in offset_mm)
    return replace(
        spine,
        vertebrae=tuple(vertebra(v) for v in spine.vertebrae),
        z_mm=spine.z_mm + float(z),
        wall_y=spine.wall_y + y,
        wall_x=spine.wall_x + x,
        conus_z_mm=spine.conus_z_mm + float(z),
        sac_end_z_mm=spine.sac_end_z_mm + float(z),
    )
