"""What a data set is, as facts for the run folder and the model card: its hash, its origin, who is in it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from inference.datasets import INDEX, LabelledPatient, LabelledSeries
from inference.errors import LabelsError
from inference.findings import Verdict
from inference.phantom.origin import is_painted_data, is_phantom_data

_KNOWN_BY: Final = 16  # hexadecimal digits of a hash that tell one series from another
_LESION_FREE: Final = "lesion-free"
_UNKNOWN: Final = "not stated"
_OLDEST: Final = 90  # years; from there on an exact age can name a person (HIPAA Privacy Rule, 45 CFR 164.514(b)(2))


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    sha256: str  # over the index and every file of a series
    is_phantom: bool  # the phantom has a part in it
    is_painted: bool = False  # the phantom made all of it
    known_series: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by patient_id: a hash of each series
    known_whole: Mapping[str, str] = field(default_factory=dict)  # by patient_id: one of all series, as older records

    @property
    def patients(self) -> str:
        """Who they are, in words."""
        if self.is_painted:
            return "synthetic phantom patients (no clinical meaning)"
        if self.is_phantom:
            return "patients, those of a synthetic phantom among them (no clinical meaning)"
        return "patients"

    def images_of(self, patients: Iterable[LabelledPatient]) -> list[str]:
        """Hashes, sorted, one per series, for a record by which these patients are known again in other data sets."""
        return sorted(sha256 for one in patients for sha256 in self.known_series.get(one.patient_id, ()))

    def known_by(self, patients: Iterable[LabelledPatient]) -> list[frozenset[str]]:
        """Each patient who has images: the hashes of which a record, also one of before, names at least one."""
        ids = [one.patient_id for one in patients if one.patient_id in self.known_series]
        return [frozenset((*self.known_series[one], self.known_whole[one])) for one in ids]


def data_facts(folder: Path, patients: Sequence[LabelledPatient]) -> DataFacts:
    """Reads every file of the data set once.

    Raises LabelsError when two patients have the same series, OSError naming a file that cannot be read.
    """
    files = [folder / INDEX, *sorted({series.file for patient in patients for series in patient.series})]
    hashes = {file: file_sha256(file) for file in files}
    telling = {one.patient_id: [series.file for series in one.series if _tells_patients(series)] for one in patients}
    _require_distinct_patients(telling, hashes)
    return DataFacts(
        sha256=_sha256_of(f"{file.name} {hashes[file]}" for file in files),
        is_phantom=is_phantom_data(folder),
        is_painted=is_painted_data(folder),
        known_series={who: tuple(hashes[file][:_KNOWN_BY] for file in has) for who, has in telling.items() if has},
        known_whole={
            one.patient_id: _sha256_of(sorted(hashes[series.file] for series in one.series))[:_KNOWN_BY]
            for one in patients
        },
    )


def _tells_patients(series: LabelledSeries) -> bool:
    """Images of one gray value (air) are alike in everybody."""
    return any(image.min() != image.max() for image in series.images())


def _require_distinct_patients(files: Mapping[str, Sequence[Path]], hashes: Mapping[Path, str]) -> None:
    """Else somebody could be trained on under one name and held out under the other."""
    owners: dict[str, tuple[str, Path]] = {}
    for patient, has in files.items():
        for file in has:
            other, first = owners.setdefault(hashes[file], (patient, file))
            if other != patient:
                raise LabelsError(
                    f"patients {other} and {patient} have the same images ({first.name} and {file.name}): they are one "
                    "person, or a series went to the wrong one; mend that and make the data set again"
                )


def _sha256_of(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def file_sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cohort_rows(patients: Sequence[LabelledPatient]) -> list[tuple[str, str]]:
    """Name and value of what can be counted, for people."""
    series = [one for patient in patients for one in patient.series]
    return [
        ("patients", str(len(patients))),
        ("classes", _counts((patient.verdict or _LESION_FREE) for patient in patients)),
        ("ages", ages_of(patients)),
        ("regions of lesions", _counts(region for patient in patients for region in patient.regions)),
        ("sites", _counts(patient.site or _UNKNOWN for patient in patients)),
        ("types of lesions", _counts(p.lesion_type or _UNKNOWN for p in patients if p.verdict is not None)),
        ("series", _counts(one.kind for one in series)),
        ("slices", f"{sum(len(one.boxes) for one in series)}, labelled {sum(len(s.labelled_slices) for s in series)}"),
        ("labelled boxes", str(sum(len(boxes) for one in series for boxes in one.boxes))),
    ]


def ages_of(patients: Sequence[LabelledPatient]) -> str:
    """Range and median in completed years; nobody's exact age from 90 on."""
    ages = [patient.age_years for patient in patients if patient.age_years is not None]
    if not ages:
        return "unknown for all"
    unknown = len(patients) - len(ages)
    text = f"{_range(min(ages), max(ages))}, median {_age(median(ages))}"
    return f"{text}; unknown for {unknown}" if unknown else text


def _range(youngest: float, oldest: float) -> str:
    if youngest >= _OLDEST:
        return f"all {_age(youngest)}"
    return (
        f"{_age(youngest)} years to {_age(oldest)}"
        if oldest >= _OLDEST
        else f"{_age(youngest)} to {_age(oldest)} years"
    )


def _age(years: float) -> str:
    return f"{_OLDEST} and older" if years >= _OLDEST else f"{int(years)}"


def sites_of(patients: Sequence[LabelledPatient]) -> set[str]:
    """Empty where nobody named one."""
    return {patient.site for patient in patients if patient.site}


def class_counts(patients: Sequence[LabelledPatient]) -> dict[str, int]:
    """Benign, malignant, lesion-free."""
    counts = Counter(patient.verdict for patient in patients)
    return {**{verdict.value: counts[verdict] for verdict in Verdict}, _LESION_FREE: counts[None]}


def _counts(values: Iterable[Any]) -> str:
    """Each value with how often it occurs, the most frequent first."""
    counted = Counter(map(str, values))
    return ", ".join(f"{name} {count}" for name, count in counted.most_common()) or _UNKNOWN
