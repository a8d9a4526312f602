"""Do planted lesions survive the way through DICOM? Written as files, read as the node and the import read them."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import Box
from inference.labels.check import check_folder
from inference.labels.patient_check import LabelledStack
from inference.labels.segmentation import boxes_of_mask
from inference.phantom.patient import PhantomSeries, generate_patient
from inference.phantom.sets.make import make_set
from inference.phantom.sets.recipe import SetRecipe
from inference.phantom.truth.segmentation import labelled_masks
from inference.phantom.truth.write import TruthKind
from inference.volume import affine_lps, load_volume
from inference.wff.phantom_verification.cohorts import HELD_OUT, PLAIN, phantom_set
from inference.wff.phantom_verification.scale import Scale
from inference.wff.training.display import Display

_FIRST: Final = 500_000  # number of the first patient: no other part has it
# Each form with the truth that goes beside it.
_FORMS: Final = ((False, TruthKind.LABELME), (True, TruthKind.SR), (False, TruthKind.SEG))
Millimetres = NDArray[np.float64]
Hulls = dict[int, tuple[float, float, float, float]]  # per slice: x0, y0, x1, y1


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """The worst of all patients, series and boxes."""

    boxes: int
    series: int
    lost_slices: int  # with a planted box and none read, or the other way round
    pixels: float  # between corners, along rows or columns
    millimetres: float  # between corners, in space
    grey_values: float  # least correlation of the voxels read with those painted
    body_millimetres: float  # between centres of one lesion in the series of one patient, within the plane


def round_trip(scale: Scale, folder: Path, display: Display, *, processes: int) -> RoundTrip:
    """Paints, writes and reads `scale.travellers` patients in each of three forms. The files are removed again."""
    config = replace(phantom_set(scale, HELD_OUT, 1, PLAIN).config, lesion_free_fraction=0.0)
    update = display.stage("through DICOM and back", len(_FORMS))
    trips: list[_Trip] = []
    for number, (enhanced, truth) in enumerate(_FORMS):
        recipe = SetRecipe(
            first=_FIRST + number * scale.travellers,
            count=scale.travellers,
            seed=scale.seed,
            config=config,
            enhanced=enhanced,
            truth=(truth,),
        )
        files = folder / f"dicom-{number}"
        shutil.rmtree(files, ignore_errors=True)
        make_set(recipe, files, processes=processes)
        trips += _trips(recipe, files)
        shutil.rmtree(files)
        update(number + 1, "")
    return RoundTrip(
        boxes=sum(trip.boxes for trip in trips),
        series=len(trips),
        lost_slices=sum(trip.lost for trip in trips),
        pixels=max(trip.pixels for trip in trips),
        millimetres=max(trip.millimetres for trip in trips),
        grey_values=min(trip.grey_values for trip in trips),
        body_millimetres=max(trip.body_millimetres for trip in trips),
    )


def first_and_last_corner_mm(k: int, hull: tuple[float, float, float, float], affine: Millimetres) -> Millimetres:
    """(2, 3) LPS mm of (x0, y0) and (x1, y1) on slice k; voxel indices lie half a pixel inside the outer corner."""
    x0, y0, x1, y1 = hull
    voxels = np.array([[k, y0 - 0.5, x0 - 0.5, 1.0], [k, y1 - 0.5, x1 - 0.5, 1.0]])
    corners: Millimetres = (voxels @ affine.T)[:, :3]
    return corners


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trip:
    """Of one series."""

    boxes: int
    lost: int
    pixels: float
    millimetres: float
    grey_values: float
    body_millimetres: float


def _trips(recipe: SetRecipe, files: Path) -> Iterator[_Trip]:
    read = {one.key.patient_id: one for one in check_folder(files, _unseen).patients}
    for index in recipe.indices:
        painted = generate_patient(index, seed=recipe.seed, config=recipe.config)
        stacks = {stack.series.kind: stack for stack in read[painted.patient_id].stacks}
        affines = [affine_lps(stacks[series.kind].series.slices) for series in painted.series]
        centres = [_centre(series, affine) for series, affine in zip(painted.series, affines, strict=True)]
        for series, centre in zip(painted.series, centres, strict=True):
            yield _trip(
                series,
                _planted(series, recipe.truth),
                stacks[series.kind],
                float(np.abs(centre - centres[0])[1:].max()),
            )


def _trip(series: PhantomSeries, planted: Hulls, stack: LabelledStack, body_millimetres: float) -> _Trip:
    volume = load_volume(stack.series)
    read = _hulls(stack.boxes)
    both = [(k, planted[k], read[k]) for k in planted.keys() & read.keys()]
    pixels = [np.abs(np.array(one) - np.array(other)).max() for _, one, other in both]
    millimetres = [
        np.linalg.norm(
            first_and_last_corner_mm(k, one, series.affine_lps) - first_and_last_corner_mm(k, other, volume.affine_lps),
            axis=1,
        ).max()
        for k, one, other in both
    ]
    return _Trip(
        boxes=sum(map(len, series.boxes)),
        lost=len(planted.keys() ^ read.keys()),
        pixels=float(max(pixels, default=0.0)),
        millimetres=float(max(millimetres, default=0.0)),
        grey_values=float(np.corrcoef(volume.pixels.ravel(), series.pixels.ravel())[0, 1]),
        body_millimetres=body_millimetres,
    )


def _planted(series: PhantomSeries, truth: Sequence[TruthKind]) -> Hulls:
    """Of the boxes; of the masks where those are what was written: they leave specks out that the boxes hold."""
    if TruthKind.SEG not in truth:
        return _hulls(series.boxes)
    lesions = labelled_masks(series).values()
    return _hulls([[box for mask in lesions for box in boxes_of_mask(mask[k])] for k in range(len(series.pixels))])


def _hulls(boxes: Sequence[Sequence[Box]]) -> Hulls:
    """Per slice the rectangle round all its boxes: a mask in two parts gives two boxes for one that was planted."""
    return {
        k: (min(b.x0 for b in some), min(b.y0 for b in some), max(b.x1 for b in some), max(b.y1 for b in some))
        for k, some in enumerate(boxes)
        if some
    }


def _centre(series: PhantomSeries, affine: Millimetres) -> Millimetres:
    """(3,) LPS mm: middle of the first lesion by the geometry that was read."""
    mask = series.masks[0]
    voxels = np.argwhere(mask.voxels) + np.array([axis.start for axis in mask.index], dtype=np.float64)
    centre: Millimetres = (np.c_[voxels, np.ones(len(voxels))] @ affine.T)[:, :3].mean(axis=0)
    return centre


def _unseen(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
