"""Who is trained on and who is evaluated: parts of a data set by patient, stratified by class, saved and hashed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from inference.datasets import LabelledPatient, require_disjoint, split_hash
from inference.durable_files import write_json
from inference.errors import SettingsError
from inference.findings import Verdict

SPLITS: Final = "splits.json"
_HELD_OUT: Final = "held_out"
_FOLDS: Final = "folds"
_SHA256: Final = "sha256"
_DATA: Final = "data_sha256"
_FEWEST_FOLDS: Final = 2


@dataclass(frozen=True, slots=True)
class Splits:
    """Each patient of the data set is in one part: held out, or one of the folds."""

    held_out: tuple[LabelledPatient, ...]
    folds: tuple[tuple[LabelledPatient, ...], ...]
    sha256: str  # over the identifiers of each part

    @property
    def training(self) -> list[LabelledPatient]:
        """All that is not held out: what the final fit learns from."""
        return [patient for fold in self.folds for patient in fold]

    def without(self, fold: int) -> list[LabelledPatient]:
        """The training patients outside a fold."""
        return [patient for number, part in enumerate(self.folds) if number != fold for patient in part]


def draw_splits(patients: Sequence[LabelledPatient], *, folds: int, held_out: float, seed: int) -> Splits:
    """Each class, and the lesion-free patients, spread evenly. Raises SettingsError when a class is too small."""
    left_out, parts = _dealt(patients, folds=folds, held_out=held_out, seed=seed)
    return _checked({_HELD_OUT: left_out, **_by_name(parts)}, patients, "the drawn splits")


def split_by_site(
    patients: Sequence[LabelledPatient], *, folds: int, held_out_sites: Sequence[str], seed: int
) -> Splits:
    """All patients of these sites are held out; the others are spread evenly. Raises SettingsError."""
    known = {patient.site for patient in patients}
    if strangers := sorted(set(held_out_sites) - known):
        raise SettingsError(
            f"cross_validation.held_out_sites names {strangers[0]!r}; the sites of the data set are "
            f"{', '.join(sorted(known - {''})) or 'not stated'}"
        )
    held_out = [patient for patient in patients if patient.site in held_out_sites]
    others = [patient for patient in patients if patient.site not in held_out_sites]
    _, parts = _dealt(others, folds=folds, held_out=0.0, seed=seed)
    return _checked({_HELD_OUT: held_out, **_by_name(parts)}, patients, "the split by site")


def _dealt(
    patients: Sequence[LabelledPatient], *, folds: int, held_out: float, seed: int
) -> tuple[list[LabelledPatient], list[list[LabelledPatient]]]:
    """The held-out part, empty with a share of 0, and the folds."""
    rng = np.random.default_rng(seed)
    left_out: list[LabelledPatient] = []
    parts: list[list[LabelledPatient]] = [[] for _ in range(folds)]
    dealt = 0
    for verdict in (Verdict.BENIGN, Verdict.MALIGNANT, None):
        same = sorted((p for p in patients if p.verdict is verdict), key=lambda p: p.patient_id)
        if verdict is not None and len(same) < folds + 1:
            raise SettingsError(
                f"{len(same)} {verdict} patients are too few for {folds} folds and a held-out part; "
                "lower cross_validation.folds or bring more patients"
            )
        shuffled = [same[int(place)] for place in rng.permutation(len(same))]
        count = round(held_out * len(same))
        if verdict and held_out:
            count = min(max(1, count), len(same) - folds)
        left_out += shuffled[:count]
        for patient in shuffled[count:]:
            parts[dealt % folds].append(patient)
            dealt += 1
    return left_out, parts


def read_splits(file: Path, patients: Sequence[LabelledPatient], *, data_sha256: str) -> Splits:
    """`data_sha256` is of the data set of these patients; a file that was written by hand need not name it.

    Raises SettingsError when the file is damaged, is of another data set, or does not name each patient once.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        held_out, folds = data[_HELD_OUT], data[_FOLDS]
        named = {_HELD_OUT: _texts(held_out), **_by_name([_texts(fold) for fold in folds])}
        made_for = str(data.get(_DATA, data_sha256))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SettingsError(
            f'{file} is no split file ({error!r}); expected {{"held_out": [patients], "folds": [[patients], ...]}}'
        ) from error
    if made_for != data_sha256:  # patients are numbered anew in each data set: the same name is somebody else
        raise SettingsError(
            f"{file} parts another data set (sha256 {made_for[:16]}, not {data_sha256[:16]}), whose names may mean "
            f"other patients; take the data set that it was made for. Where you know that each name means the same "
            f"patient in both, take the line {_DATA} out"
        )
    known = {patient.patient_id: patient for patient in patients}
    strangers = [one for part in named.values() for one in part if one not in known]
    if strangers:
        raise SettingsError(f"{file} names {strangers[0]!r}, who is not in the data set ({len(strangers)} such names)")
    splits = _checked({name: [known[one] for one in part] for name, part in named.items()}, patients, str(file))
    if data.get(_SHA256, splits.sha256) != splits.sha256:
        raise SettingsError(f"{file} was changed: its patients do not fit its sha256; take the line {_SHA256} out")
    return splits


def _texts(values: Iterable[Any]) -> list[Any]:
    """Raises TypeError where there is anything else."""
    texts = list(values)
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("a patient is no text")
    return texts


def save_splits(splits: Splits, file: Path, *, data_sha256: str) -> None:
    write_json(file, splits_as_json(splits, data_sha256=data_sha256))


def splits_as_json(splits: Splits, *, data_sha256: str) -> dict[str, Any]:
    return {
        _HELD_OUT: [patient.patient_id for patient in splits.held_out],
        _FOLDS: [[patient.patient_id for patient in fold] for fold in splits.folds],
        _SHA256: splits.sha256,
        _DATA: data_sha256,
    }


def _by_name(parts: Sequence[list[Any]]) -> dict[str, list[Any]]:
    return {f"fold-{number}": part for number, part in enumerate(parts, 1)}


def _checked(named: Mapping[str, list[LabelledPatient]], patients: Sequence[LabelledPatient], where: str) -> Splits:
    try:
        require_disjoint(named)
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from error
    missing = {p.patient_id for p in patients} - {p.patient_id for part in named.values() for p in part}
    if missing:
        raise SettingsError(f"{where}: patient {min(missing)} is in no part ({len(missing)} such patients)")
    held_out, *folds = (tuple(part) for part in named.values())
    if len(folds) < _FEWEST_FOLDS:
        raise SettingsError(f"{where}: {len(folds)} folds, expected at least {_FEWEST_FOLDS}")
    splits = Splits(held_out, tuple(folds), split_hash(named))
    _require_classes(splits, where)
    return splits


def _require_classes(splits: Splits, where: str) -> None:
    """Both classes are held out, and both, with labelled boxes, are in what each fold trains on."""
    for verdict in Verdict:
        if all(patient.verdict is not verdict for patient in splits.held_out):
            raise SettingsError(f"{where}: the held-out part has no {verdict} patient; it needs both classes")
        for number in range(len(splits.folds)):
            if not any(_has_boxes(p) for p in splits.without(number) if p.verdict is verdict):
                raise SettingsError(
                    f"{where}: no {verdict} patient with labelled boxes is outside fold {number + 1}; "
                    "training needs both classes"
                )


def _has_boxes(patient: LabelledPatient) -> bool:
    return any(series.labelled_slices for series in patient.series)
