from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.datasets import DataSetWriter, LabelledPatient, open_data_set
from inference.errors import TrainingError
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.config import micro_config
from inference.wff.networks.detector import BENIGN, MALIGNANT
from inference.wff.training.augmentation import NO_GREY_CHANGES, NO_MOVEMENT, FieldOfView
from inference.wff.training.detector_task import DetectorTask, SliceSource, labelled_slices
from inference.wff.training.self_cut_mix import NO_CUT_MIX
from inference.wff.training.settings import DetectorTraining

CONFIG = micro_config().detector


def test_drawn_slices_carry_the_class_of_their_patient(data_set: Path) -> None:
    source = SliceSource(CONFIG, DetectorTraining(lesion_share=1.0), open_data_set(data_set))
    rng = np.random.default_rng(0)

    drawn = [source.draw(rng)[1] for _ in range(40)]

    sides: dict[int, list[float]] = {BENIGN: [], MALIGNANT: []}
    for target in drawn:
        first = target.boxes[0]
        sides[int(target.labels[0])].append(float(first[2] - first[0]))
    assert all(sides.values())
    assert max(sides[BENIGN]) < min(sides[MALIGNANT])


def test_classes_are_drawn_equally_often_however_rare_one_is(data_set: Path) -> None:
    benign, malignant, *_ = open_data_set(data_set)
    more = [replace(benign, patient_id=f"B{number}") for number in range(9)]
    source = SliceSource(CONFIG, DetectorTraining(lesion_share=1.0), [malignant, *more])
    rng = np.random.default_rng(0)

    labels = [int(source.draw(rng)[1].labels[0]) for _ in range(100)]

    assert 35 < labels.count(MALIGNANT) < 65


def test_a_share_of_the_drawn_slices_shows_no_lesion(data_set: Path) -> None:
    source = SliceSource(CONFIG, DetectorTraining(lesion_share=0.5), open_data_set(data_set))
    rng = np.random.default_rng(0)

    empty = sum(len(source.draw(rng)[1].boxes) == 0 for _ in range(100))

    assert 30 < empty < 70


def test_only_the_named_patients_are_learned_from(data_set: Path) -> None:
    task = DetectorTask(config=CONFIG, settings=DetectorTraining(), data=data_set, patients=("P0", "P2"))

    with pytest.raises(TrainingError, match="benign and malignant patients"):
        task.open()


def test_boxes_of_an_image_that_is_not_square_are_scaled_along_their_own_axes(tmp_path: Path) -> None:
    """96 columns become 128, 10 rows become 13: 4/3 along x and 1.3 along y."""
    writer, patients = DataSetWriter(tmp_path), []
    for verdict in Verdict:
        images = np.full((1, 10, 96), 90, dtype=np.uint8)
        series = writer.add_series(verdict.value, 0, SequenceKind.T1, images, [[Box(x0=30, y0=2, x1=90, y1=10)]])
        patients.append(LabelledPatient(patient_id=verdict.value, age_years=50.0, verdict=verdict, series=(series,)))
    still = DetectorTraining(lesion_share=1.0, self_cut_mix=NO_CUT_MIX, movement=NO_MOVEMENT)

    _, target = SliceSource(CONFIG, still, patients).draw(np.random.default_rng(0))

    assert target.boxes[0].tolist() == pytest.approx([40.0, 2.6, 120.0, 13.0], abs=0.05)


def test_a_narrowed_slice_is_fitted_into_the_square_and_its_boxes_lie_on_the_lesion(tmp_path: Path) -> None:
    writer, patients = DataSetWriter(tmp_path), []
    images = np.full((1, 80, 100), 60, dtype=np.uint8)
    images[0, 30:50, 40:60] = 250
    for verdict in Verdict:
        series = writer.add_series(verdict.value, 0, SequenceKind.T1, images, [[Box(x0=40, y0=30, x1=60, y1=50)]])
        patients.append(LabelledPatient(patient_id=verdict.value, age_years=50.0, verdict=verdict, series=(series,)))
    narrowed = DetectorTraining(
        lesion_share=1.0,
        self_cut_mix=NO_CUT_MIX,
        movement=NO_MOVEMENT,
        grey_values=NO_GREY_CHANGES,
        field_of_view=FieldOfView(probability=1.0, kept=(0.6, 0.8)),
    )
    source, rng = SliceSource(CONFIG, narrowed, patients), np.random.default_rng(2)

    drawn = [source.draw(rng) for _ in range(20)]

    with_box = [(image[0, 0].numpy(), target.boxes[0].tolist()) for image, target in drawn if len(target.boxes)]
    assert len(with_box) > 10
    for image, box in with_box:
        ys, xs = np.nonzero(image > (image.max() + image.min()) / 2)
        assert box == pytest.approx([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], abs=1.5)


def test_an_epoch_counts_the_labelled_slices(data_set: Path) -> None:
    assert labelled_slices(open_data_set(data_set)) == 4 * 3
