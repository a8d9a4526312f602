from dataclasses import replace
from pathlib import Path

import pytest

from inference.datasets import LabelledPatient, LabelledSeries, open_data_set
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.model import WffModel
from inference.wff.patients import DetectedPatient, classify_all
from inference.wff.reading import DetectedBox
from inference.wff.training.fusion_choice import choose_tau, weights_with_least_loss
from tests.inference.wff.labelled_detections import detected


def test_tau_is_set_between_wrong_and_right_detections(data_set: Path) -> None:
    patients = [detected(p, right=0.75, wrong=0.52) for p in open_data_set(data_set)]

    assert choose_tau(patients) == pytest.approx(0.53)


LESION = Box(x0=30, y0=30, x1=50, y1=50)
ELSEWHERE = Box(x0=70, y0=70, x1=80, y1=80)


def scored(name: str, verdict: Verdict | None, *, right: float, wrong: float, wrong_slices: int = 1) -> DetectedPatient:
    """Slices of one series: two show the lesion, where there is one; on each of the others lies a box on nothing."""
    others = ((),) * wrong_slices
    boxes: tuple[tuple[Box, ...], ...] = ((), (), *others) if verdict is None else ((LESION,), (LESION,), *others)
    series = LabelledSeries(kind=SequenceKind.T1, file=Path("none.npy"), boxes=boxes)
    labelled = LabelledPatient(patient_id=name, age_years=None, verdict=verdict, series=(series,))
    on_lesion = (DetectedBox(LESION, Verdict.BENIGN, right),) if verdict is not None else ()
    nothing = DetectedBox(ELSEWHERE, Verdict.BENIGN, wrong)
    return DetectedPatient(labelled, ((on_lesion, on_lesion, *[(nothing,)] * wrong_slices),))


def with_lesions(count: int, *, right: float = 0.8, wrong: float = 0.4) -> list[DetectedPatient]:
    return [scored(f"L{n}", Verdict.BENIGN, right=right, wrong=wrong) for n in range(count)]


@pytest.mark.parametrize("lesion_free", [0, 1, 9])
def test_one_patient_whose_lesion_is_hardly_seen_does_not_let_every_false_box_in(lesion_free: int) -> None:
    """Nobody, or too few to count, tells of false alarms in the lesion-free: those of the others have to."""
    outlier = scored("outlier", Verdict.MALIGNANT, right=0.12, wrong=0.05)
    silent = [scored(f"F{n}", None, right=0.0, wrong=0.05) for n in range(lesion_free)]

    assert choose_tau([*with_lesions(12), outlier, *silent]) == pytest.approx(0.41)


def test_one_patient_does_not_outweigh_the_false_boxes_of_all_others_where_the_lesion_free_are_silent() -> None:
    outlier = scored("outlier", Verdict.MALIGNANT, right=0.12, wrong=0.05)
    silent = [scored(f"F{n}", None, right=0.0, wrong=0.05) for n in range(20)]

    assert choose_tau([*with_lesions(60), outlier, *silent]) == pytest.approx(0.41)


@pytest.mark.parametrize(("noisy", "tau"), [(12, 0.41), (13, 0.51)])
def test_lesions_are_hit_until_the_lesion_free_may_have_more_than_one_false_box_each(noisy: int, tau: float) -> None:
    """Half of the lesions score .5, and so do two false boxes in each of some lesion-free patients.

    In 12 of 30 they are .80 on average with a standard error of .18, in 13 of 30 .87 with .18.
    """
    patients = [*with_lesions(15), *with_lesions(15, right=0.5)]
    free = [scored(f"F{n}", None, right=0.0, wrong=0.5, wrong_slices=2) for n in range(noisy)]
    silent = [scored(f"S{n}", None, right=0.0, wrong=0.05) for n in range(30 - noisy)]

    assert choose_tau([*patients, *free, *silent]) == pytest.approx(tau)


def test_where_no_threshold_keeps_the_lesion_free_quiet_it_is_the_highest() -> None:
    loud = [scored(f"F{n}", None, right=0.0, wrong=0.995, wrong_slices=2) for n in range(10)]

    assert choose_tau([*with_lesions(10), *loud]) == pytest.approx(0.99)


def test_a_lesion_that_only_both_classes_together_tell_from_nothing_is_hit() -> None:
    """In either class it scores less than the false boxes of the lesion-free."""
    unclear = tuple(DetectedBox(LESION, verdict, 0.5) for verdict in Verdict)
    patients = [DetectedPatient(one.patient, ((unclear, unclear, ()),)) for one in with_lesions(15)]
    loud = [scored(f"F{n}", None, right=0.0, wrong=0.6, wrong_slices=2) for n in range(15)]

    assert choose_tau([*patients, *loud]) == pytest.approx(0.61)


def test_a_second_box_on_one_lesion_is_no_second_lesion_found() -> None:
    """Weak second boxes beside the right ones must not pay for the false boxes that come with them."""
    beside = DetectedBox(Box(x0=30, y0=30, x1=50, y1=38), Verdict.BENIGN, 0.2)
    patients = []
    for one in with_lesions(10, wrong=0.25):
        ((first, second, third),) = one.found
        patients.append(DetectedPatient(one.patient, (((*first, beside), (*second, beside), third),)))

    assert choose_tau(patients) == pytest.approx(0.26)


def test_weights_lean_on_the_term_that_is_right(data_set: Path, micro_model: WffModel) -> None:
    """The detector names the class of every patient; the untrained classifier and equal ages know nothing."""
    patients = [detected(p, right=0.8, wrong=0.0) for p in open_data_set(data_set)]

    base = replace(micro_model.config.fusion, tau=0.5)
    fusion = weights_with_least_loss(classify_all(micro_model, patients, base), base)

    assert fusion.tau == 0.5
    assert fusion.lambda_detector == 1.0
