"""The parts of a lesion that leave the vertebral body: before it, into the canal, through the foramen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import Float32, Region
from inference.phantom.law import Sign
from inference.phantom.shapes import Capsule, Ellipsoid, Point
from inference.phantom.spine.vertebra import Vertebra


@dataclass(frozen=True, slots=True)
class Lobe:
    """A solid in the frame of the vertebra; `outside_bone`: it does not connect to the body."""

    solid: Ellipsoid | Capsule
    outside_bone: bool = False

    def sdf(self, region: Region) -> Float32:
        return self.solid.sdf(region)

    @property
    def lower(self) -> NDArray[np.float64]:
        return self._corner(-1.0)

    @property
    def upper(self) -> NDArray[np.float64]:
        return self._corner(1.0)

    @property
    def middle(self) -> Point:
        x, y, z = (self.lower + self.upper) / 2.0
        return float(x), float(y), float(z)

    @property
    def half_length(self) -> float:
        return float((self.upper - self.lower).max() / 2.0)

    def _corner(self, sign: float) -> NDArray[np.float64]:
        if isinstance(self.solid, Ellipsoid):
            return np.asarray(self.solid.centre) + sign * np.asarray(self.solid.radii)
        ends = np.array([self.solid.start, self.solid.end])
        corner: NDArray[np.float64] = (ends.min(axis=0) if sign < 0 else ends.max(axis=0)) + sign * self.solid.radius
        return corner


def draw_lobes(
    rng: np.random.Generator, signs: Mapping[str, bool], vertebra: Vertebra, centre: Point, *, dural: bool
) -> tuple[Lobe, ...]:
    """The lobes that the signs ask for; random numbers are spent whether a sign is present or not."""
    size = float(np.clip(vertebra.half_depth / 17.0, 0.7, 1.0))
    break_at, break_radius = rng.uniform(-5.0, 5.0, 2) * size, size * rng.uniform(8.0, 10.0)
    mass_radius, mass_height = size * rng.uniform(8.0, 9.5), size * rng.uniform(10.0, 13.0)
    side, drop = float(rng.choice((-1.0, 1.0))), size * rng.uniform(-7.0, -3.0)
    outer_radius = size * rng.uniform(8.5, 10.5)
    lobes: list[Lobe] = []
    # The sounder parts first: the first lobe stands for a lesion that spares the bone.
    if signs[Sign.DUMBBELL]:
        lobes += _dumbbell(vertebra, centre, (side, float(drop), float(outer_radius), size))
    if signs[Sign.EPIDURAL_MASS]:
        lobes += _canal_mass(vertebra, centre, (float(mass_radius), float(mass_height), size), dural=dural)
    if signs[Sign.CORTICAL_BREAK]:
        lobes += _front_mass(vertebra, centre, (float(break_at[0]), float(break_at[1])), float(break_radius))
    return tuple(lobes)


def _front_mass(vertebra: Vertebra, centre: Point, at: tuple[float, float], radius: float) -> list[Lobe]:
    """Through the anterior wall; in the sacrum large, into the pelvis."""
    grown = 1.5 if vertebra.sacral else 1.0
    tip = (centre[0] + at[0], -vertebra.half_depth - 3.0 * grown, centre[2] + at[1])
    blob = Ellipsoid(tip, (grown * (radius + 2.0), grown * radius, grown * radius))
    return [Lobe(blob), Lobe(Capsule(centre, tip, 0.85 * radius))]


def _canal_mass(vertebra: Vertebra, centre: Point, sizes: tuple[float, float, float], *, dural: bool) -> list[Lobe]:
    """Through the posterior wall into the canal; a dural one is flat on the dura, with a tail up and down."""
    radius, height, size = sizes
    depth = vertebra.half_depth
    tip = (0.4 * centre[0], depth + 2.0, 0.5 * centre[2])
    if not dural:
        return [Lobe(Ellipsoid(tip, (11.0 * size, radius, height))), Lobe(Capsule(centre, tip, 0.85 * radius))]
    on_dura = (tip[0], depth + 4.0 * size, tip[2])
    tails = Capsule((tip[0], depth + 2.2, tip[2] - height - 7.0), (tip[0], depth + 2.2, tip[2] + height + 7.0), 1.2)
    return [
        Lobe(Ellipsoid(on_dura, (8.0 * size, 0.85 * radius, height)), outside_bone=True),
        Lobe(tails, outside_bone=True),
    ]


def _dumbbell(vertebra: Vertebra, centre: Point, drawn: tuple[float, float, float, float]) -> list[Lobe]:
    """One end in the canal, one outside the foramen; a bridge to the body that goes when the bone is spared."""
    side, drop, outer_radius, size = drawn
    depth, aside = vertebra.half_depth, 0.85 * vertebra.half_width
    canal, waist = (side * 4.5 * size, depth + 8.5 * size, drop), (side * 0.5 * aside, depth + 7.0 * size, drop)
    outer = (side * (aside + 2.0), depth + 5.0 * size, drop)
    return [
        Lobe(Ellipsoid(canal, (6.0 * size, 5.5 * size, 15.0 * size)), outside_bone=True),
        Lobe(Capsule(canal, outer, 4.6 * size), outside_bone=True),
        Lobe(Ellipsoid(outer, (8.5 * size, outer_radius, outer_radius + 2.0)), outside_bone=True),
        Lobe(Capsule(centre, waist, 4.5 * size)),
    ]
