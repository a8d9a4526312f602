"""Names for patients that say nothing, and the key that leads back, in a file of its own."""

import csv
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from inference.labels.faults import PatientKey

KEY_FILE: Final = "patients-key.csv"
_DIGITS: Final = 4  # at least


def pseudonyms(patients: Iterable[PatientKey]) -> dict[PatientKey, str]:
    """ "P0001", "P0002", ... in the order of a hash: the order of the numbers tells nothing of that of the PatientIDs.

    The same patients get the same names, whatever their order; another patient more may change them all.
    """
    keys = sorted(set(patients), key=_hash)
    width = max(_DIGITS, len(str(len(keys))))
    return {key: f"P{number:0{width}d}" for number, key in enumerate(keys, start=1)}


def _hash(patient: PatientKey) -> bytes:
    return hashlib.sha256(f"{patient.patient_id}\0{patient.issuer}".encode()).digest()


def write_key(file: Path, names: Mapping[PatientKey, str]) -> None:
    """For the user alone (mode 0600). Raises FileExistsError: a key is never replaced."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as key:
        writer = csv.writer(key)
        writer.writerow(["pseudonym", "patient_id", "issuer"])
        writer.writerows([name, patient.patient_id, patient.issuer] for patient, name in names.items())
        key.flush()
        os.fsync(key.fileno())
