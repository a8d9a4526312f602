"""Received images of one case, on disk and in the database as the receiver leaves them."""

from collections.abc import Callable
from datetime import datetime
from io import BytesIO

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from config.settings import ReceiverSettings
from node.instance_sink import AnnouncedObject, InstanceSink
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder

PATIENT_NAME = "Musterfrau^Erika"
PATIENT_ID = "PID-4711"


def mr_image(number: int, **changes: object) -> Dataset:
    """A small sagittal MR slice; its UID and place follow from its number."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, f"2.25.1000{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.2000", "2.25.3000"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20261102", "080000", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "", ""
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, PATIENT_ID
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.Modality, dataset.Manufacturer = "MR", "Maker"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [4.0 * number, 0.0, 0.0], [0, 1, 0, 0, 0, -1]
    dataset.PixelSpacing = [1.0, 1.0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = (np.arange(256, dtype=np.uint16) + number).tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return dataset


def take_in(
    database: Database, files: FileStore, *images: Dataset, clock: Callable[[], datetime], caller: str = "SCANNER"
) -> None:
    """Store and record images, as a C-STORE does."""
    recorder = InstanceRecorder(database)
    sink = InstanceSink(files, recorder, clock=clock, settings=ReceiverSettings(minimum_free_bytes=0))
    for image in images:
        buffer = BytesIO()
        write_dataset_to(buffer, image)
        sink.take(
            AnnouncedObject(
                sop_class_uid=str(image.SOPClassUID),
                sop_instance_uid=str(image.SOPInstanceUID),
                transfer_syntax_uid=str(ExplicitVRLittleEndian),
                calling_ae_title=caller,
            ),
            buffer.getvalue(),
        )
    recorder.close()


def write_dataset_to(buffer: BytesIO, image: Dataset) -> None:
    from pydicom.filebase import DicomFileLike

    file = DicomFileLike(buffer)
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, image)
