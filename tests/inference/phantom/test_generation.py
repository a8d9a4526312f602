"""Whole patients: reproducible, with true geometry and boxes that hold the lesions."""

import json
import pickle
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.findings import SequenceKind
from inference.phantom import PhantomConfig, PhantomPatient, PhantomSeries, generate_patient
from inference.phantom.boxes import boxes_per_slice
from inference.phantom.lesions.painting import LesionMask
from inference.phantom.patient import draw_subject
from tests.inference.phantom.conftest import CONFIG


def test_the_same_arguments_give_the_same_patient() -> None:
    config = PhantomConfig(matrix=128)

    first, second = (generate_patient(11, seed=5, config=config) for _ in range(2))

    assert first.truth == second.truth
    assert pickle.dumps(first) == pickle.dumps(second)


def test_another_seed_gives_another_patient() -> None:
    config = PhantomConfig(matrix=128)

    first, second = (generate_patient(11, seed=seed, config=config) for seed in (5, 6))

    assert not np.array_equal(first.series[0].pixels[5], second.series[0].pixels[5])


def test_a_patient_has_one_sagittal_series_of_each_kind(with_lesion: PhantomPatient) -> None:
    assert [series.kind for series in with_lesion.series] == [SequenceKind.T1, SequenceKind.T2, SequenceKind.T2FS]
    for series in with_lesion.series:
        normal = np.cross(series.orientation[:3], series.orientation[3:])
        assert abs(normal[0]) > 0.99
        assert 11 <= len(series.pixels) <= 17
        assert series.pixels.dtype == np.uint16
        assert series.pixels.max() <= 4095


def test_affine_orientation_and_positions_agree(with_lesion: PhantomPatient) -> None:
    for series in with_lesion.series:
        row, column = np.array(series.orientation[:3]), np.array(series.orientation[3:])
        row_spacing, column_spacing = series.pixel_spacing_mm
        k, j, i = 3, 17, 101

        # PS3.3 C.7.6.2.1.1, equation of the image plane.
        expected = series.positions_mm[k] + row * column_spacing * i + column * row_spacing * j

        assert series.affine_lps @ (k, j, i, 1) == pytest.approx((*expected, 1.0), abs=1e-9)
        assert np.linalg.norm(np.diff(series.positions_mm, axis=0), axis=1) == pytest.approx(series.spacing_mm)


def test_slices_are_sorted_along_the_normal(with_lesion: PhantomPatient) -> None:
    for series in with_lesion.series:
        normal = np.cross(series.orientation[:3], series.orientation[3:])

        assert np.all(np.diff(series.positions_mm @ normal) > 0)


def test_each_series_has_a_pose_of_its_own(with_lesion: PhantomPatient) -> None:
    first, second, third = (series.affine_lps for series in with_lesion.series)

    assert not np.allclose(first, second)
    assert not np.allclose(second, third)


def test_boxes_lie_inside_the_image_and_are_large_enough(multilevel: PhantomPatient) -> None:
    for series in multilevel.series:
        for box in (box for boxes in series.boxes for box in boxes):
            assert 0 <= box.x0 < box.x1 <= CONFIG.matrix
            assert 0 <= box.y0 < box.y1 <= CONFIG.matrix
            assert min(box.x1 - box.x0, box.y1 - box.y0) >= 12 * CONFIG.matrix / 512


def test_every_lesion_has_a_box_in_every_series(multilevel: PhantomPatient) -> None:
    count = len(multilevel.truth.lesions)

    assert count in (2, 3)
    for series in multilevel.series:
        assert len(series.masks) == count
        for mask in series.masks:
            assert any(boxes_per_slice([mask], len(series.pixels), matrix=CONFIG.matrix))


def test_a_lesion_centre_lies_in_a_box_of_every_series(multilevel: PhantomPatient) -> None:
    for lesion in multilevel.truth.lesions:
        for series in multilevel.series:
            k, j, i, _ = np.linalg.inv(series.affine_lps) @ (*lesion.centre_mm, 1.0)
            boxes = series.boxes[round(k)]

            # Pixel centres lie at whole numbers of the affine and at .5 of the box convention.
            assert any(box.x0 < i + 0.5 < box.x1 and box.y0 < j + 0.5 < box.y1 for box in boxes)


def test_boxes_touch_the_mask_on_all_four_sides() -> None:
    voxels = np.zeros((2, 30, 30), dtype=bool)
    voxels[1, 4:20, 5:25] = True
    mask = LesionMask((slice(3, 5), slice(100, 130), slice(50, 80)), voxels)

    boxes = boxes_per_slice([mask], 6, matrix=256)

    (box,) = boxes[4]
    assert (box.x0, box.y0, box.x1, box.y1) == (55.0, 104.0, 75.0, 120.0)
    assert [len(found) for found in boxes] == [0, 0, 0, 0, 1, 0]


def test_slices_that_only_graze_a_lesion_have_no_box() -> None:
    voxels = np.zeros((2, 40, 40), dtype=bool)
    voxels[0, :40, :40] = True
    voxels[1, :20, :20] = True  # a quarter of the largest section

    boxes = boxes_per_slice([LesionMask((slice(0, 2), slice(0, 40), slice(0, 40)), voxels)], 2, matrix=256)

    assert [len(found) for found in boxes] == [1, 0]


def test_boxes_are_those_of_the_masks_that_go_with_the_images(multilevel: PhantomPatient) -> None:
    for series in multilevel.series:
        assert boxes_per_slice(series.masks, len(series.pixels), matrix=CONFIG.matrix) == series.boxes


def test_the_truth_is_told_in_plain_data(multilevel: PhantomPatient) -> None:
    truth = json.loads(json.dumps(asdict(multilevel.truth)))

    assert {"label", "family", "look", "region", "site", "difficulty", "signs", "lesions", "mimics"} <= truth.keys()
    assert truth["difficulty"] == CONFIG.difficulty
    assert truth["site"] == multilevel.site
    assert truth["family"] == multilevel.family
    assert [lesion["region"] for lesion in truth["lesions"]] == [truth["region"]] * len(truth["lesions"])
    assert all(lesion["diameter_mm"] > 5.0 and len(lesion["centre_mm"]) == 3 for lesion in truth["lesions"])


def test_a_lesion_free_patient_has_no_label_no_sign_and_no_box(lesion_free: PhantomPatient) -> None:
    assert lesion_free.truth.label is None
    assert not any(lesion_free.truth.signs.values())
    assert lesion_free.truth.lesions == ()
    assert all(boxes == () for series in lesion_free.series for boxes in series.boxes)


def test_the_window_shows_the_spine(with_lesion: PhantomPatient) -> None:
    for series in with_lesion.series:
        assert_window_spreads_the_middle(series)


def assert_window_spreads_the_middle(series: PhantomSeries) -> None:
    centre, width = series.window
    middle = series.pixels[:, :, series.pixels.shape[2] // 3 : 2 * series.pixels.shape[2] // 3]
    clipped = (middle > centre + width / 2).mean() + (middle < centre - width / 2).mean()

    assert clipped < 0.05
    assert middle.std() > 0.08 * width


@pytest.mark.parametrize(
    "wrong",
    [
        {"matrix": 16},
        {"minimum_slices": 9, "maximum_slices": 8},
        {"lesion_free_fraction": 1.5},
        {"fov_mm": 150.0},
        {"sites": ()},
        {"regions": ()},
        {"stations": 3},
    ],
)
def test_impossible_configurations_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need"):
        PhantomConfig(**wrong)


def test_where_the_smallest_view_shows_one_vertebra_of_the_region_a_fracture_leaves_it_to_the_lesion() -> None:
    config = PhantomConfig(fov_mm=200.0, regions=(SpineRegion.LUMBAR,), lesion_free_fraction=0.0)

    subjects = [draw_subject(index, seed=3, config=config) for index in range(300)]

    assert all(subject.truth.lesions for subject in subjects)
    assert any(mimic.kind == "osteoporotic_fracture" for subject in subjects for mimic in subject.truth.mimics)
