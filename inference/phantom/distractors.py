"""Series that a real study also holds and that the pipeline must leave out: an axial T2 and a three-plane localizer."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import SequenceKind
from inference.phantom.grid import SliceGrid
from inference.phantom.painting.scene_painting import paint_scene
from inference.phantom.patient import PhantomPatient
from inference.phantom.scanner.acquisition import acquire
from inference.phantom.scanner.planning import Stack as Planned
from inference.phantom.scanner.planning import plane_grid
from inference.phantom.subject import draw_subject
from inference.phantom.tissue import Sequence

_DISTRACTOR_STREAM: Final = 5
_AXIAL_SLICES: Final = 5
_AXIAL_FOV_MM: Final = 180.0
_AXIAL_STEP_MM: Final = 5.0
_LOCALIZER_MATRIX: Final = 128
_LOCALIZER_FOV_MM: Final = 300.0
_LOCALIZER_STEP_MM: Final = 10.0

LEFT: Final = np.array([1.0, 0.0, 0.0])
BACK: Final = np.array([0.0, 1.0, 0.0])
FEET: Final = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Stack:
    """Parallel images of one series."""

    pixels: NDArray[np.uint16]  # (Z, Y, X)
    grid: SliceGrid
    sequence: Sequence
    step_mm: float


def axial_t2(patient: PhantomPatient) -> Stack:
    """A few axial T2 slices through the middle of the field of view."""
    sequence = Sequence(kind=SequenceKind.T2, tr_ms=3600.0, te_ms=102.0)
    shape = (_AXIAL_SLICES, patient.config.matrix, patient.config.matrix)
    return _image(
        patient,
        sequence,
        (LEFT, BACK),
        Planned(shape=shape, fov_mm=_AXIAL_FOV_MM, step_mm=_AXIAL_STEP_MM, thickness_mm=_AXIAL_STEP_MM),
    )


def localizer(patient: PhantomPatient) -> tuple[Stack, Stack, Stack]:
    """Sagittal, coronal and axial, one image each, fast and coarse."""
    sequence = Sequence(kind=SequenceKind.T1, tr_ms=120.0, te_ms=5.0)
    shape = (1, _LOCALIZER_MATRIX, _LOCALIZER_MATRIX)
    planned = Planned(
        shape=shape,
        fov_mm=patient.config.fov_mm or _LOCALIZER_FOV_MM,
        step_mm=_LOCALIZER_STEP_MM,
        thickness_mm=_LOCALIZER_STEP_MM,
    )
    sagittal, coronal, axial = (
        _image(patient, sequence, plane, planned) for plane in ((BACK, FEET), (LEFT, FEET), (LEFT, BACK))
    )
    return sagittal, coronal, axial


def _image(
    patient: PhantomPatient,
    sequence: Sequence,
    plane: tuple[NDArray[np.float64], NDArray[np.float64]],
    planned: Planned,
) -> Stack:
    subject = draw_subject(patient.index, seed=patient.seed, config=patient.config)
    rng = np.random.default_rng((patient.seed, patient.index, _DISTRACTOR_STREAM))
    grid = plane_grid(row=plane[0], column=plane[1], centre_mm=np.zeros(3), stack=planned)
    signal, _ = paint_scene(subject.scene, grid, sequence)
    pixels = acquire(rng, signal, grid, subject.site, sequence.kind)
    return Stack(pixels=pixels, grid=grid, sequence=sequence, step_mm=planned.step_mm)
