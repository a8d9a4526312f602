"""The patients of a data set that a command works on: all of them, or a part of a split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.checked_data_set import checked_data_set
from inference.data_facts import DataFacts, data_facts
from inference.datasets import LabelledPatient, split_hash
from inference.errors import SettingsError
from inference.splits import Splits, read_splits

HELD_OUT: Final = "held_out"
TRAINING: Final = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPart:
    everybody: tuple[LabelledPatient, ...]
    facts: DataFacts
    patients: tuple[LabelledPatient, ...]
    name: str = ""  # of the part; "" for all patients
    splits_sha256: str = ""

    @property
    def patients_sha256(self) -> str:
        return split_hash({"evaluated": self.patients})


def open_data_part(data: Path, splits: Path | None, name: str) -> DataPart:
    """Without `splits` all patients, whatever the name. Reads every file of the data set once, for its hash.

    Raises
    ------
    LabelsError
        the data set is damaged, or two of its patients have the same images; the message names them and the files.
    SettingsError
        the split file does not fit the data set, or has no such part.
    OSError
        a file cannot be read.
    """
    everybody = tuple(checked_data_set(data))
    facts = data_facts(data, everybody)
    if splits is None:
        return DataPart(everybody=everybody, facts=facts, patients=everybody)
    read = read_splits(splits, everybody, data_sha256=facts.sha256)
    patients = _part(read, name)
    return DataPart(everybody=everybody, facts=facts, patients=patients, name=name, splits_sha256=read.sha256)


def _part(splits: Splits, name: str) -> tuple[LabelledPatient, ...]:
    parts = {HELD_OUT: splits.held_out, TRAINING: tuple(splits.training)}
    parts |= {f"fold-{number}": fold for number, fold in enumerate(splits.folds, 1)}
    if name not in parts:
        raise SettingsError(f"the split file has no part {name!r}; it has {', '.join(parts)}")
    return parts[name]
