"""Small phantom studies, each new to the node: made once, then given other UIDs and another patient."""

import copy
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread, dcmwrite

from inference.phantom import PhantomConfig, generate_patient, write_study

# The smallest one that is a sagittal spine examination: three series of four slices
_CONFIG: Final = PhantomConfig(
    matrix=64, fov_mm=256.0, minimum_slices=4, maximum_slices=4, lesion_free_fraction=0.0, site_style=0
)
_SEED: Final = 11
_UID_ROOT: Final = "2.25"


@dataclass(frozen=True, slots=True)
class Image:
    """One instance to send. `content_sha256` is of the encoded data set, as the node keeps it."""

    sop_instance_uid: str
    study_instance_uid: str
    file: bytes  # DICOM Part 10
    content_sha256: str


class StudyMaker:
    """Makes studies that differ from each other in every identifier."""

    def __init__(self, folder: Path) -> None:
        files = write_study(generate_patient(1, seed=_SEED, config=_CONFIG), folder)
        self._templates = [dcmread(file) for file in files]

    def study(self, name: str) -> list[Image]:
        """The images of one patient's study. The same name gives the same bytes."""
        return [self._image(copy.deepcopy(template), name) for template in self._templates]

    def _image(self, dataset: Dataset, name: str) -> Image:
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, _uid(f"{name} {dataset.get(keyword)}"))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = f"TORTURE-{sha256(name.encode()).hexdigest()[:12]}"
        dataset.PatientBirthDate = "19700101"
        buffer = BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True)
        file = buffer.getvalue()
        return Image(
            sop_instance_uid=str(dataset.SOPInstanceUID),
            study_instance_uid=str(dataset.StudyInstanceUID),
            file=file,
            content_sha256=sha256(data_set_of(file)).hexdigest(),
        )


def _uid(name: str) -> str:
    return f"{_UID_ROOT}.{int(sha256(name.encode()).hexdigest()[:31], 16)}"


def data_set_of(file: bytes) -> bytes:
    """What follows the file meta information (PS3.10 7.1); its group length comes first and is four bytes."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]
