"""One stack of parallel images with what its tags need, whether it came from a sagittal series or a distractor."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.findings import SequenceKind
from inference.phantom.dicom.wording import Protocol
from inference.phantom.distractors import Stack, axial_t2, localizer
from inference.phantom.patient import (
    PhantomPatient,
    PhantomSeries,
    central_window,
    plane_orientation,
    plane_positions,
)
from inference.phantom.tissue import FatSuppression

Orientation = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageStack:
    """Arrays are (Z, Y, X), slices in spatial order; mm are LPS, times ms."""

    number: int  # SeriesNumber; several stacks may share one (the planes of a localizer)
    series: PhantomSeries | None  # None: a distractor
    protocol: Protocol
    body_part: str  # BodyPartExamined, as it is
    image_flavour: str  # third value of ImageType
    pixels: NDArray[np.uint16]
    orientation: Orientation  # ImageOrientationPatient
    positions_mm: NDArray[np.float64]  # (Z, 3), ImagePositionPatient
    pixel_spacing_mm: tuple[float, float]  # between rows, between columns
    thickness_mm: float
    spacing_mm: float  # between slice centres
    tr_ms: float
    te_ms: float
    ti_ms: float | None
    fat_saturated: bool
    turbo: bool
    window: tuple[float, float]  # centre, width

    @property
    def slices(self) -> int:
        return int(self.pixels.shape[0])


def sagittal_stacks(patient: PhantomPatient, kinds: Collection[SequenceKind]) -> list[ImageStack]:
    """The patient's series of these kinds; each keeps the number that it has among all."""
    numbered = enumerate(patient.series, start=1)
    return [_from_series(number, series) for number, series in numbered if series.kind in kinds]


def distractor_stacks(patient: PhantomPatient) -> list[ImageStack]:
    """An axial T2 series, and a localizer of three planes in one series."""
    number = len(patient.series) + 1
    axial = _from_distractor(number, Protocol.AXIAL_T2, axial_t2(patient), patient.body_part)
    planes = [
        _from_distractor(number + 1, Protocol.LOCALIZER, plane, patient.body_part) for plane in localizer(patient)
    ]
    return [axial, *planes]


def _from_series(number: int, series: PhantomSeries) -> ImageStack:
    return ImageStack(
        number=number,
        series=series,
        protocol=_protocol(series),
        body_part=series.body_part,
        image_flavour="OTHER",
        pixels=series.pixels,
        orientation=series.orientation,
        positions_mm=series.positions_mm,
        pixel_spacing_mm=series.pixel_spacing_mm,
        thickness_mm=series.slice_thickness_mm,
        spacing_mm=series.spacing_mm,
        tr_ms=series.tr_ms,
        te_ms=series.te_ms,
        ti_ms=series.ti_ms,
        fat_saturated=series.fat_suppression is FatSuppression.SATURATION,
        turbo=series.kind is not SequenceKind.T1,
        window=series.window,
    )


def _protocol(series: PhantomSeries) -> Protocol:
    if series.fat_suppression is FatSuppression.STIR:
        return Protocol.STIR
    if series.fat_suppression is FatSuppression.SATURATION:
        return Protocol.T2_FAT_SATURATED
    return Protocol.T1 if series.kind is SequenceKind.T1 else Protocol.T2


def _from_distractor(number: int, protocol: Protocol, stack: Stack, body_part: str) -> ImageStack:
    pixel = float(np.linalg.norm(stack.grid.affine_lps[:3, 2]))
    return ImageStack(
        number=number,
        series=None,
        protocol=protocol,
        body_part=body_part,
        image_flavour="LOCALIZER" if protocol is Protocol.LOCALIZER else "OTHER",
        pixels=stack.pixels,
        orientation=plane_orientation(stack.grid),
        positions_mm=plane_positions(stack.grid),
        pixel_spacing_mm=(pixel, pixel),
        thickness_mm=stack.step_mm,
        spacing_mm=stack.step_mm,
        tr_ms=stack.sequence.tr_ms,
        te_ms=stack.sequence.te_ms,
        ti_ms=None,
        fat_saturated=False,
        turbo=stack.sequence.turbo,
        window=central_window(stack.pixels),
    )
