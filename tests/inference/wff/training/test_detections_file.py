from pathlib import Path

import pytest

from inference.datasets import open_data_set
from inference.errors import TrainingError
from inference.wff.model import WffModel
from inference.wff.patients import detect_all
from inference.wff.training.detections_file import load_detections, save_detections


def test_detections_come_back_to_the_last_bit(cohort: Path, micro_model: WffModel, tmp_path: Path) -> None:
    patients = open_data_set(cohort)[:3]
    detected = detect_all(micro_model, patients)
    assert any(boxes for one in detected for slices in one.found for boxes in slices)

    save_detections(detected, tmp_path / "found.json")

    assert load_detections(tmp_path / "found.json", patients) == detected


def test_a_file_without_a_patient_is_damaged(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text("{}")

    with pytest.raises(TrainingError, match=r"found\.json is damaged.*delete it"):
        load_detections(tmp_path / "found.json", open_data_set(cohort))
