"""One phantom patient: configuration in, images and truth out, as a pure function."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import SpineRegion
from inference.findings import Box, SequenceKind
from inference.phantom.boxes import boxes_per_slice
from inference.phantom.grid import SliceGrid
from inference.phantom.identity import pseudonym, set_mark
from inference.phantom.law import PhantomTruth
from inference.phantom.lesions.painting import LesionMask
from inference.phantom.painting.scene_painting import paint_scene
from inference.phantom.scanner.acquisition import Artefact, acquire, draw_artefacts
from inference.phantom.scanner.planning import Pose, Stack, draw_pose, sagittal_grid
from inference.phantom.scanner.sites import SiteStyle, draw_sequences
from inference.phantom.scanner.stations import PLANS, Station
from inference.phantom.subject import PhantomConfig, Subject, draw_subject
from inference.phantom.tissue import FatSuppression, Sequence

__all__ = ["PhantomConfig", "PhantomPatient", "PhantomSeries", "draw_subject", "generate_patient"]

_SCANNER_STREAM: Final = 3
_NECK_THICKNESS_MM: Final = 3.5  # cervical slices are no thicker


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
    station: Station
    body_part: str  # BodyPartExamined of this station
    pose: Pose
    masks: tuple[LesionMask, ...]  # one per lesion of the truth, in this series' voxels
    artefacts: tuple[Artefact, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class PhantomPatient:
    index: int
    seed: int
    config: PhantomConfig
    age_years: int
    sex: str  # "F" or "M"
    body_part: str  # BodyPartExamined of the first station
    truth: PhantomTruth
    series: tuple[PhantomSeries, ...]  # T1, T2, T2FS of the first station, then of the next
    site: str  # e.g. "S03"
    style: SiteStyle  # habits of the site's scanner
    family: str  # of the lesions, e.g. "hemangioma"; empty when lesion-free
    regions: tuple[SpineRegion, ...]  # where the lesions lie; empty when lesion-free

    @property
    def patient_id(self) -> str:
        return pseudonym(self.index, set_mark(self.seed, self.config))


def generate_patient(index: int, *, seed: int, config: PhantomConfig) -> PhantomPatient:
    """Paint patient `index` of the set `seed`. Same arguments, same bytes, whatever the number of threads.

    Another release of numpy or scipy may round single grey values otherwise.
    """
    subject = draw_subject(index, seed=seed, config=config)
    series = take_images(subject, index, seed=seed, config=config)
    return PhantomPatient(
        index=index,
        seed=seed,
        config=config,
        age_years=subject.age_years,
        sex=subject.sex,
        body_part=PLANS[subject.station].body_part,
        truth=subject.truth,
        series=series,
        site=subject.site.name,
        style=subject.site,
        family=subject.truth.family,
        regions=tuple(dict.fromkeys(lesion.region for lesion in subject.truth.lesions)),
    )


def take_images(
    subject: Subject, index: int, *, seed: int, config: PhantomConfig, artefacts: tuple[Artefact, ...] | None = None
) -> tuple[PhantomSeries, ...]:
    """T1, T2 and T2FS of each station. `artefacts` None: each series has those that are drawn for it."""
    series: list[PhantomSeries] = []
    for number, station in enumerate((subject.station, PLANS[subject.station].neighbour)[: config.stations]):
        scanner = np.random.default_rng((seed, index, _SCANNER_STREAM, number))
        stack = _stack(scanner, station, subject.site, config)
        for sequence, rng in zip(draw_sequences(scanner, subject.site), scanner.spawn(3), strict=True):
            series.append(_scan(rng, subject, station, sequence, stack, artefacts))
    return tuple(series)


def _stack(rng: np.random.Generator, station: Station, style: SiteStyle, config: PhantomConfig) -> Stack:
    """Size of the slices of one station: the site's habits within the limits of the set."""
    slices = int(np.clip(style.slices + rng.integers(-1, 2), config.minimum_slices, config.maximum_slices))
    thickness = min(style.thickness_mm, _NECK_THICKNESS_MM) if station is Station.CERVICAL else style.thickness_mm
    usual = float(np.rint(PLANS[station].fov_mm * style.fov_scale / 5.0) * 5.0)
    return Stack(
        shape=(slices, config.matrix, config.matrix),
        fov_mm=usual if config.fov_mm is None else config.fov_mm,
        step_mm=round(thickness * (1.0 + style.gap), 2),
        thickness_mm=thickness,
    )


def _scan(
    rng: np.random.Generator,
    subject: Subject,
    station: Station,
    sequence: Sequence,
    stack: Stack,
    wanted: tuple[Artefact, ...] | None,
) -> PhantomSeries:
    plan, pose = PLANS[station], draw_pose(rng)
    z = subject.scene.spine.height_of(plan.centre_level)
    x, wall = subject.scene.spine.wall_at(z)
    grid = sagittal_grid(np.array([x, wall - plan.before_mm, z]), pose, stack)
    signal, masks = paint_scene(subject.scene, grid, sequence)
    drawn = draw_artefacts(rng)
    artefacts = drawn if wanted is None else wanted
    pixels = acquire(rng, signal, grid, subject.site, sequence.kind, artefacts)
    pixel_mm = stack.fov_mm / stack.shape[2]
    return PhantomSeries(
        kind=sequence.kind,
        pixels=pixels,
        affine_lps=grid.affine_lps,
        orientation=plane_orientation(grid),
        positions_mm=plane_positions(grid),
        pixel_spacing_mm=(pixel_mm, pixel_mm),
        slice_thickness_mm=stack.thickness_mm,
        spacing_mm=stack.step_mm,
        tr_ms=sequence.tr_ms,
        te_ms=sequence.te_ms,
        ti_ms=sequence.ti_ms,
        fat_suppression=sequence.fat_suppression,
        boxes=boxes_per_slice(masks, stack.shape[0], matrix=stack.shape[2]),
        window=central_window(pixels),
        station=station,
        body_part=plan.body_part,
        pose=pose,
        masks=masks,
        artefacts=artefacts,
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


def central_window(pixels: NDArray[np.number]) -> tuple[float, float]:
    """Window (centre, width) from the central third of the columns: fat near the coil would hide the spine."""
    third = pixels.shape[2] // 3
    low, high = np.percentile(pixels[:, ::2, third : 2 * third : 2], (1.0, 99.6))
    return float(np.rint((low + high) / 2)), float(max(1.0, np.rint(high - low)))
