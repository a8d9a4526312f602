from pathlib import Path

import numpy as np
import pytest

from inference.datasets import DataSetWriter, LabelledPatient, open_data_set
from inference.evaluation.metrics import Confusion, Rate
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.evaluation.hits import PatientResult, measure, read_all
from inference.wff.model import WffModel
from inference.wff.patients import DetectedPatient
from inference.wff.reading import DetectedBox
from tests.inference.wff.labelled_detections import detected


def result(truth: Verdict | None, said: Verdict | None, *, hit: bool = True, false_boxes: int = 0) -> PatientResult:
    score = {None: 0.0, Verdict.BENIGN: 0.2, Verdict.MALIGNANT: 0.9}[said]
    return PatientResult(patient_id="P", truth=truth, said=said, score=score, hit=hit, false_boxes=false_boxes)


def test_a_lesion_without_detection_counts_as_called_benign_and_is_counted() -> None:
    results = [
        result(Verdict.MALIGNANT, None, hit=False),
        result(Verdict.MALIGNANT, Verdict.MALIGNANT),
        result(Verdict.BENIGN, None, hit=False),
    ]

    measured = measure(results, seed=0)

    assert measured.decision == Confusion(true_malignant=1, missed_malignant=1, true_benign=1, false_malignant=0)
    assert measured.undetected == 2
    assert measured.hit == Rate(1, 3)


def test_lesion_free_patients_count_for_false_alarms_alone() -> None:
    results = [
        result(Verdict.MALIGNANT, Verdict.MALIGNANT),
        result(Verdict.BENIGN, Verdict.BENIGN),
        result(None, Verdict.BENIGN, hit=False, false_boxes=3),
        result(None, None, hit=False),
    ]

    measured = measure(results, seed=0)

    assert measured.hit == Rate(2, 2)
    assert (measured.lesion_free, measured.lesion_free_alarmed) == (2, 1)
    assert measured.false_boxes_per_lesion_free == pytest.approx(1.5)


def test_results_name_hits_false_boxes_and_missing_detections(data_set: Path, micro_model: WffModel) -> None:
    patients = open_data_set(data_set)
    fusion = micro_model.config.fusion

    (hit,) = read_all(micro_model, [detected(patients[0], right=0.8, wrong=0.4)], fusion)
    (silent,) = read_all(micro_model, [detected(patients[0], right=0.1, wrong=0.1)], fusion)

    assert (hit.hit, hit.false_boxes) == (True, 1)
    assert hit.said is not None
    assert (silent.hit, silent.said, silent.score) == (False, None, 0.0)


@pytest.mark.parametrize(("height", "hit"), [(3.0, True), (2.9, False)])
def test_a_planted_lesion_counts_as_hit_from_an_overlap_of_exactly_three_tenths(
    tmp_path: Path, micro_model: WffModel, height: float, hit: bool
) -> None:
    images = np.random.default_rng(0).integers(0, 255, size=(1, 96, 96), dtype=np.uint8)
    writer = DataSetWriter(tmp_path / "data")
    series = writer.add_series("P", 0, SequenceKind.T1, images, [[Box(x0=30, y0=40, x1=40, y1=50)]])
    patient = LabelledPatient(patient_id="P", age_years=50.0, verdict=Verdict.BENIGN, series=(series,))
    writer.close([patient])
    found = DetectedBox(Box(x0=30, y0=40, x1=40, y1=40 + height), Verdict.BENIGN, 0.9)
    (opened,) = open_data_set(tmp_path / "data")

    (result,) = read_all(micro_model, [DetectedPatient(opened, (((found,),),))], micro_model.config.fusion)

    assert (result.hit, result.false_boxes) == (hit, 0 if hit else 1)
