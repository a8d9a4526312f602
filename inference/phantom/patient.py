"""One phantom patient: configuration in, images and truth out, as a pure function."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import Box, SequenceKind, Verdict
from inference.phantom import law
from inference.phantom.acquisition import SiteStyle, acquire, draw_sequences, draw_style, sagittal_grid
from inference.phantom.boxes import boxes_per_slice
from inference.phantom.grid import SliceGrid
from inference.phantom.law import LesionTruth, PhantomTruth, Sign
from inference.phantom.painting import paint_scene
from inference.phantom.scene import Scene, draw_scene
from inference.phantom.tissue import FatSuppression, Sequence

# Each purpose has random numbers of its own, so that a change of one leaves the others as they were.
_LAW_STREAM: Final = 1
_SCENE_STREAM: Final = 2
_SCANNER_STREAM: Final = 3
_SITE_STREAM: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomConfig:
    """What a set of phantom patients has in common."""

    matrix: int = 256  # rows = columns
    difficulty: float = 1.0  # 1: signs as tabled, 0: signs say nothing
    minimum_slices: int = 11
    maximum_slices: int = 15
    lesion_free_fraction: float = 0.2
    fov_mm: float = 300.0
    site_style: int | None = None  # a number: every patient from that one scanner; None: each from another

    def __post_init__(self) -> None:
        if self.matrix < 64 or self.fov_mm < 200.0:
            raise ValueError(f"matrix {self.matrix}, fov_mm {self.fov_mm}: need at least 64 and 200 to show a spine")
        if not 1 <= self.minimum_slices <= self.maximum_slices:
            raise ValueError(f"slices {self.minimum_slices}..{self.maximum_slices}: need 1 <= minimum <= maximum")
        if not 0.0 <= self.lesion_free_fraction <= 1.0:
            raise ValueError(f"lesion_free_fraction is {self.lesion_free_fraction}, need 0..1")


@dataclass(frozen=True, eq=False, kw_only=True)
class PhantomSeries:
    """One sagittal series. Arrays are (Z, Y, X), slices sorted along the normal row x column; mm are LPS."""

    kind: SequenceKind
    pixels: NDArray[np.uint16]  # (Z, Y, X)
    affine_lps: NDArray[np.float64]  # (4, 4), voxel (k, j, i, 1) -> mm of the voxel's centre
    orientation: tuple[float, float, float, float, float, float]  # ImageOrientationPatient
    positions_mm: NDArray[np.float64]  # (Z, 3), ImagePositionPatient
    pixel_spacing_mm: tuple[float, float]  # (row spacing, column spacing)
    slice_thickness_mm: float
    spacing_mm: float  # between slice centres
    tr_ms: float
    te_ms: float
    ti_ms: float | None
    fat_suppression: FatSuppression
    boxes: tuple[tuple[Box, ...], ...]  # per slice, in the order of the lesions of the truth
    window: tuple[float, float]  # (centre, width)


@dataclass(frozen=True, eq=False, kw_only=True)
class PhantomPatient:
    index: int
    seed: int
    config: PhantomConfig
    age_years: int
    sex: str  # "F" or "M"
    body_part: str  # BodyPartExamined
    truth: PhantomTruth
    series: tuple[PhantomSeries, ...]  # T1, T2, T2FS

    @property
    def patient_id(self) -> str:
        return f"PH-{self.index:06d}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """The patient before any image was taken."""

    age_years: int
    sex: str
    truth: PhantomTruth
    scene: Scene


def generate_patient(index: int, *, seed: int, config: PhantomConfig) -> PhantomPatient:
    """Paint patient `index` of the set `seed`. Same arguments, same bytes, whatever the number of threads.

    Another release of numpy or scipy may round single grey values otherwise.
    """
    subject = draw_subject(index, seed=seed, config=config)
    scanner = np.random.default_rng((seed, index, _SCANNER_STREAM))
    style = site_style(index, seed=seed, config=config)
    slices = int(scanner.integers(config.minimum_slices, config.maximum_slices + 1))
    series = tuple(
        _scan(subject.scene, sequence, style, rng, (slices, config))
        for sequence, rng in zip(draw_sequences(scanner, style), scanner.spawn(3), strict=True)
    )
    return PhantomPatient(
        index=index,
        seed=seed,
        config=config,
        age_years=subject.age_years,
        sex=subject.sex,
        body_part=subject.scene.region,
        truth=subject.truth,
        series=series,
    )


def draw_subject(index: int, *, seed: int, config: PhantomConfig) -> Subject:
    """Age, truth and body of patient `index`; cheap, paints nothing."""
    rng = np.random.default_rng((seed, index, _LAW_STREAM))
    lesion_free = bool(rng.random() < config.lesion_free_fraction)
    sex = "F" if rng.random() < 0.5 else "M"
    sample = law.draw_law(rng, 1, difficulty=config.difficulty)
    signs = {str(sign): bool(sample.signs[0, n]) and not lesion_free for n, sign in enumerate(Sign)}
    scene_rng = np.random.default_rng((seed, index, _SCENE_STREAM))
    scene = draw_scene(scene_rng, None if lesion_free else signs, fov_mm=config.fov_mm)
    log_odds = float(law.sign_log_odds(sample.signs, difficulty=config.difficulty)[0])
    age_log_odds = float(law.age_log_odds(sample.age_years)[0])
    truth = PhantomTruth(
        label=None if lesion_free else (Verdict.MALIGNANT if sample.malignant[0] else Verdict.BENIGN),
        signs=signs,
        log_odds_signs=None if lesion_free else log_odds + law.prevalence_log_odds(),
        log_odds_signs_age=None if lesion_free else log_odds + age_log_odds,
        lesions=_lesion_truths(scene),
    )
    return Subject(age_years=int(sample.age_years[0]), sex=sex, truth=truth, scene=scene)


def site_style(index: int, *, seed: int, config: PhantomConfig) -> SiteStyle:
    """The scanner: of the whole set when `config.site_style` is a number, else of this patient."""
    if config.site_style is not None:
        return draw_style(np.random.default_rng((config.site_style, _SITE_STREAM)))
    return draw_style(np.random.default_rng((seed, index, _SITE_STREAM)))


def _lesion_truths(scene: Scene) -> tuple[LesionTruth, ...]:
    truths = []
    for plan in scene.lesions:
        x, y, z = plan.vertebra.frame.to_lps(plan.core.centre if plan.core is not None else (0.0, 0.0, 0.0))
        centre = (float(x), float(y), float(z))
        truths.append(LesionTruth(level=plan.vertebra.level, centre_mm=centre, diameter_mm=plan.diameter_mm))
    return tuple(truths)


def _scan(
    scene: Scene,
    sequence: Sequence,
    style: SiteStyle,
    rng: np.random.Generator,
    stack: tuple[int, PhantomConfig],
) -> PhantomSeries:
    slices, config = stack
    step = round(style.thickness_mm * (1.0 + style.gap), 2)
    shape = (slices, config.matrix, config.matrix)
    grid = sagittal_grid(rng, shape=shape, fov_mm=config.fov_mm, step_mm=step)
    signal, masks = paint_scene(scene, grid, sequence)
    pixels = acquire(rng, signal, grid, style)
    pixel_mm = config.fov_mm / config.matrix
    return PhantomSeries(
        kind=sequence.kind,
        pixels=pixels,
        affine_lps=grid.affine_lps,
        orientation=plane_orientation(grid),
        positions_mm=plane_positions(grid),
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        slice_thickness_mm=style.thickness_mm,
        spacing_mm=step,
        tr_ms=sequence.tr_ms,
        te_ms=sequence.te_ms,
        ti_ms=sequence.ti_ms,
        fat_suppression=sequence.fat_suppression,
        boxes=boxes_per_slice(masks, slices, matrix=config.matrix),
        window=central_window(pixels),
    )


def plane_orientation(grid: SliceGrid) -> tuple[float, float, float, float, float, float]:
    """ImageOrientationPatient: direction of growing column index, then of growing row index."""
    row, column = (grid.affine_lps[:3, axis] / np.linalg.norm(grid.affine_lps[:3, axis]) for axis in (2, 1))
    values = [float(value) for value in (*row, *column)]
    return values[0], values[1], values[2], values[3], values[4], values[5]


def plane_positions(grid: SliceGrid) -> NDArray[np.float64]:
    """ImagePositionPatient of each slice, (Z, 3): the centre of its first voxel."""
    positions: NDArray[np.float64] = grid.affine_lps[:3, 3] + np.arange(grid.shape[0])[:, None] * grid.affine_lps[:3, 0]
    return positions


def central_window(pixels: NDArray[np.uint16]) -> tuple[float, float]:
    """Window (centre, width) from the central third of the columns: fat near the coil would hide the spine."""
    third = pixels.shape[2] // 3
    low, high = np.percentile(pixels[:, ::2, third : 2 * third : 2], (1.0, 99.6))
    return float(np.rint((low + high) / 2)), float(max(1.0, np.rint(high - low)))
