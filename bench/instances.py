"""Synthetic MR instances: the header of an ordinary spine scan, noise for pixels. Same seed, same bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.dsutils import encode

SEED = 1
_SLICE_MM = 4.4
_FRAME_OF_REFERENCE = "2.25.14000000000000000"
_TWELVE_BITS = 4096


@dataclass(frozen=True, slots=True)
class InstanceSize:
    """Rows and columns of an image of 16-bit pixels."""

    name: str
    edge: int

    @property
    def pixel_bytes(self) -> int:
        return 2 * self.edge * self.edge


BIG = InstanceSize("0.53 MB", 512)
SMALL = InstanceSize("0.13 MB", 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What tells one instance from another. Each kind has one length, so that one can take another's place."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    patient_id: str

    @staticmethod
    def numbered(run: int, association: int, number: int, *, series_length: int = 24) -> "Identifiers":
        """Of the `number`-th instance of an association: a patient per association, series of `series_length`."""

        def uid(kind: int, last: int) -> str:
            return f"2.25.1{kind}{run:06d}{association:03d}{last:06d}"

        return Identifiers(
            study_instance_uid=uid(1, 0),
            series_instance_uid=uid(2, number // series_length),
            sop_instance_uid=uid(3, number),
            patient_id=f"BENCH{run:06d}{association:03d}",
        )


def mr_image(identifiers: Identifiers, size: InstanceSize, *, number: int, rng: np.random.Generator) -> Dataset:
    """One sagittal slice, explicit VR little endian, with file meta information."""
    image = Dataset()
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = identifiers.sop_instance_uid
    image.StudyInstanceUID = identifiers.study_instance_uid
    image.SeriesInstanceUID = identifiers.series_instance_uid
    image.PatientID = identifiers.patient_id
    image.PatientName, image.PatientBirthDate, image.PatientSex = "Bench^Phantom", "19600101", "O"
    image.FrameOfReferenceUID = _FRAME_OF_REFERENCE
    _describe_scan(image)
    image.InstanceNumber = number + 1
    image.ImagePositionPatient = [number * _SLICE_MM, -140, 140]
    image.SliceLocation = number * _SLICE_MM
    image.Rows = image.Columns = size.edge
    image.PixelSpacing = [280 / size.edge, 280 / size.edge]
    image.PixelData = rng.integers(0, _TWELVE_BITS, (size.edge, size.edge), dtype="<u2").tobytes()
    image["PixelData"].VR = "OW"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return image


def _describe_scan(image: Dataset) -> None:
    image.SpecificCharacterSet = "ISO_IR 100"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20260102"
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "101112.000000"
    image.AccessionNumber, image.StudyID, image.SeriesNumber = "BENCH", "1", 3
    image.Modality, image.Manufacturer, image.ManufacturerModelName = "MR", "Bench", "Noise 1.5T"
    image.StudyDescription, image.SeriesDescription = "MR lumbar spine", "t2_tse_sag"
    image.BodyPartExamined, image.PatientPosition, image.ProtocolName = "LSPINE", "HFS", "t2_tse_sag"
    image.ScanningSequence, image.SequenceVariant, image.ScanOptions, image.MRAcquisitionType = "SE", "SK", "PFP", "2D"
    image.SliceThickness, image.SpacingBetweenSlices = 4, _SLICE_MM
    image.RepetitionTime, image.EchoTime, image.NumberOfAverages = 3500, 98, 2
    image.ImagingFrequency, image.ImagedNucleus, image.EchoNumbers, image.MagneticFieldStrength = 63.6, "1H", 1, 1.5
    image.EchoTrainLength, image.PercentSampling, image.PixelBandwidth, image.FlipAngle = 17, 80, 191, 150
    image.SAR, image.InPlanePhaseEncodingDirection = 1.2, "COL"
    image.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.SmallestImagePixelValue, image.LargestImagePixelValue = 0, _TWELVE_BITS - 1
    image.WindowCenter, image.WindowWidth = 1000, 2000


def data_set_bytes(image: Dataset) -> bytes:
    """The data set as it goes over the network: explicit VR little endian, without file meta information."""
    encoded = encode(image, is_implicit_vr=False, is_little_endian=True)
    assert encoded is not None
    return encoded


def write_files(folder: Path, size: InstanceSize, count: int) -> list[Path]:
    """`count` files of one patient, in the order of their series."""
    rng = np.random.default_rng(SEED)
    paths = []
    for number in range(count):
        path = folder / f"{number:05d}.dcm"
        image = mr_image(Identifiers.numbered(0, 0, number), size, number=number, rng=rng)
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
