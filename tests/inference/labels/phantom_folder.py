"""A folder as a hospital has it: DICOM files, LabelMe rectangles beside them, and pathology.csv. Of tiny phantoms."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from inference.findings import Verdict
from inference.labels.labelme import write_labelme
from inference.phantom import PhantomConfig, PhantomPatient, generate_patient, write_study
from inference.phantom.data_set import spine_regions
from inference.phantom.patient import draw_subject

SEED = 31
# The smallest matrix that shows a spine; boxes have 3 pixels and more on it. A fifth of a second for each patient
TINY = PhantomConfig(matrix=64, minimum_slices=6, maximum_slices=7)
BENIGN_MALIGNANT_FREE: tuple[Verdict | None, ...] = (Verdict.BENIGN, Verdict.MALIGNANT, None)


def write_labelled_folder(
    folder: Path,
    patients: Sequence[Verdict | None] = BENIGN_MALIGNANT_FREE,
    *,
    seed: int = SEED,
    config: PhantomConfig = TINY,
    pathology: bool = True,
) -> list[PhantomPatient]:
    """One phantom patient for each wanted verdict (None: lesion-free), in a folder of its own.

    Every patient with a lesion has a box on some slice. With `pathology`, `pathology.csv` lies in the folder.
    """
    written = list(_patients(patients, seed, config))
    for patient in written:
        _write_patient(patient, folder / patient.patient_id)
    if pathology:
        rows = ["patient_id,label,regions,lesion_type", *map(_pathology_row, written)]
        (folder / "pathology.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return written


def _pathology_row(patient: PhantomPatient) -> str:
    regions = ";".join(spine_regions(patient))
    return f"{patient.patient_id},{patient.truth.label or 'none'},{regions},{patient.family}"


def _patients(verdicts: Sequence[Verdict | None], seed: int, config: PhantomConfig) -> Iterator[PhantomPatient]:
    """The first phantoms of the set, in order, whose truth is the wanted one; each is taken once."""
    taken: set[int] = set()
    for verdict in verdicts:
        index = 0
        while True:
            if index not in taken and draw_subject(index, seed=seed, config=config).truth.label is verdict:
                taken.add(index)
                patient = generate_patient(index, seed=seed, config=config)
                if verdict is None or any(boxes for series in patient.series for boxes in series.boxes):
                    yield patient
                    break
            index += 1


def _write_patient(patient: PhantomPatient, folder: Path) -> None:
    images = iter(write_study(patient, folder))
    for series in patient.series:
        for boxes, pixels in zip(series.boxes, series.pixels, strict=True):
            image = next(images)
            if boxes and patient.truth.label is not None:
                rows, columns = pixels.shape
                write_labelme(
                    image.with_suffix(".json"),
                    image.name,
                    boxes,
                    label=patient.truth.label,
                    rows=rows,
                    columns=columns,
                )
