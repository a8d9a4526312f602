"""Where every voxel of an image lies in the body: behind the wall, beside the midline, under the skin. Millimetres."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from inference.phantom.body.outline import Outline
from inference.phantom.grid import WORLD, Canvas, Float32, Region, inside
from inference.phantom.noise import NoiseField
from inference.phantom.shapes import Ellipsoid, Point
from inference.phantom.spine.anatomy import Spine
from inference.phantom.tissue import Tissue

_SPREAD_MM: Final = 5.0  # an uneven edge may pass its ellipsoid by this much


@dataclass(frozen=True, eq=False)
class Space:
    """All voxels of a canvas, in the coordinates that soft tissue is told in."""

    canvas: Canvas
    spine: Spine
    noise: NoiseField
    region: Region
    row: NDArray[np.int32]  # of the spine's tables
    behind: Float32  # the posterior wall
    side: Float32  # left of the midline
    before: Float32  # the front of the bodies (negative inside and behind them)
    from_back: Float32  # under the skin of the back
    from_front: Float32  # under the skin of the front

    @classmethod
    def of(cls, canvas: Canvas, spine: Spine, outline: Outline, noise: NoiseField) -> Self:
        region = canvas.grid.whole()
        row = spine.table_index(region.h)
        behind = spine.behind_wall_mm(region.a, row)
        return cls(
            canvas=canvas,
            spine=spine,
            noise=noise,
            region=region,
            row=row,
            behind=behind,
            side=region.l - spine.wall_x[row],
            before=-behind - spine.table(lambda v: 2.0 * v.half_depth)[row],
            from_back=outline.from_back(region, row),
            from_front=outline.from_front(region, row),
        )

    def at(self, side: float, before_wall: float, z_mm: float) -> Point:
        """LPS place: left of the midline, before the posterior wall, at a height."""
        x, y = self.spine.wall_at(z_mm)
        return x + side, y - before_wall, z_mm

    def paint_ellipsoid(
        self,
        shape: Ellipsoid,
        tissue: Tissue,
        *,
        edge_mm: float = 1.2,
        uneven_mm: float = 0.0,
        grain: float = 0.0,
        wall: tuple[Tissue, float] | None = None,
    ) -> None:
        """A solid with an edge moved by noise; `grain` is the amplitude of its texture, `wall` its shell in mm."""
        lower, upper = (
            tuple(c + sign * (r + _SPREAD_MM) for c, r in zip(shape.centre, shape.radii, strict=True))
            for sign in (-1.0, 1.0)
        )
        region = self.canvas.grid.region(WORLD, (lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
        if region.empty:
            return
        sdf = shape.sdf(region)
        if uneven_mm:
            cell = max(7.0, 0.7 * max(shape.radii))
            sdf = sdf + np.float32(uneven_mm) * self.noise.on(region, (cell, 0.8 * cell, 0.9 * cell), shape.radii[0])
        factor = 1.0 + np.float32(grain) * self.noise.on(region, (5.0, 4.0, 4.0), shape.radii[1]) if grain else 1.0
        if wall is not None:
            self.canvas.paint(region, inside(sdf, edge_mm), wall[0])
            sdf = sdf + np.float32(wall[1])
        self.canvas.paint(region, inside(sdf, edge_mm), tissue, factor)

    def paint(self, sdf: Float32, tissue: Tissue, edge_mm: float = 1.2, factor: Float32 | float = 1.0) -> None:
        """A tissue over the whole image where `sdf` is negative."""
        self.canvas.paint(self.region, inside(sdf, edge_mm), tissue, factor)

    def lines(self, scale_mm: tuple[float, float, float], shift: float, width: float) -> Float32:
        """Thin crooked sheets, 0..1: vessels in fat, septa, planes between muscles."""
        sheets: Float32 = np.clip(
            1.0 - np.abs(self.noise.on(self.region, scale_mm, shift, warp=0.8)) * np.float32(1.0 / width), 0.0, 1.0
        )
        return sheets
