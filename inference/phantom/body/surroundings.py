"""Everything around the spine, drawn once per patient and painted in the order in which it covers itself."""

from dataclasses import dataclass

import numpy as np

from inference.phantom.body.abdomen import Abdomen, draw_abdomen, paint_abdomen
from inference.phantom.body.back import Back, air_outside, draw_back, paint_back, paint_skin
from inference.phantom.body.chest import Chest, draw_chest, paint_chest
from inference.phantom.body.neck import Neck, draw_neck, paint_neck
from inference.phantom.body.outline import Outline
from inference.phantom.body.space import Space
from inference.phantom.body.vessels import Vessels, draw_vessels, paint_vessels
from inference.phantom.grid import Float32
from inference.phantom.spine.anatomy import Spine


@dataclass(frozen=True, eq=False)
class Surroundings:
    abdomen: Abdomen
    chest: Chest
    neck: Neck
    back: Back
    vessels: Vessels


def draw_surroundings(rng: np.random.Generator, spine: Spine, *, female: bool) -> Surroundings:
    return Surroundings(
        abdomen=draw_abdomen(rng, spine, female=female),
        chest=draw_chest(rng, spine),
        neck=draw_neck(rng),
        back=draw_back(rng, spine),
        vessels=draw_vessels(rng),
    )


def paint_surroundings(space: Space, around: Surroundings, outline: Outline) -> Float32:
    """Cover the whole canvas; returns the air outside the body, 0..1, to be applied after the bones."""
    high = float(space.region.h.max())
    paint_abdomen(space, around.abdomen, outline)
    if high > around.chest.bottom_z_mm:
        paint_chest(space, around.chest, outline)
    if high > space.spine.height_of("T5"):
        paint_neck(space, around.neck)
    paint_vessels(space, around.vessels)
    paint_back(space, around.back, outline)
    paint_skin(space)
    return air_outside(space)
