"""From a DICOM file to a typed head: everything that selection needs, and no pixels.

This is the only place where selection touches DICOM attributes: classic MR, Enhanced MR, and the classic
images that carry functional groups besides (seen from Hitachi) all come out in the same shape.
"""

import math
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from inference.dicom_attributes import FUNCTIONAL_GROUPS, UNCONVERTIBLE, AttributeSource, flattened_groups, items

Vector = tuple[float, float, float]

MR_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4.1"
LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4.4"
MULTI_FRAME_MR: Final = frozenset({ENHANCED_MR_IMAGE_STORAGE, LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE})

_NO_AGENT: Final = frozenset({"", "OFF", "NO", "NONE", "N"})  # Hitachi writes "off" into ContrastBolusAgent

MAXIMUM_FRAMES: Final = 10_000  # the largest multi-frame MR seen (functional series) have some 5000; guards the parser

# What pydicom raises on files that are damaged (found by fuzzing and by the public collections of broken files).
# OSError is among them, but see `is_disk_error`.
DAMAGED: Final = (
    *UNCONVERTIBLE,
    InvalidDicomError,
    OSError,
    EOFError,
    RecursionError,
    MemoryError,
    struct.error,
    zlib.error,
)

_WORD_FIELDS: Final = (
    "BodyPartExamined",
    "ProtocolName",
    "StudyDescription",
    "SeriesDescription",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "ReceiveCoilName",
)
_CODE_FIELDS: Final = ("AnatomicRegionSequence", "ProcedureCodeSequence", "RequestedProcedureCodeSequence")
_UIDS: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
# No name, no PatientID, no address: what is not read can be neither logged nor reported.
_READ: Final = (
    *_UIDS,
    "Modality",
    "ImageType",
    "StudyDate",
    "PatientAge",
    "PatientBirthDate",
    "InstanceNumber",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "SliceThickness",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "SequenceName",
    "PulseSequenceName",
    "AcquisitionContrast",
    "EchoPulseSequence",
    "EchoPlanarPulseSequence",
    "SpectrallySelectedSuppression",
    "Spoiling",
    "DiffusionBValue",
    "ContrastBolusAgent",
    "RequestAttributesSequence",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    *FUNCTIONAL_GROUPS,
    *_WORD_FIELDS,
    *_CODE_FIELDS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How an image was weighted. Times in ms; None or empty where the object does not say."""

    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    scanning_sequence: tuple[str, ...] = ()  # PS3.3 C.8.3.1.1.1: SE IR GR EP RM
    sequence_variant: tuple[str, ...] = ()  # PS3.3 C.8.3.1.1.2: SK MTC SS TRSS SP MP OSP
    scan_options: tuple[str, ...] = ()  # PS3.3 C.8.3.1.1.3: FS is fat saturation, SP spatial presaturation
    sequence_name: str = ""
    contrast: str = ""  # AcquisitionContrast of Enhanced MR: T1, T2, DIFFUSION ...
    b_value: float | None = None
    image_type: tuple[str, ...] = ()
    contrast_agent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHead:
    """One image: a single-frame instance, or one frame. mm, LPS; None where absent or not numbers."""

    frame_number: int | None
    position_mm: Vector | None
    orientation: tuple[float, ...] | None  # 6 direction cosines: along a row, then along a column
    pixel_spacing_mm: tuple[float, float] | None  # between rows, between columns (PS3.3 10.7.1.3)
    slice_thickness_mm: float | None
    window: tuple[float, float] | None  # centre, width, the first of several; None unless linear and usable
    temporal_position: int | None
    acquisition_number: int | None
    acquisition: Acquisition


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHead:
    """What one file says about itself, without pixels and without the patient's name or number.

    `unreadable` says why a file could not be parsed; all else may then be empty.
    """

    file: Path
    unreadable: str | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    series_instance_uid: str = ""
    study_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    study_date: str = ""
    patient_age: str = ""
    patient_birth_date: str = field(default="", repr=False)  # for the age alone; never logged
    instance_number: int | None = None
    rows: int = 0
    columns: int = 0
    samples_per_pixel: int = 1
    photometric_interpretation: str = ""
    bits_allocated: int = 0
    bits_stored: int = 0
    words: tuple[tuple[str, str], ...] = ()  # (attribute, text) that may name a body part
    frames: tuple[FrameHead, ...] = ()


def read_head(path: Path) -> InstanceHead:
    """Reads one DICOM Part 10 file up to its pixels.

    A damaged file gives a head with `unreadable` set; it never raises for the content of a file.

    Raises
    ------
    OSError
        the file cannot be opened or read; a retry may help.
    """
    try:
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(_READ))
        return parse_head(dataset, path)
    except DAMAGED as error:
        if is_disk_error(error):
            raise
        return InstanceHead(file=path, unreadable=f"no readable DICOM object ({type(error).__name__})")


def is_disk_error(error: BaseException) -> bool:
    """True for an error of the operating system, which a retry may mend; pydicom raises OSError without a number."""
    return isinstance(error, OSError) and error.errno is not None


def parse_head(dataset: Dataset, path: Path) -> InstanceHead:
    """The head of a data set that was read already; `path` is where its pixels will be read from."""
    source = AttributeSource((dataset,))
    frames, fault = _frames_or_fault(dataset)
    head = InstanceHead(
        file=path,
        sop_class_uid=source.uid("SOPClassUID"),
        sop_instance_uid=source.uid("SOPInstanceUID"),
        series_instance_uid=source.uid("SeriesInstanceUID"),
        study_instance_uid=source.uid("StudyInstanceUID"),
        transfer_syntax_uid=AttributeSource((getattr(dataset, "file_meta", Dataset()),)).uid("TransferSyntaxUID"),
        modality=source.code("Modality"),
        image_type=source.codes("ImageType"),
        study_date=source.text("StudyDate"),
        patient_age=source.text("PatientAge"),
        patient_birth_date=source.text("PatientBirthDate"),
        instance_number=source.integer("InstanceNumber"),
        rows=source.integer("Rows") or 0,
        columns=source.integer("Columns") or 0,
        samples_per_pixel=source.integer("SamplesPerPixel") or 1,
        photometric_interpretation=source.code("PhotometricInterpretation"),
        bits_allocated=source.integer("BitsAllocated") or 0,
        bits_stored=source.integer("BitsStored") or 0,
        words=tuple(_words(dataset)),
        frames=frames,
    )
    # A file cut inside a sequence is read as an empty data set, with no more than a warning; a flipped bit in a
    # length makes a UID of the bytes that follow, which may be the patient's
    missing = [name for name, uid in zip(_UIDS, _uids(head), strict=True) if not uid]
    if missing:
        return replace(head, unreadable=f"no usable {', '.join(missing)}: damaged, empty or cut short")
    return replace(head, unreadable=fault) if fault else head


def _uids(head: InstanceHead) -> tuple[str, ...]:
    return head.sop_class_uid, head.sop_instance_uid, head.series_instance_uid, head.study_instance_uid


def _frames_or_fault(dataset: Dataset) -> tuple[tuple[FrameHead, ...], str | None]:
    try:
        return _frames(dataset), None
    except DAMAGED as error:
        return (), f"damaged functional groups ({type(error).__name__})"


def _frames(dataset: Dataset) -> tuple[FrameHead, ...]:
    source = AttributeSource((dataset,))
    if not source.integer("Rows"):
        return ()
    shared = flattened_groups(items(dataset, "SharedFunctionalGroupsSequence")[:1])
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    count = source.integer("NumberOfFrames") or 1
    if source.text("SOPClassUID") not in MULTI_FRAME_MR and count == 1:
        # Classic image. Its own attributes come first; functional groups that some scanners add only fill gaps.
        return (_frame(AttributeSource((dataset, *flattened_groups(per_frame[:1]), *shared)), None),)
    if len(per_frame) != count or count > MAXIMUM_FRAMES:
        raise ValueError(f"NumberOfFrames {count}, but {len(per_frame)} per-frame functional groups")
    return tuple(
        _frame(AttributeSource((*flattened_groups([item]), *shared, dataset)), number)
        for number, item in enumerate(per_frame, start=1)
    )


def _frame(source: AttributeSource, frame_number: int | None) -> FrameHead:
    position = source.numbers("ImagePositionPatient", 3)
    spacing = source.numbers("PixelSpacing", 2)
    return FrameHead(
        frame_number=frame_number,
        position_mm=(position[0], position[1], position[2]) if position else None,
        orientation=source.numbers("ImageOrientationPatient", 6),
        pixel_spacing_mm=(spacing[0], spacing[1]) if spacing else None,
        slice_thickness_mm=source.number("SliceThickness"),
        window=_window(source),
        temporal_position=source.integer("TemporalPositionIndex", "TemporalPositionIdentifier"),
        acquisition_number=source.integer("FrameAcquisitionNumber", "AcquisitionNumber"),
        acquisition=_acquisition(source),
    )


def _window(source: AttributeSource) -> tuple[float, float] | None:
    """The first of several, which are alternatives: it is what a viewer shows first (PS3.3 C.11.2.1.2)."""
    centres, widths = source.all_numbers("WindowCenter"), source.all_numbers("WindowWidth")
    linear = source.code("VOILUTFunction") in ("", "LINEAR", "LINEAR_EXACT")
    if not centres or len(centres) != len(widths) or not linear:
        return None
    centre, width = centres[0], widths[0]
    return (centre, width) if math.isfinite(centre) and 1 <= width < math.inf else None


def _acquisition(source: AttributeSource) -> Acquisition:
    scanning = set(source.codes("ScanningSequence"))
    options = set(source.codes("ScanOptions"))
    variant = set(source.codes("SequenceVariant"))
    # Enhanced MR spells the same facts in attributes of their own (PS3.3 C.8.13.4, C.8.13.5)
    echo = source.code("EchoPulseSequence")
    scanning |= {code for code, names in (("SE", ("SPIN", "BOTH")), ("GR", ("GRADIENT", "BOTH"))) if echo in names}
    scanning |= {"EP"} if source.code("EchoPlanarPulseSequence") == "YES" else set()
    scanning |= {"IR"} if source.code("InversionRecovery") == "YES" else set()
    options |= {"FS"} if source.code("SpectrallySelectedSuppression") in ("FAT", "FAT_AND_WATER") else set()
    variant |= {"SP"} if source.code("Spoiling") in ("RF", "GRADIENT", "RF_AND_GRADIENT") else set()
    return Acquisition(
        repetition_time_ms=source.number("RepetitionTime"),
        echo_time_ms=source.number("EffectiveEchoTime", "EchoTime"),
        inversion_time_ms=source.number("InversionTimes", "InversionTime"),
        scanning_sequence=tuple(sorted(scanning)),
        sequence_variant=tuple(sorted(variant)),
        scan_options=tuple(sorted(options)),
        sequence_name=source.text("SequenceName") or source.text("PulseSequenceName"),
        contrast=source.code("AcquisitionContrast"),
        b_value=source.number("DiffusionBValue"),
        image_type=source.codes("FrameType") or source.codes("ImageType"),
        contrast_agent=source.text("ContrastBolusAgent").upper() not in _NO_AGENT,
    )


def _words(dataset: Dataset) -> Iterable[tuple[str, str]]:
    groups = [items(dataset, f"{which}FunctionalGroupsSequence")[:1] for which in ("Shared", "PerFrame")]
    shared = [group for one in groups for group in flattened_groups(one)]
    requests = items(dataset, "RequestAttributesSequence")
    source = AttributeSource((dataset, *requests, *shared))
    for keyword in _WORD_FIELDS:
        if text := source.text(keyword):
            yield keyword, text
    for keyword in _CODE_FIELDS:
        for container in (dataset, *requests, *shared):
            for code in items(container, keyword):
                if text := AttributeSource((code,)).text("CodeMeaning"):
                    yield keyword, text
