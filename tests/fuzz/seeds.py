"""What mutations begin with: real data sets where they are, and synthetic ones in every transfer syntax we accept."""

import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset, Sequence
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, EnhancedMRImageStorage, MRImageStorage

from node.errors import CannotUnderstand
from node.part10 import read_file_meta
from node.storage_contexts import supported_contexts
from tests.real_data import SHARED_DATA

# The head ends long before; what follows are pixels, whose bytes nobody looks at. Some seeds stay long, because the
# sink reads long heads another way.
_MOST_BYTES: Final = 12_000
_MOST_BYTES_OF_LONG_ONES: Final = 90_000
_LONG_ONE_IN: Final = 25
_FRAMES: Final = 2


@dataclass(frozen=True, slots=True)
class Seed:
    """One data set as a peer would send it."""

    name: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes


def seeds() -> list[Seed]:
    """All seeds, in the same order on every machine with the same shared data."""
    return [*_synthetic(), *_real()]


def _real() -> Iterator[Seed]:
    files = sorted(path for path in SHARED_DATA.rglob("*") if path.is_file()) if SHARED_DATA.is_dir() else []
    for number, path in enumerate(files):
        try:
            meta = read_file_meta(path)
        except CannotUnderstand:  # no DICOM file, or one that no sender could announce
            continue
        limit = _MOST_BYTES_OF_LONG_ONES if number % _LONG_ONE_IN == 0 else _MOST_BYTES
        data_set = path.read_bytes()[meta.data_set_offset :]
        if not UID(meta.transfer_syntax_uid).is_deflated:  # cut, a deflated stream would only be broken
            data_set = data_set[:limit]
        yield Seed(path.name, meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid, data_set)


def _synthetic() -> Iterator[Seed]:
    syntaxes = sorted({str(syntax) for context in supported_contexts() for syntax in context.transfer_syntax or []})
    for syntax in syntaxes:
        for dataset in (_classic(), _enhanced(), _nested()):
            kind = "enhanced" if "PerFrameFunctionalGroupsSequence" in dataset else "classic"
            yield Seed(
                f"{kind} {UID(syntax).name}",
                dataset.SOPClassUID,
                dataset.SOPInstanceUID,
                syntax,
                encoded(dataset, UID(syntax)),
            )


def encoded(dataset: Dataset, syntax: UID) -> bytes:
    """The data set's bytes in a transfer syntax; the frames of a compressed one are no real pictures."""
    dataset = Dataset(dataset)
    if syntax.is_encapsulated:
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"] * _FRAMES)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(buffer, dataset)
    content = buffer.getvalue()
    return deflated(content) if syntax.is_deflated else content


def deflated(content: bytes) -> bytes:
    """Source: PS3.5 A.5, RFC 1951 without a header."""
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(content) + squeeze.flush()


def _classic() -> Dataset:
    dataset = _identified(MRImageStorage, 1)
    dataset.ImagePositionPatient = [1.5, -20.25, 30.0]
    dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    return _with_pixels(dataset)


def _enhanced() -> Dataset:
    dataset = _identified(EnhancedMRImageStorage, 2)
    shared, orientation = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    shared.PlaneOrientationSequence = Sequence([orientation])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for number in range(_FRAMES):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [float(number), 0.0, 0.0]
        frame.PlanePositionSequence = Sequence([position])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.NumberOfFrames = _FRAMES
    return _with_pixels(dataset)


def _nested() -> Dataset:
    """Sequences of both kinds of length before and among the needed elements."""
    dataset = _identified(MRImageStorage, 3)
    innermost = Dataset()
    innermost.ReferencedSOPClassUID, innermost.ReferencedSOPInstanceUID = str(MRImageStorage), "2.25.77"
    for depth in range(4):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([innermost, Dataset()])
        outer["ReferencedImageSequence"].is_undefined_length = depth % 2 == 0
        innermost = outer
    dataset.ReferencedStudySequence = Sequence([innermost])
    dataset.add_new(0x00090010, "LO", "PRIVATE")
    dataset.add_new(0x00091001, "OB", b"\x01\x02\x03\x04")
    return _with_pixels(dataset)


def _identified(sop_class_uid: str, number: int) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = str(sop_class_uid), f"2.25.10{number}"
    dataset.StudyDate, dataset.Modality, dataset.Manufacturer = "20260102", "MR", "Maker"
    dataset.PatientName, dataset.PatientID = "Yamada^Tarou", "ID-1"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.200", "2.25.300"
    return dataset


def _with_pixels(dataset: Dataset) -> Dataset:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.add_new(0x7FE00010, "OW", np.arange(64, dtype=np.uint16).tobytes())
    return dataset
