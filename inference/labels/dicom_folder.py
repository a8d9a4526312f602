"""Finds the DICOM files of a folder and reads what they say of themselves: heads as the node reads them, and whose.

Names and birth dates are read here alone, to find patients that are mixed or twice; they are never shown.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.dicom_attributes import AttributeSource
from inference.heads import DAMAGED, InstanceHead, is_disk_error, parse_head
from inference.labels.faults import Fault, FaultCode, PatientKey, Place

_PREAMBLE: Final = 128  # bytes before the mark of a Part 10 file (PS3.10 7.1)
_MARK: Final = b"DICM"
_DICOM_SUFFIXES: Final = frozenset({".dcm", ".dicom", ".ima"})  # a file of such a name should be one
_DIRECTORY: Final = "1.2.840.10008.1.3.10"  # DICOMDIR: an index of other files

Progress = Callable[[str, int, int], None]  # what is done, how many of it, of how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who an image says it is of. Kept apart from what is shown."""

    name: str = field(default="", repr=False)  # VR PN, verbatim
    birth_date: str = field(default="", repr=False)
    identity_removed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInstance:
    """One readable DICOM file."""

    head: InstanceHead
    file: str  # relative to the folder, with "/"
    patient: PatientKey
    person: Person
    series_number: int | None
    frame_of_reference_uid: str

    @property
    def place(self) -> Place:
        return Place(
            file=self.file,
            series_number=self.series_number,
            series_instance_uid=self.head.series_instance_uid,
            sop_instance_uid=self.head.sop_instance_uid,
        )


@dataclass(frozen=True, slots=True)
class DicomFolder:
    folder: Path
    instances: tuple[FoundInstance, ...]  # by file name
    other_files: tuple[Path, ...]  # absolute, what is not DICOM
    faults: tuple[Fault, ...]


def read_dicom_folder(folder: Path, progress: Progress) -> DicomFolder:
    """Heads of all DICOM files below `folder`, whatever their names; no pixels are read. Only regular files are opened.

    Raises
    ------
    OSError
        a file or folder cannot be read.
    """
    files = list(_files(folder))
    instances: list[FoundInstance] = []
    others: list[Path] = []
    faults: list[Fault] = []
    for number, path in enumerate(files, start=1):
        relative = path.relative_to(folder).as_posix()
        if not path.is_file():  # to open a FIFO would be to wait for ever
            faults.append(_unreadable(relative, "it is a link that leads nowhere, or no regular file"))
        elif not _is_part10(path):
            others.append(path)
            if path.suffix.lower() in _DICOM_SUFFIXES:
                faults.append(_unreadable(relative, "its name says DICOM, its content does not"))
        elif (found := _read(path, relative)) is not None:
            (faults if isinstance(found, Fault) else instances).append(found)  # type: ignore[arg-type]  # either list
        progress("reading headers", number, len(files))
    return DicomFolder(folder, tuple(instances), tuple(others), tuple(faults))


def _files(folder: Path) -> Iterator[Path]:
    """All files below, by name; hidden ones are passed over, links to folders are not followed."""

    def refuse(error: OSError) -> None:
        raise error

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _is_part10(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_PREAMBLE)
        return file.read(len(_MARK)) == _MARK


def _read(path: Path, relative: str) -> FoundInstance | Fault | None:
    try:
        dataset = dcmread(path, stop_before_pixels=True)
        if dataset.file_meta.get("MediaStorageSOPClassUID") == _DIRECTORY:
            return None
        return _found(dataset, path, relative)
    except DAMAGED as error:
        if is_disk_error(error):
            raise
        return _unreadable(relative, f"no readable DICOM object ({type(error).__name__})")


def _found(dataset: Dataset, path: Path, relative: str) -> FoundInstance | Fault:
    head = parse_head(dataset, path)
    if head.unreadable is not None:
        return _unreadable(relative, head.unreadable)
    source = AttributeSource((dataset,))
    return FoundInstance(
        head=head,
        file=relative,
        patient=PatientKey(source.text("PatientID"), source.text("IssuerOfPatientID")),
        person=Person(
            name=source.text("PatientName"),
            birth_date=source.text("PatientBirthDate"),
            identity_removed=source.code("PatientIdentityRemoved") == "YES",
        ),
        series_number=source.integer("SeriesNumber"),
        frame_of_reference_uid=source.uid("FrameOfReferenceUID"),
    )


def _unreadable(relative: str, why: str) -> Fault:
    return Fault(code=FaultCode.FILE_UNREADABLE, what=f"The file cannot be read: {why}.", place=Place(file=relative))
