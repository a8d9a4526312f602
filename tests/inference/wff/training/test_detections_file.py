import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from inference.datasets import LabelledPatient, open_data_set
from inference.errors import TrainingError
from inference.wff.model import WffModel
from inference.wff.patients import DetectedPatient, detect_all
from inference.wff.training.detections_file import load_detections, save_detections


@pytest.fixture
def patients(cohort: Path) -> list[LabelledPatient]:
    return open_data_set(cohort)[:3]


@pytest.fixture
def detected(patients: list[LabelledPatient], micro_model: WffModel) -> list[DetectedPatient]:
    return detect_all(micro_model, patients)


def test_detections_come_back_to_the_last_bit(
    patients: list[LabelledPatient], detected: list[DetectedPatient], tmp_path: Path
) -> None:
    assert any(boxes for one in detected for slices in one.found for boxes in slices)

    save_detections(detected, tmp_path / "found.json")

    assert load_detections(tmp_path / "found.json", patients) == detected


def test_a_score_that_was_changed_is_never_used(
    patients: list[LabelledPatient], detected: list[DetectedPatient], tmp_path: Path
) -> None:
    """It would choose tau."""
    save_detections(detected, tmp_path / "found.json")
    score = str(next(box.score for one in detected for slices in one.found for boxes in slices for box in boxes))
    text = (tmp_path / "found.json").read_text()
    (tmp_path / "found.json").write_text(text.replace(score, "0.5", 1))

    with pytest.raises(TrainingError, match=r"found\.json is damaged.*does not fit its sha256.*delete it"):
        load_detections(tmp_path / "found.json", patients)


def test_a_file_of_before_the_hash_is_read_and_the_log_says_so(
    patients: list[LabelledPatient], detected: list[DetectedPatient], tmp_path: Path
) -> None:
    save_detections(detected, tmp_path / "new.json")
    (tmp_path / "old.json").write_text(json.dumps(json.loads((tmp_path / "new.json").read_text())["detections"]))

    with capture_logs() as logs:
        found = load_detections(tmp_path / "old.json", patients)

    assert found == detected
    assert [(one["event"], one["file"]) for one in logs] == [("detections_without_hash", str(tmp_path / "old.json"))]


@pytest.mark.parametrize("content", ["{}", "[]", "7", '{"sha256": "0"}', '{"sha256": "0", "detections": {}}', "{", "["])
def test_a_file_without_a_patient_is_damaged(patients: list[LabelledPatient], tmp_path: Path, content: str) -> None:
    (tmp_path / "found.json").write_text(content)

    with pytest.raises(TrainingError, match=r"found\.json is damaged.*delete it"):
        load_detections(tmp_path / "found.json", patients)
