"""A labelled folder as a whole: reads it, checks it, and says what of it can be a data set."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.errors import LabelsError
from inference.labels.annotation import ImageKey
from inference.labels.annotation_files import ANNOTATION_CLASSES, read_annotations
from inference.labels.box_faults import PlacedBox, place_boxes
from inference.labels.dicom_folder import FoundInstance, Progress, read_dicom_folder
from inference.labels.faults import Fault, FaultCode, PatientKey, Place, Severity
from inference.labels.identity_faults import identity_faults
from inference.labels.image_faults import PixelMemory
from inference.labels.image_index import ImageIndex
from inference.labels.pathology import PATHOLOGY_FILE, Pathology, read_pathology, rows_of
from inference.labels.patient_check import CheckedPatient, NoRow, PatientMaterial, check_patient

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
        errors = (fault for fault in self.faults if fault.severity is Severity.ERROR)
        return frozenset(patient for fault in errors for patient in fault.patients)

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
    materials = _materials(images, place_boxes(annotations.boxes, index), pathology)
    memory = PixelMemory()
    patients: list[CheckedPatient] = []
    faults = [*found.faults, *annotations.faults, *(pathology.faults if pathology else ())]
    for number, material in enumerate(materials, start=1):
        patient, its_faults = check_patient(material, memory)
        patients.append(patient)
        faults += its_faults
        progress("checking patients", number, len(materials))
    faults += memory.repeats()
    faults += identity_faults({one.key: one.instances for one in materials}, memory.shared())
    faults += _rows_without_images(pathology, materials)
    return CheckedFolder(folder, tuple(patients), tuple(sorted(faults, key=_order)))


def _is_image(instance: FoundInstance) -> bool:
    return instance.head.rows > 0 and instance.head.sop_class_uid not in ANNOTATION_CLASSES


def _materials(
    images: Sequence[FoundInstance],
    boxes: Mapping[ImageKey, Sequence[PlacedBox]],
    pathology: Pathology | None,
) -> list[PatientMaterial]:
    instances: dict[PatientKey, list[FoundInstance]] = defaultdict(list)
    for image in images:
        instances[image.patient].append(image)
    by_patient: dict[PatientKey, dict[ImageKey, Sequence[PlacedBox]]] = defaultdict(dict)
    for key, placed in boxes.items():
        if placed:
            by_patient[placed[0].instance.patient][key] = placed
    rows = rows_of(pathology, instances) if pathology else {}
    return [
        PatientMaterial(
            key=key,
            instances=tuple(instances[key]),
            boxes=by_patient[key],
            row=rows.get(key),
            no_row=_why_no_row(key, pathology),
        )
        for key in sorted(instances, key=lambda key: (key.patient_id, key.issuer))
    ]


def _why_no_row(patient: PatientKey, pathology: Pathology | None) -> NoRow:
    if pathology is None:
        return NoRow.NO_FILE
    if any(faulty.patient_id == patient.patient_id for faulty in pathology.faulty):
        return NoRow.FAULTY
    named = any(row.patient == PatientKey(patient.patient_id) for row in pathology.rows)
    return NoRow.AMBIGUOUS if named else NoRow.MISSING


def _rows_without_images(pathology: Pathology | None, materials: Sequence[PatientMaterial]) -> Iterator[Fault]:
    there = {one.key.patient_id for one in materials}
    used = {one.row.line for one in materials if one.row is not None}
    for row in pathology.rows if pathology else ():
        if row.line not in used:
            other_issuer = row.patient.patient_id in there
            said = "There are no images of the patient" + (" from this issuer." if other_issuer else ".")
            place = Place(file=PATHOLOGY_FILE, line=row.line)
            yield Fault(code=FaultCode.PATHOLOGY_WITHOUT_IMAGES, what=said, place=place, patients=(row.patient,))


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
