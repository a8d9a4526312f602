"""Draw one patient's body: the region, the spine on its station, everything around it, mimics and lesions.

Nothing here knows the verdict or the age: fat, dryness and mimics follow an age of the bones that is drawn apart from
the patient's, so that the image tells of the verdict through the signs only.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from inference.datasets import SpineRegion
from inference.phantom.body.outline import draw_outline
from inference.phantom.body.surroundings import draw_surroundings
from inference.phantom.law import draw_ages
from inference.phantom.lesions.mimics import broken, draw_fracture, draw_mimics
from inference.phantom.lesions.plans import draw_lesions
from inference.phantom.noise import NoiseField
from inference.phantom.scanner.stations import PLANS, Station
from inference.phantom.scene import PosteriorShape, Scene
from inference.phantom.spine.anatomy import Spine, moved
from inference.phantom.spine.canal import draw_canal
from inference.phantom.spine.drawing import draw_spine
from inference.phantom.spine.vertebra import Vertebra

_EDGE_MM: Final = 26.0  # lesions stay this far from the upper and lower image edge, with their vertebra's centre
_SMALLEST_VIEW: Final = 0.85  # of the station's field of view, over all sites
_NO_LESION: Final = frozenset({"C2", "S4", "S5", "CO"})


def draw_scene(
    rng: np.random.Generator,
    signs: Mapping[str, bool] | None,
    *,
    region: SpineRegion,
    station: Station,
    fov_mm: float | None = None,
    female: bool = False,
) -> Scene:
    """Everything that is not the scanner's, with the station's centre at the origin. `signs` None: no lesion."""
    body, tumour = rng.spawn(2)  # the body must not depend on how many numbers the lesion used
    spine = draw_spine(body)
    spine = moved(spine, -spine.of_level(PLANS[station].centre_level).frame.origin_mm)
    view = _SMALLEST_VIEW * PLANS[station].fov_mm if fov_mm is None else 0.9 * fov_mm
    seen = [v for v in spine.vertebrae if abs(v.frame.origin_mm[2]) < view / 2 - _EDGE_MM and v.level not in _NO_LESION]
    others = [v for v in seen if v.region is not region]
    fracture = draw_fracture(body, others if len(seen) - len(others) == 1 else seen)  # one stays whole for a lesion
    if fracture is not None:
        spine = _replaced(spine, broken(body, spine.of_level(fracture)))
        seen = [spine.of_level(v.level) for v in seen]
    marrow_fat = _draw_marrow(body, spine)
    candidates = [v for v in seen if v.region is region and v.level != fracture]
    return Scene(
        spine=spine,
        canal=draw_canal(body, spine),
        outline=draw_outline(body, spine),
        surroundings=draw_surroundings(body, spine, female=female),
        posterior={v.level: _draw_posterior(body) for v in spine.vertebrae},
        marrow_fat=marrow_fat,
        flow_voids=float(body.uniform(0.0, 0.7)),
        mimics=draw_mimics(body, seen, marrow_fat, fracture),
        noise=NoiseField(body),
        lesions=draw_lesions(tumour, signs, candidates) if signs is not None else (),
    )


def _replaced(spine: Spine, vertebra: Vertebra) -> Spine:
    return replace(spine, vertebrae=tuple(vertebra if v.level == vertebra.level else v for v in spine.vertebrae))


def _draw_marrow(rng: np.random.Generator, spine: Spine) -> dict[str, float]:
    """Fat fraction per level. Source: phantom specification, item 3, but with the age of the bones."""
    bone_age = int(draw_ages(rng, 1)[0])
    base = 0.30 + 0.25 * float(np.clip((bone_age - 20) / 60, 0.0, 1.0))
    return {v.level: float(np.clip(base + rng.normal(0.0, 0.03), 0.2, 0.62)) for v in spine.vertebrae}


def _draw_posterior(rng: np.random.Generator) -> PosteriorShape:
    return PosteriorShape(
        length=float(np.clip(rng.normal(1.0, 0.1), 0.75, 1.2)),
        droop=float(rng.normal(0.0, 0.1)),
        lift_mm=float(rng.normal(0.0, 1.0)),
        lean=float(rng.normal(0.0, 0.07)),
        thickness_mm=float(rng.uniform(2.2, 3.8)),
    )
