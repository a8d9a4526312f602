"""What the record of a bundle says of having seen patients: in its training, or in a calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.data_part import HELD_OUT


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBefore:
    told: str  # one sentence; "" where the record says nothing
    is_possible: bool  # some or all of the patients


def seen_before(metadata: Mapping[str, Any], data_sha256: str, splits_sha256: str, part: str) -> SeenBefore:
    """Of patients of this data set; `part` and the hash of its split are "" for all of them."""
    training = metadata.get("training")
    record = training if isinstance(training, dict) else {}
    same_split = bool(part) and record.get("split_sha256") == splits_sha256
    same_data = record.get("data_sha256") == data_sha256
    if same_split and same_data and part != HELD_OUT:
        return _seen("The bundle was trained on these patients: nothing here is of patients unseen by it.")
    if data_sha256 in _calibrated_on(metadata):
        return _seen("The bundle was calibrated on patients of this very data set: these may be among them.")
    if same_split and not same_data:
        return _seen(
            "The bundle was trained with this split of another data set: its names may mean other patients here."
        )
    if same_split:
        told = "The training of the bundle held these patients out: its record names the same split."
        return SeenBefore(told=told, is_possible=False)
    if same_data:
        return _seen(
            "The bundle was trained on patients of this very data set: without its split file these may be among them."
        )
    return SeenBefore(told="", is_possible=False)


def _seen(told: str) -> SeenBefore:
    return SeenBefore(told=told, is_possible=True)


def _calibrated_on(metadata: Mapping[str, Any]) -> list[str]:
    """Hashes of the data sets of all calibrations, the last one first."""
    hashes: list[str] = []
    record: object = metadata
    while isinstance(record, Mapping):
        calibration = record.get("calibration")
        if isinstance(calibration, Mapping):
            hashes.append(str(calibration.get("data_sha256")))
        record = record.get("parent")
    return hashes
