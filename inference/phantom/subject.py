"""A patient before any image is taken: configuration in; age, truth, site and body out. Cheap, paints nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.datasets import SpineRegion
from inference.findings import Verdict
from inference.phantom import law
from inference.phantom.law import LesionTruth, MimicTruth, PhantomTruth, Sign
from inference.phantom.lesions.families import family_of
from inference.phantom.scanner.sites import SiteStyle, site_style
from inference.phantom.scanner.stations import STATION_OF, Station
from inference.phantom.scene import Scene
from inference.phantom.scene_drawing import draw_scene

# Each purpose has random numbers of its own, so that a change of one leaves the others as they were.
_LAW_STREAM: Final = 1
_SCENE_STREAM: Final = 2
_PLACE_STREAM: Final = 4

# Cases per region. Source: WFF paper, Table 2.
LOCATION_MIX: Final[dict[SpineRegion, int]] = {
    SpineRegion.CERVICAL: 297,
    SpineRegion.THORACIC: 182,
    SpineRegion.LUMBAR: 174,
    SpineRegion.SACRAL: 24,
}
_LUMBOSACRAL_SHARE: Final = 0.25  # of lumbar patients, whose station is set lower


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomConfig:
    """What a set of phantom patients has in common."""

    matrix: int = 256  # rows = columns
    difficulty: float = 1.0  # 1: signs as tabled, 0: signs say nothing
    minimum_slices: int = 11
    maximum_slices: int = 17
    lesion_free_fraction: float = 0.2
    fov_mm: float | None = None  # None: as the site scans the station
    site_style: int | None = None  # a number: every patient from that one site, whatever `sites` says
    sites: tuple[int, ...] = tuple(range(12))  # patients come from these alike
    regions: tuple[SpineRegion, ...] = tuple(SpineRegion)  # in the ratio of `LOCATION_MIX`
    stations: int = 1  # 2: a second T1, T2 and T2FS of the neighbouring part of the spine

    def __post_init__(self) -> None:
        if self.matrix < 64 or (self.fov_mm is not None and self.fov_mm < 200.0):
            raise ValueError(f"matrix {self.matrix}, fov_mm {self.fov_mm}: need at least 64 and 200 to show a spine")
        if not 1 <= self.minimum_slices <= self.maximum_slices:
            raise ValueError(f"slices {self.minimum_slices}..{self.maximum_slices}: need 1 <= minimum <= maximum")
        if not 0.0 <= self.lesion_free_fraction <= 1.0:
            raise ValueError(f"lesion_free_fraction is {self.lesion_free_fraction}, need 0..1")
        if not self.sites or not self.regions or self.stations not in (1, 2):
            raise ValueError(
                f"sites {self.sites}, regions {self.regions}, stations {self.stations}: need one, one, 1..2"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """The patient before any image was taken."""

    age_years: int
    sex: str
    site: SiteStyle
    station: Station  # the first one, which shows the lesions
    truth: PhantomTruth
    scene: Scene


def draw_subject(index: int, *, seed: int, config: PhantomConfig) -> Subject:
    """Age, truth, site and body of patient `index`."""
    rng = np.random.default_rng((seed, index, _LAW_STREAM))
    lesion_free = bool(rng.random() < config.lesion_free_fraction)
    sex = "F" if rng.random() < 0.5 else "M"
    sample = law.draw_law(rng, 1, difficulty=config.difficulty)
    signs = {str(sign): bool(sample.signs[0, n]) and not lesion_free for n, sign in enumerate(Sign)}
    site, region, station = _draw_place(np.random.default_rng((seed, index, _PLACE_STREAM)), config)
    scene = draw_scene(
        np.random.default_rng((seed, index, _SCENE_STREAM)),
        None if lesion_free else signs,
        region=region,
        station=station,
        fov_mm=config.fov_mm,
        female=sex == "F",
    )
    verdict = None if lesion_free else (Verdict.MALIGNANT if sample.malignant[0] else Verdict.BENIGN)
    log_odds = float(law.sign_log_odds(sample.signs, difficulty=config.difficulty)[0])
    age_log_odds = float(law.age_log_odds(sample.age_years)[0])
    truth = PhantomTruth(
        label=verdict,
        signs=signs,
        log_odds_signs=None if lesion_free else log_odds + law.prevalence_log_odds(),
        log_odds_signs_age=None if lesion_free else log_odds + age_log_odds,
        lesions=_lesion_truths(scene),
        family=_family(scene, verdict, signs),
        look=str(scene.lesions[0].look) if scene.lesions else "",
        region=region,
        site=site.name,
        difficulty=config.difficulty,
        mimics=_mimic_truths(scene),
    )
    return Subject(age_years=int(sample.age_years[0]), sex=sex, site=site, station=station, truth=truth, scene=scene)


def _draw_place(rng: np.random.Generator, config: PhantomConfig) -> tuple[SiteStyle, SpineRegion, Station]:
    """Site, region and station; none of them knows the verdict."""
    weights = np.array([LOCATION_MIX[region] for region in config.regions], dtype=float)
    region = config.regions[int(rng.choice(len(weights), p=weights / weights.sum()))]
    low = rng.random() < _LUMBOSACRAL_SHARE
    station = Station.LUMBOSACRAL if region is SpineRegion.LUMBAR and low else STATION_OF[region]
    sites = config.sites if config.site_style is None else (config.site_style,)
    number = sites[int(rng.integers(len(sites)))]  # last: the place is the same whatever the sites
    return site_style(number), region, station


def _family(scene: Scene, verdict: Verdict | None, signs: Mapping[str, bool]) -> str:
    if verdict is None or not scene.lesions:
        return ""
    return str(family_of(scene.lesions[0].look, verdict, signs))


def _lesion_truths(scene: Scene) -> tuple[LesionTruth, ...]:
    truths = []
    for plan in scene.lesions:
        x, y, z = plan.vertebra.frame.to_lps(plan.centre)
        centre = (float(x), float(y), float(z))
        truths.append(
            LesionTruth(
                level=plan.vertebra.level,
                centre_mm=centre,
                diameter_mm=float(plan.diameter_mm),
                region=plan.vertebra.region,
            )
        )
    return tuple(truths)


def _mimic_truths(scene: Scene) -> tuple[MimicTruth, ...]:
    truths = []
    for mimic in scene.mimics:
        x, y, z = mimic.vertebra.frame.to_lps(mimic.spot.centre)
        centre = (float(x), float(y), float(z))
        truths.append(MimicTruth(kind=str(mimic.kind), level=mimic.vertebra.level, centre_mm=centre))
    return tuple(truths)
