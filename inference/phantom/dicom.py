"""Phantom patients as DICOM: MR Image Storage, one file per slice, the same bytes every time.

Source: PS3.3 A.4 (MR Image IOD) and C.8.3.1 (MR Image Module).
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from inference.findings import SequenceKind
from inference.phantom.distractors import Stack, axial_t2, localizer
from inference.phantom.patient import (
    PhantomPatient,
    PhantomSeries,
    central_window,
    plane_orientation,
    plane_positions,
)
from inference.phantom.tissue import FatSuppression

# Names the phantom inside UUIDv5; drawn once, any fixed value would do.
_NAMESPACE: Final = uuid.UUID("5f0c2c1e-7a53-5b0e-9b36-0d7c9a3f6e11")
MANUFACTURER: Final = "PHANTOM"
_IMPLEMENTATION_NAME: Final = "SPINENODE_PHANT"
_STUDY_DATE: Final = "20240101"  # no clock: reruns must give the same bytes
_FIELD_STRENGTH_T: Final = 1.5
_ECHO_TRAIN: Final = 15
_TEXT: Final = {SequenceKind.T1: "T1 SE SAG", SequenceKind.T2: "T2 FSE SAG", SequenceKind.T2FS: "T2 FSE FS SAG"}


@dataclass(frozen=True, eq=False, kw_only=True)
class _Stack:
    """What the tags of one stack of parallel images need."""

    number: int
    description: str
    image_flavour: str  # third value of ImageType
    pixels: NDArray[np.uint16]
    orientation: tuple[float, float, float, float, float, float]
    positions_mm: NDArray[np.float64]
    pixel_spacing_mm: tuple[float, float]
    thickness_mm: float
    spacing_mm: float
    tr_ms: float
    te_ms: float
    ti_ms: float | None
    scan_options: str
    window: tuple[float, float]
    turbo: bool


def write_study(patient: PhantomPatient, folder: Path, *, distractors: bool = False) -> tuple[Path, ...]:
    """Write every image of the patient as a Part 10 file under `folder`; returns the files in order.

    With `distractors`, an axial T2 series and a three-plane localizer are added that no pipeline should use.
    Same patient, same bytes. Raises OSError when the folder cannot be written.
    """
    stacks = [_from_series(number, series) for number, series in enumerate(patient.series, start=1)]
    if distractors:
        stacks.append(_from_distractor(4, "T2 FSE AX", axial_t2(patient), "OTHER"))
        stacks += [_from_distractor(5, "3-PLANE LOC", stack, "LOCALIZER") for stack in localizer(patient)]
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for instance, dataset in _numbered(patient, stacks):
        path = folder / f"series{dataset.SeriesNumber:02d}-{instance:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return tuple(written)


def phantom_uid(patient: PhantomPatient, *names: object) -> str:
    """A UID under 2.25 from a UUIDv5 of the patient and `names` (PS3.5 B.2)."""
    config = patient.config
    parts = (patient.seed, patient.index, config, *names)
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(repr, parts))).int}"


def _numbered(patient: PhantomPatient, stacks: list[_Stack]) -> Iterator[tuple[int, Dataset]]:
    counts: dict[int, int] = {}
    for stack in stacks:
        for position in range(stack.pixels.shape[0]):
            counts[stack.number] = counts.get(stack.number, 0) + 1
            yield counts[stack.number], _instance(patient, stack, position, counts[stack.number])


def _from_series(number: int, series: PhantomSeries) -> _Stack:
    stir = series.fat_suppression is FatSuppression.STIR
    return _Stack(
        number=number,
        description="STIR SAG" if stir else _TEXT[series.kind],
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
        scan_options="FS" if series.fat_suppression is FatSuppression.SATURATION else "",
        window=series.window,
        turbo=series.kind is not SequenceKind.T1,
    )


def _from_distractor(number: int, description: str, stack: Stack, flavour: str) -> _Stack:
    pixel = float(np.linalg.norm(stack.grid.affine_lps[:3, 2]))
    return _Stack(
        number=number,
        description=description,
        image_flavour=flavour,
        pixels=stack.pixels,
        orientation=plane_orientation(stack.grid),
        positions_mm=plane_positions(stack.grid),
        pixel_spacing_mm=(pixel, pixel),
        thickness_mm=stack.step_mm,
        spacing_mm=stack.step_mm,
        tr_ms=stack.sequence.tr_ms,
        te_ms=stack.sequence.te_ms,
        ti_ms=None,
        scan_options="",
        window=central_window(stack.pixels),
        turbo=stack.sequence.turbo,
    )


def _instance(patient: PhantomPatient, stack: _Stack, position: int, instance: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = _file_meta(phantom_uid(patient, stack.number, instance))
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    _add_patient_and_study(dataset, patient)
    _add_series(dataset, patient, stack)
    _add_acquisition(dataset, stack)
    _add_plane(dataset, stack, position)
    dataset.InstanceNumber = instance
    _add_pixels(dataset, stack, position)
    return dataset


def _file_meta(sop_instance_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(f"2.25.{_NAMESPACE.int}")
    meta.ImplementationVersionName = _IMPLEMENTATION_NAME
    return meta


def _add_patient_and_study(dataset: Dataset, patient: PhantomPatient) -> None:
    dataset.PatientName = f"Phantom^{patient.index:06d}"
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = patient.sex
    dataset.PatientAge = f"{patient.age_years:03d}Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "SYNTHETIC PHANTOM"
    dataset.QualityControlSubject = "YES"
    dataset.StudyInstanceUID = phantom_uid(patient, "study")
    dataset.StudyDate = _STUDY_DATE
    dataset.StudyTime = "120000"
    dataset.StudyID = f"{patient.index % 10**10}"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "SYNTHETIC PHANTOM SPINE"


def _add_series(dataset: Dataset, patient: PhantomPatient, stack: _Stack) -> None:
    dataset.Modality = "MR"
    dataset.SeriesInstanceUID = phantom_uid(patient, "series", stack.number)
    dataset.SeriesNumber = stack.number
    dataset.SeriesDescription = stack.description
    dataset.SeriesDate = _STUDY_DATE
    dataset.SeriesTime = f"12{stack.number:02d}00"
    dataset.BodyPartExamined = patient.body_part
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = phantom_uid(patient, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = "SPINE PHANTOM"
    dataset.QualityControlImage = "YES"
    dataset.BurnedInAnnotation = "NO"


def _add_acquisition(dataset: Dataset, stack: _Stack) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY", stack.image_flavour]
    dataset.DerivationDescription = "Computed from a geometric model; no patient, no scanner"
    dataset.ContentDate = _STUDY_DATE
    dataset.ContentTime = f"12{stack.number:02d}00"
    dataset.AcquisitionNumber = 1
    dataset.ScanningSequence = ["SE", "IR"] if stack.ti_ms is not None else "SE"
    dataset.SequenceVariant = "SK" if stack.turbo else "NONE"
    dataset.ScanOptions = stack.scan_options
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime = stack.tr_ms
    dataset.EchoTime = stack.te_ms
    if stack.ti_ms is not None:  # Type 2C: not allowed without an inversion pulse
        dataset.InversionTime = stack.ti_ms
    dataset.EchoTrainLength = _ECHO_TRAIN if stack.turbo else 1
    dataset.MagneticFieldStrength = _FIELD_STRENGTH_T


def _add_plane(dataset: Dataset, stack: _Stack, position: int) -> None:
    dataset.PixelSpacing = [_decimal(value) for value in stack.pixel_spacing_mm]
    dataset.SliceThickness = _decimal(stack.thickness_mm)
    dataset.SpacingBetweenSlices = _decimal(stack.spacing_mm)
    dataset.ImageOrientationPatient = [_decimal(value) for value in stack.orientation]
    dataset.ImagePositionPatient = [_decimal(float(value)) for value in stack.positions_mm[position]]


def _add_pixels(dataset: Dataset, stack: _Stack, position: int) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stack.pixels.shape[1:]
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = stack.window
    dataset.PixelData = stack.pixels[position].astype("<u2").tobytes()


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2, DS); ten decimals of a cosine are plenty."""
    text = f"{value:.10f}"[:16].rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
