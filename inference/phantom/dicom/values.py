"""Values as DICOM spells them."""

from collections.abc import Iterable

from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from inference.phantom.dicom.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_NAME


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2, DS); ten decimals of a cosine are plenty."""
    text = f"{value:.10f}"[:16].rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def decimals(values: Iterable[float]) -> list[str]:
    return [decimal(float(value)) for value in values]


def file_meta(sop_class_uid: str, sop_instance_uid: str, *, implicit_vr: bool) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit_vr else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_NAME
    return meta
