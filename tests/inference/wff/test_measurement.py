from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.datasets import DataSetWriter, LabelledPatient, LabelledSeries, open_data_set
from inference.evaluation.metrics import Confusion, Rate
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.measurement import (
    DetectedPatient,
    PatientResult,
    choose_tau,
    classify_all,
    detect_all,
    measure,
    read_all,
    weights_with_least_loss,
)
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.reading import DetectedBox


def result(truth: Verdict | None, said: Verdict | None, *, hit: bool = True, false_boxes: int = 0) -> PatientResult:
    score = {None: 0.0, Verdict.BENIGN: 0.2, Verdict.MALIGNANT: 0.9}[said]
    return PatientResult(patient_id="P", truth=truth, said=said, score=score, hit=hit, false_boxes=false_boxes)


def detected(patient: LabelledPatient, *, right: float, wrong: float) -> DetectedPatient:
    """Every labelled box found with score `right`, and one box on nothing with score `wrong` on the first slice."""
    nothing = DetectedBox(Box(x0=80, y0=80, x1=90, y1=90), Verdict.BENIGN, wrong)
    (series,) = patient.series
    slices: list[SliceBoxes] = [
        tuple(DetectedBox(box, patient.verdict or Verdict.BENIGN, right) for box in boxes) for boxes in series.boxes
    ]
    slices[0] = (nothing,)
    return DetectedPatient(patient, (tuple(slices),))


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


def test_tau_is_set_between_wrong_and_right_detections(data_set: Path) -> None:
    patients = [detected(p, right=0.75, wrong=0.52) for p in open_data_set(data_set)]

    assert choose_tau(patients) == pytest.approx(0.55)


LESION = Box(x0=30, y0=30, x1=50, y1=50)
ELSEWHERE = Box(x0=70, y0=70, x1=80, y1=80)


def scored(name: str, verdict: Verdict | None, *, right: float, wrong: float) -> DetectedPatient:
    """Three slices of one series: two show the lesion, where there is one; on the third lies a box on nothing."""
    boxes: tuple[tuple[Box, ...], ...] = ((), (), ()) if verdict is None else ((LESION,), (LESION,), ())
    series = LabelledSeries(kind=SequenceKind.T1, file=Path("none.npy"), boxes=boxes)
    labelled = LabelledPatient(patient_id=name, age_years=None, verdict=verdict, series=(series,))
    on_lesion = (DetectedBox(LESION, Verdict.BENIGN, right),) if verdict is not None else ()
    return DetectedPatient(labelled, ((on_lesion, on_lesion, (DetectedBox(ELSEWHERE, Verdict.BENIGN, wrong),)),))


def with_lesions(count: int, *, right: float = 0.8, wrong: float = 0.4) -> list[DetectedPatient]:
    return [scored(f"L{n}", Verdict.BENIGN, right=right, wrong=wrong) for n in range(count)]


@pytest.mark.parametrize("lesion_free", [0, 1, 9])
def test_one_patient_whose_lesion_is_hardly_seen_does_not_let_every_false_box_in(lesion_free: int) -> None:
    """Nobody, or too few to count, tells of false alarms in the lesion-free: those of the others have to."""
    outlier = scored("outlier", Verdict.MALIGNANT, right=0.12, wrong=0.05)
    silent = [scored(f"F{n}", None, right=0.0, wrong=0.05) for n in range(lesion_free)]

    assert choose_tau([*with_lesions(12), outlier, *silent]) == pytest.approx(0.45)


def test_one_patient_does_not_outweigh_the_false_boxes_of_all_others_where_the_lesion_free_are_silent() -> None:
    outlier = scored("outlier", Verdict.MALIGNANT, right=0.12, wrong=0.05)
    silent = [scored(f"F{n}", None, right=0.0, wrong=0.05) for n in range(20)]

    assert choose_tau([*with_lesions(60), outlier, *silent]) == pytest.approx(0.45)


def test_with_many_lesion_free_patients_their_alarms_decide() -> None:
    """Half of the lesions score .5, and so do the false boxes of a third of the lesion-free: 1 - 1/3 beats 1/2."""
    patients = [*with_lesions(15), *with_lesions(15, right=0.5)]
    free = [scored(f"F{n}", None, right=0.0, wrong=0.5 if n < 10 else 0.05) for n in range(30)]

    assert choose_tau([*patients, *free]) == pytest.approx(0.45)
    many = [scored(f"F{n}", None, right=0.0, wrong=0.5 if n < 20 else 0.05) for n in range(30)]
    assert choose_tau([*patients, *many]) == pytest.approx(0.55)


def test_a_second_box_on_one_lesion_is_no_second_lesion_found() -> None:
    """Weak second boxes beside the right ones must not pay for the false boxes that come with them."""
    beside = DetectedBox(Box(x0=30, y0=30, x1=50, y1=38), Verdict.BENIGN, 0.2)
    patients = []
    for one in with_lesions(10, wrong=0.25):
        ((first, second, third),) = one.found
        patients.append(DetectedPatient(one.patient, (((*first, beside), (*second, beside), third),)))

    assert choose_tau(patients) == pytest.approx(0.3)


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


def test_weights_lean_on_the_term_that_is_right(data_set: Path, micro_model: WffModel) -> None:
    """The detector names the class of every patient; the untrained classifier and equal ages know nothing."""
    patients = [detected(p, right=0.8, wrong=0.0) for p in open_data_set(data_set)]

    base = replace(micro_model.config.fusion, tau=0.5)
    fusion = weights_with_least_loss(classify_all(micro_model, patients, base), base)

    assert fusion.tau == 0.5
    assert fusion.lambda_detector == 1.0


def test_detecting_in_processes_gives_what_one_model_gives(data_set: Path, micro_model: WffModel) -> None:
    patients = open_data_set(data_set)[:2]

    found = detect_all(micro_model, patients, processes=2)

    assert [d.patient for d in found] == patients
    alone = micro_model.detect(patients[1].series[0].images())
    assert [len(s) for s in found[1].found[0]] == [len(s) for s in alone]
