"""From a checked folder to a data set: the images exactly as the node would give them to the networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.datasets import DataSetWriter, LabelledPatient
from inference.errors import LabelsError
from inference.findings import Verdict
from inference.labels.check import CheckedFolder
from inference.labels.dicom_folder import Progress
from inference.labels.faults import PatientKey, Severity
from inference.labels.patient_check import CheckedPatient
from inference.labels.patient_class import UNKNOWN
from inference.labels.pseudonyms import pseudonyms, write_key
from inference.phantom.origin import is_phantom_image, mark_as_phantom
from inference.volume import load_volume, window_to_uint8


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    patients: tuple[LabelledPatient, ...]
    left_out: tuple[PatientKey, ...]  # faulty ones


def write_data_set(
    checked: CheckedFolder, out: Path, *, key_file: Path | None, leave_out_faulty: bool, progress: Progress
) -> Imported:
    """Writes the patients without errors into the new folder `out`, and who is who into `key_file` (None: nowhere).

    One series is in memory at a time. The index is written last: a folder that was left half-way holds none.

    Raises
    ------
    LabelsError
        the folder has errors and `leave_out_faulty` is not set, or errors that concern no patient with images; no
        patient is left; `out` or `key_file` is there already.
    PixelError
        the images were changed after they were checked.
    OSError
        a file cannot be read or written.
    """
    errors = checked.counts[Severity.ERROR]
    if errors and not leave_out_faulty:
        raise LabelsError(
            f"{checked.folder} has {errors} error{'' if errors == 1 else 's'}: mend what `spinenode data check` lists, "
            "or leave the faulty patients out with --leave-out-faulty"
        )
    _require_owners(checked)
    left_out = tuple(one.key for one in checked.patients if one.key in checked.faulty)
    good = [one for one in checked.patients if one.key not in checked.faulty]
    if not good:
        raise LabelsError(f"{checked.folder} has no patient without errors: `spinenode data check` lists them")
    verdicts = {one.key: _known_class(one) for one in good}
    require_room(out, key_file)
    out.mkdir(parents=True, exist_ok=True, mode=0o700)  # images are patient data, whatever their names
    names = pseudonyms(verdicts)
    ordered = sorted(good, key=lambda one: names[one.key])
    patients = _write(ordered, names, verdicts, out, progress)
    if key_file is not None:
        write_key(key_file, names)
    if any(is_phantom_image(stack.series.slices[0].file) for one in ordered for stack in one.stacks):
        mark_as_phantom(out)
    DataSetWriter(out).close(patients)
    return Imported(patients=tuple(patients), left_out=left_out)


def require_room(out: Path, key_file: Path | None) -> None:
    """Raises LabelsError when something would be overwritten, or the key would lie in the data set."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise LabelsError(f"{out} is there already and not empty: name another folder, or remove it")
    if key_file is None:
        return
    if key_file.exists():
        raise LabelsError(f"{key_file} is there already and is never replaced: name another with --key, or move it")
    if key_file.resolve().is_relative_to(out.resolve()):
        raise LabelsError(f"{key_file} would be inside the data set, where everybody reads it: name a place outside")


def _require_owners(checked: CheckedFolder) -> None:
    """Raises LabelsError when an error concerns nobody: leaving out all whom an error concerns would leave it in."""
    if count := len(checked.errors_of_nobody):
        errors = "1 error that concerns" if count == 1 else f"{count} errors that concern"
        raise LabelsError(
            f"{checked.folder} has {errors} no patient with images, so that --leave-out-faulty knows nobody to leave "
            "out: mend what `spinenode data check` lists without a patient, or with one who has no images here"
        )


def _known_class(patient: CheckedPatient) -> Verdict | None:
    """None: lesion-free. Raises LabelsError rather than take unknown for that, should no error have said so."""
    if patient.verdict is UNKNOWN:
        raise LabelsError("the class of a patient without errors is unknown: write all patients into pathology.csv")
    return patient.verdict


def _write(
    patients: Sequence[CheckedPatient],
    names: Mapping[PatientKey, str],
    verdicts: Mapping[PatientKey, Verdict | None],
    out: Path,
    progress: Progress,
) -> list[LabelledPatient]:
    writer = DataSetWriter(out)
    written: list[LabelledPatient] = []
    for patient in patients:
        name = names[patient.key]
        series = [
            writer.add_series(name, number, stack.series.kind, window_to_uint8(load_volume(stack.series)), stack.boxes)
            for number, stack in enumerate(patient.stacks)
        ]
        written.append(
            LabelledPatient(
                patient_id=name,
                age_years=patient.age_years,
                verdict=verdicts[patient.key],
                series=tuple(series),
                regions=patient.regions,
                site=patient.site,
                lesion_type=patient.lesion_type,
            )
        )
        progress("writing patients", len(written), len(patients))
    return written
