"""The patients of a data set by their identifiers."""

from collections.abc import Sequence
from pathlib import Path

from inference.datasets import LabelledPatient, open_data_set


def patients_of(data: Path, identifiers: Sequence[str]) -> list[LabelledPatient]:
    """In the order of the identifiers. Raises KeyError when one is not in the data set."""
    known = {patient.patient_id: patient for patient in open_data_set(data)}
    return [known[identifier] for identifier in identifiers]
