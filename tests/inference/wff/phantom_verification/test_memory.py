"""Copies of training patients among those who are measured are noticed, and others are not taken for copies."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.datasets import DataSetWriter, LabelledPatient
from inference.findings import Box, SequenceKind, Verdict
from inference.phantom.data_set import make_data_set
from inference.wff.config import micro_config
from inference.wff.phantom_verification.cohorts import PLAIN, TRAINING, phantom_set
from inference.wff.phantom_verification.copies import scan_again
from inference.wff.phantom_verification.findings import Finding, Judgement
from inference.wff.phantom_verification.items_memory import copies_among, memory
from inference.wff.phantom_verification.scale import quick_scale

SCALE = quick_scale(seed=1)
LESION = Box(x0=10, y0=10, x1=22, y1=22)
MEASURED, TRAINED = 250, 250
Images = NDArray[np.uint8]


class Hospital:
    """Patients whose images are noise, each with their own, and copies of them with a little noise more."""

    def __init__(self, folder: Path) -> None:
        self._writer, self._rng = DataSetWriter(folder), np.random.default_rng(1)
        self._number = 0

    def admit(self, images: Images | None = None) -> LabelledPatient:
        self._number += 1
        name = f"P{self._number}"
        if images is None:
            images = self._rng.integers(0, 200, size=(4, 32, 32), dtype=np.uint8)
        series = self._writer.add_series(name, 0, SequenceKind.T1, images, [[LESION]] * 4)
        verdict = Verdict.MALIGNANT if self._number % 2 else Verdict.BENIGN
        return LabelledPatient(patient_id=name, age_years=50.0, verdict=verdict, series=(series,))

    def again(self, patient: LabelledPatient) -> LabelledPatient:
        noise = self._rng.integers(0, 50, size=(4, 32, 32), dtype=np.uint8)
        return self.admit(patient.series[0].images() + noise)


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


def judged(
    training: Sequence[LabelledPatient],
    held_out: Sequence[LabelledPatient],
    copies: Sequence[LabelledPatient],
    scores: Sequence[float] | None = None,
) -> list[Finding]:
    said = scores or [0.6] * len(held_out)
    config = micro_config().sequence
    return memory(SCALE, config, training=training, held_out=held_out, scores=said, copies=copies)


def test_a_tenth_of_copies_is_noticed_and_honest_patients_are_not_taken_for_copies(hospital: Hospital) -> None:
    training, others = ([hospital.admit() for _ in range(count)] for count in (TRAINED, MEASURED))
    copies = [hospital.again(one) for one in training[: copies_among(MEASURED)]]

    honest, planted, _ = judged(training, others, copies)

    assert len(copies) / (len(copies) + MEASURED) == pytest.approx(0.1, abs=0.01)
    assert [honest.verdict, planted.verdict] == [Judgement.HOLDS, Judgement.HOLDS]
    assert planted.value > 0.08 > 0.04 > honest.value


def test_copies_that_were_measured_as_if_they_were_others_are_told(hospital: Hospital) -> None:
    training, others = ([hospital.admit() for _ in range(count)] for count in (TRAINED, MEASURED))
    copies = [hospital.again(one) for one in training[:60]]

    mixed, planted, _ = judged(training, [*others, *copies[:30]], copies[30:])

    assert mixed.verdict is Judgement.FAILS
    assert planted.holds


def test_a_check_that_does_not_notice_copies_cannot_tell(hospital: Hospital) -> None:
    training, others = ([hospital.admit() for _ in range(count)] for count in (TRAINED, MEASURED))
    strangers = [hospital.admit() for _ in range(copies_among(MEASURED))]

    honest, planted, _ = judged(training, others, strangers)

    assert [honest.verdict, planted.verdict] == [Judgement.UNSURE, Judgement.FAILS]


def test_few_patients_cannot_tell_whether_the_nearer_ones_are_read_better(hospital: Hospital) -> None:
    training, others = ([hospital.admit() for _ in range(count)] for count in (TRAINED, MEASURED))
    truth = [one.verdict is Verdict.MALIGNANT for one in others]
    copies = [hospital.again(one) for one in training[:10]]
    half_right = [float(malignant == (n % 4 in (0, 3))) for n, malignant in enumerate(truth)]

    many, few = (judged(training, others[:count], copies, half_right[:count])[2] for count in (MEASURED, 16))

    assert many.verdict is Judgement.HOLDS
    assert few.verdict is Judgement.UNSURE


def test_a_patient_who_is_scanned_again_has_the_same_lesion_in_other_images(tmp_path: Path) -> None:
    recipe = phantom_set(SCALE, TRAINING, 4, PLAIN)
    painted = [one for one in make_data_set([recipe], tmp_path / "data", processes=1) if one.verdict is not None]

    copies = scan_again(recipe, painted[:2], tmp_path / "copies", processes=1)
    kept = scan_again(recipe, painted[:2], tmp_path / "copies", processes=1)

    assert kept == copies
    assert len(copies) == 2
    for one, other in zip(painted, copies, strict=False):
        assert (one.verdict, one.site, one.lesion_type) == (other.verdict, other.site, other.lesion_type)
        assert one.patient_id != other.patient_id
        for first, again in zip(one.series, other.series, strict=True):
            assert first.images().shape == again.images().shape
            assert not np.array_equal(first.images(), again.images())
            assert 0.5 < np.corrcoef(first.images().ravel(), again.images().ravel())[0, 1] < 0.999
