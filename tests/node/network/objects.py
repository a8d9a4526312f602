"""DICOM objects and files for the tests of the network, and where the shared real ones are."""

from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.dsutils import encode

from node.part10 import file_prefix
from tests.real_data import SHARED_DATA

MR: Final = str(MRImageStorage)
EXPLICIT: Final = str(ExplicitVRLittleEndian)
PATIENT_NAME: Final = "Musterfrau^Erika"
PATIENT_ID: Final = "PID-4711"


def mr_image(number: int = 1, **changes: object) -> Dataset:
    """A small classic MR image; its UID follows from its number. `changes` are set by keyword, None deletes."""
    dataset = Dataset()
    dataset.SOPClassUID = MR
    dataset.SOPInstanceUID = f"2.25.1000{number}"
    dataset.StudyDate = "20260102"
    dataset.Modality = "MR"
    dataset.Manufacturer = "Maker"
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = PATIENT_ID
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "F"
    dataset.StudyInstanceUID = "2.25.2000"
    dataset.SeriesInstanceUID = "2.25.3000"
    dataset.ImagePositionPatient = [float(number), -10.5, 20.0]
    dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = (np.arange(256, dtype=np.uint16) + number % 1000).tobytes()
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def encoded(dataset: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """The data set's bytes in an uncompressed or deflated syntax."""
    syntax = UID(transfer_syntax_uid)
    data_set = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    assert data_set is not None
    return data_set


def dicom_file(
    path: Path,
    data_set: bytes,
    *,
    sop_instance_uid: str,
    sop_class_uid: str = MR,
    transfer_syntax_uid: str = EXPLICIT,
) -> Path:
    """A DICOM file whose file meta information says what the caller wants, whatever the bytes behind it are."""
    path.write_bytes(
        file_prefix(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            source_ae_title="TEST",
        )
        + data_set
    )
    return path


def mr_file(folder: Path, number: int = 1, **changes: object) -> Path:
    dataset = mr_image(number, **changes)
    return dicom_file(folder / f"mr-{number}.dcm", encoded(dataset), sop_instance_uid=f"2.25.1000{number}")


_NO_DICOM: Final = {".gz", ".zip", ".txt", ".tsv", ".md", ""}


def shared_files(*sets: str) -> list[Path]:
    """Every DICOM file of the named sets (all sets when none is named); empty where the data is absent."""
    folders = [SHARED_DATA / name for name in sets] if sets else [SHARED_DATA]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if path.suffix not in _NO_DICOM or path.parent.parent.name == "98892003")


def shared_name(path: Path) -> str:
    return str(path.relative_to(SHARED_DATA))
