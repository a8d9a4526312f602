"""What the record of a bundle says of having seen patients: in its training, or in a calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.data_part import HELD_OUT, TRAINING

Known = frozenset[str]  # hashes of the images of one patient


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBefore:
    told: str  # one sentence; "" where the record says nothing
    is_possible: bool  # some or all of the patients


def seen_before(
    metadata: Mapping[str, Any], data_sha256: str, splits_sha256: str, part: str, patients: Sequence[Known] = ()
) -> SeenBefore:
    """Of patients of this data set; `part` and the hash of its split are "" for all of them.

    `patients` are known whatever data set they are in: each has been seen when the record names any of his hashes. The
    records of older bundles name whole data sets only.
    """
    training = metadata.get("training")
    record: Mapping[str, Any] = training if isinstance(training, dict) else {}
    same_split = bool(part) and record.get("split_sha256") == splits_sha256
    same_data = record.get("data_sha256") == data_sha256
    if same_split and same_data and part != HELD_OUT:
        return _seen(_trained_on(len(patients), len(patients)))
    if trained := _among(patients, _named(record, TRAINING)):
        return _seen(_trained_on(trained, len(patients)))
    if calibrated := _calibrated_on(metadata, data_sha256, patients):
        return _seen(calibrated)
    held_out = _among(patients, _named(record, HELD_OUT))
    if same_split and same_data:
        return _held_out("these patients", "names the same split")
    if 0 < held_out == len(patients):
        return _held_out("these patients", "names them")
    if same_split:
        return _seen(
            "The bundle was trained with this split of another data set: its names may mean other patients here."
        )
    if same_data:
        return _seen(
            "The bundle was trained on patients of this very data set: without its split file these may be among them."
        )
    if held_out:
        return _held_out(_share(held_out, len(patients)), "does not name the others")
    return SeenBefore(told="", is_possible=False)


def _seen(told: str) -> SeenBefore:
    return SeenBefore(told=told, is_possible=True)


def _held_out(who: str, record: str) -> SeenBefore:
    return SeenBefore(told=f"The training of the bundle held {who} out: its record {record}.", is_possible=False)


def _trained_on(count: int, patients: int) -> str:
    seen = "nothing here is of patients unseen by it" if count == patients else "not all here are unseen by it"
    return f"The bundle was trained on {_share(count, patients)}: {seen}."


def _calibrated_on(metadata: Mapping[str, Any], data_sha256: str, patients: Sequence[Known]) -> str:
    """A sentence on the last calibration that had some of the patients, or may have had; "" where none had."""
    for record in _calibrations(metadata):
        if named := record.get("images_sha256"):
            if count := _among(patients, named):
                return f"The bundle was calibrated on {_share(count, len(patients))}."
        elif record.get("data_sha256") == data_sha256:
            return "The bundle was calibrated on patients of this very data set: these may be among them."
    return ""


def _calibrations(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records of all calibrations, the last one first."""
    calibrations: list[Mapping[str, Any]] = []
    record: object = metadata
    while isinstance(record, Mapping):
        calibration = record.get("calibration")
        if isinstance(calibration, Mapping):
            calibrations.append(calibration)
        record = record.get("parent")
    return calibrations


def _named(training: Mapping[str, Any], part: str) -> object:
    named = training.get("images_sha256")
    return named.get(part) if isinstance(named, Mapping) else None


def _among(patients: Sequence[Known], named: object) -> int:
    """How many of the patients a record names."""
    known = set(map(str, named)) if isinstance(named, list) else set()
    return sum(not known.isdisjoint(one) for one in patients)


def _share(count: int, patients: int) -> str:
    return "these patients" if count == patients else f"{count} of these {patients} patients"
