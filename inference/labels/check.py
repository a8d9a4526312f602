"""A labelled folder as a whole: reads it, checks it, and says what of it can be a data set."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from inference.errors import LabelsError
from inference.labels.annotation import ImageKey
from inference.labels.annotation_files import ANNOTATION_CLASSES, read_annotations
from inference.labels.box_faults import PlacedBox, place_boxes
from inference.labels.dicom_folder import FoundInstance, Progress, read_dicom_folder
from inference.labels.faults import Fault, FaultCode, PatientKey, Severity, those_meant
from inference.labels.identity_faults import identity_faults
from inference.labels.image_faults import PixelMemory
from inference.labels.image_index import ImageIndex
from inference.labels.pathology import read_pathology
from inference.labels.pathology_rows import MatchedRows, match_rows
from inference.labels.patient_check import CheckedPatient, PatientMaterial, check_patient

_SEVERITIES: Final = tuple(Severity)
_CODES: Final = tuple(FaultCode)


@dataclass(frozen=True, slots=True)
class CheckedFolder:
    folder: Path
    patients: tuple[CheckedPatient, ...]  # all, faulty ones too, by PatientID
    faults: tuple[Fault, ...]  # errors first

    @property
    def faulty(self) -> frozenset[PatientKey]:
        """Patients that an error forbids to use."""
        return frozenset(patient for fault in self._errors for patient in fault.patients)

    @property
    def errors_of_nobody(self) -> tuple[Fault, ...]:
        """Errors that concern no patient with images, as far as anybody knows."""
        known = {patient.key for patient in self.patients}
        return tuple(fault for fault in self._errors if known.isdisjoint(fault.patients))

    @property
    def _errors(self) -> Sequence[Fault]:
        return [fault for fault in self.faults if fault.severity is Severity.ERROR]

    @property
    def counts(self) -> dict[Severity, int]:
        found = Counter(fault.severity for fault in self.faults)
        return {severity: found[severity] for severity in Severity}


def check_folder(folder: Path, progress: Progress) -> CheckedFolder:
    """Every fault of a folder of DICOM files, annotations and pathology.csv; pixels of one series at a time.

    Raises
    ------
    LabelsError
        there is no DICOM image in the folder, or pathology.csv is no table.
    OSError
        a file cannot be read.
    """
    if not folder.is_dir():
        raise LabelsError(f"{folder} is no folder: name the one that holds the DICOM files")
    found = read_dicom_folder(folder, progress)
    images = [one for one in found.instances if _is_image(one)]
    if not images:
        raise LabelsError(f"{folder} holds no DICOM image: name the folder that does")
    index = ImageIndex(images)
    annotations = read_annotations(found, index, progress)
    pathology = read_pathology(folder)
    keys = dict.fromkeys(sorted({one.patient for one in images}, key=lambda key: (key.patient_id, key.issuer)))
    rows = match_rows(pathology, keys)
    materials = _materials(images, place_boxes(annotations.boxes, index), rows, keys)
    memory = PixelMemory()
    patients: list[CheckedPatient] = []
    faults = [*found.faults, *rows.faults]
    faults += _of_patients((*annotations.faults, *(pathology.faults if pathology else ())), keys)
    for number, material in enumerate(materials, start=1):
        patient, its_faults = check_patient(material, memory)
        patients.append(patient)
        faults += its_faults
        progress("checking patients", number, len(materials))
    faults += memory.repeats()
    faults += identity_faults({one.key: one.instances for one in materials}, memory.shared())
    return CheckedFolder(folder, tuple(patients), tuple(sorted(faults, key=_order)))


def _is_image(instance: FoundInstance) -> bool:
    return instance.head.rows > 0 and instance.head.sop_class_uid not in ANNOTATION_CLASSES


def _materials(
    images: Sequence[FoundInstance],
    boxes: Mapping[ImageKey, Sequence[PlacedBox]],
    rows: MatchedRows,
    keys: Iterable[PatientKey],
) -> list[PatientMaterial]:
    instances: dict[PatientKey, list[FoundInstance]] = defaultdict(list)
    for image in images:
        instances[image.patient].append(image)
    by_patient: dict[PatientKey, dict[ImageKey, Sequence[PlacedBox]]] = defaultdict(dict)
    for key, placed in boxes.items():
        if placed:
            by_patient[placed[0].instance.patient][key] = placed
    return [
        PatientMaterial(
            key=key,
            instances=tuple(instances[key]),
            boxes=by_patient[key],
            row=rows.rows.get(key),
            no_row=rows.no_row.get(key),
        )
        for key in keys
    ]


def _of_patients(faults: Iterable[Fault], patients: Collection[PatientKey]) -> list[Fault]:
    """With the patients as their images name them: a row or a report may leave the issuer out."""
    return [
        replace(
            fault,
            patients=tuple(
                dict.fromkeys(one for key in fault.patients for one in those_meant(key, patients) or (key,))
            ),
        )
        for fault in faults
    ]


def _order(fault: Fault) -> tuple[int, int, str, str, int, int]:
    place = fault.place
    who = " ".join(map(str, fault.patients))
    return (
        _SEVERITIES.index(fault.severity),
        _CODES.index(fault.code),
        who,
        place.file,
        place.slice or place.frame or place.line or 0,
        place.series_number or 0,
    )
