import pytest

from inference.evaluation.boxes import ImageBoxes, ScoredBox
from inference.evaluation.froc import RATES, froc_per_image, froc_per_patient
from inference.evaluation.intervals import Resampling
from inference.findings import Box

PATIENTS = Resampling([True, False], seed=1, resamples=50)
A, B = Box(x0=0, y0=0, x1=10, y1=10), Box(x0=40, y0=40, x1=50, y1=50)
NOWHERE, ELSEWHERE = Box(x0=80, y0=80, x1=90, y1=90), Box(x0=80, y0=0, x1=90, y1=10)


def image(patient: int, labelled: tuple[Box, ...], *found: tuple[Box, float]) -> ImageBoxes:
    return ImageBoxes(patient, labelled, tuple(ScoredBox(box, score) for box, score in found))


# Two patients of two images: three labelled boxes, found at .9, never, and at .5; false boxes at .8, .6 and .3
IMAGES = [
    image(0, (A, B), (A, 0.9), (NOWHERE, 0.8), (ELSEWHERE, 0.6)),
    image(0, ()),
    image(1, (A,), (A, 0.5), (NOWHERE, 0.3)),
    image(1, ()),
]


def test_sensitivity_per_image_is_that_counted_by_hand() -> None:
    """Up to 1/4 a false box per image, that is one in all: A alone. From 1/2: A and the box at .5. B is never found."""
    found = froc_per_image(IMAGES, PATIENTS, overlap=0.3)

    assert found is not None
    assert (found.units, found.targets) == (4, 3)
    values = [one.value for one in found.at_rates]
    assert values == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert found.mean_sensitivity.value == pytest.approx(4 / 7)


def test_sensitivity_per_patient_asks_for_one_box_of_each() -> None:
    """Two patients: below one false box per patient the first is found, from one on both."""
    found = froc_per_patient(IMAGES, PATIENTS, overlap=0.3)

    assert found is not None
    assert (found.units, found.targets) == (2, 2)
    assert [one.value for one in found.at_rates] == [0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert found.mean_sensitivity.value == pytest.approx(5.5 / 7)


def test_the_curve_rises_from_the_boxes_above_every_false_one_to_all_that_are_found() -> None:
    found = froc_per_image(IMAGES, PATIENTS, overlap=0.3)

    assert found is not None
    assert found.false_boxes == (0.0, 0.25, 0.5, 0.75)
    assert found.sensitivity == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3))


def test_a_second_box_on_a_lesion_is_not_false() -> None:
    found = froc_per_image([image(0, (A,), (A, 0.9), (A, 0.8)), image(1, (), (A, 0.1))], PATIENTS, overlap=0.3)

    assert found is not None
    assert found.false_boxes[-1] == 0.5


def test_a_lesion_that_scores_like_a_false_box_is_not_counted_before_it() -> None:
    found = froc_per_image([image(0, (A,), (A, 0.7), (NOWHERE, 0.7)), image(1, ())], PATIENTS, overlap=0.3)

    assert found is not None
    assert [one.value for one in found.at_rates] == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_a_detector_that_finds_nothing_has_no_sensitivity_anywhere() -> None:
    found = froc_per_image([image(0, (A,)), image(1, ())], PATIENTS, overlap=0.3)

    assert found is not None
    assert [one.value for one in found.at_rates] == [0.0] * len(RATES)


def test_without_labelled_boxes_there_is_no_curve() -> None:
    assert froc_per_image([image(0, ()), image(1, ())], PATIENTS, overlap=0.3) is None
    assert froc_per_patient([image(0, ()), image(1, ())], PATIENTS, overlap=0.3) is None


def test_a_long_list_of_false_boxes_gives_a_short_curve_with_both_ends() -> None:
    noise = [image(n % 2, (A,) if n < 2 else (), (NOWHERE, 1 / (n + 1))) for n in range(3000)]

    found = froc_per_image(noise, PATIENTS, overlap=0.3)

    assert found is not None
    assert len(found.false_boxes) <= 400
    assert (found.false_boxes[0], found.false_boxes[-1]) == (0.0, 1.0)
