"""One patient's body, drawn once and painted for every series: spine, surroundings, mimics and lesions."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.phantom.body.outline import Outline
from inference.phantom.body.surroundings import Surroundings
from inference.phantom.lesions.mimics import Mimic
from inference.phantom.lesions.plans import LesionPlan
from inference.phantom.noise import NoiseField
from inference.phantom.spine.anatomy import Spine
from inference.phantom.spine.canal import Canal


@dataclass(frozen=True, slots=True)
class PosteriorShape:
    """How one vertebra's spinous process differs from its neighbours'."""

    length: float  # factor
    droop: float  # added mm down per mm back
    lift_mm: float
    lean: float  # mm sideways per mm back
    thickness_mm: float  # half


@dataclass(frozen=True, eq=False, kw_only=True)
class Scene:
    spine: Spine
    canal: Canal
    outline: Outline
    surroundings: Surroundings
    posterior: Mapping[str, PosteriorShape]  # per level
    marrow_fat: Mapping[str, float]  # per level
    flow_voids: float  # 0..1, darkness of turbulent CSF behind the cord
    mimics: tuple[Mimic, ...]
    lesions: tuple[LesionPlan, ...]
    noise: NoiseField
