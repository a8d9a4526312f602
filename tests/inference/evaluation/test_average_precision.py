import pytest

from inference.evaluation.average_precision import average_precision, class_precisions
from inference.evaluation.boxes import ImageBoxes, ScoredBox, overlaps
from inference.evaluation.intervals import Resampling
from inference.findings import Box

PATIENTS = Resampling([True, False], seed=1, resamples=50)
A, B = Box(x0=0, y0=0, x1=10, y1=10), Box(x0=40, y0=40, x1=50, y1=50)
NOWHERE = Box(x0=80, y0=80, x1=90, y1=90)


def image(labelled: tuple[Box, ...], *found: tuple[Box, float], patient: int = 0) -> ImageBoxes:
    return ImageBoxes(patient, labelled, tuple(ScoredBox(box, score) for box, score in found))


def value(*images: ImageBoxes) -> float:
    found = average_precision(images, PATIENTS)
    assert found is not None
    return found.value


def test_the_published_example_of_the_all_point_rule_is_reproduced() -> None:
    """24 detections of 15 objects, right at these ranks: 24.56 % from cut digits. Source: Padilla 2020, IWSSIP."""
    right = {1, 3, 10, 12, 13, 14, 23}
    images = [image((A,) if rank in right else (), (A, 1 - rank / 100)) for rank in range(1, 25)]
    missed = [image((A,)) for _ in range(15 - len(right))]

    assert value(*images, *missed) == pytest.approx(0.2456, abs=1e-4)


def test_a_second_detection_of_a_box_is_false() -> None:
    """Right, false, right: precision 1 up to half of the boxes, then 2/3."""
    assert value(image((A, B), (A, 0.9), (A, 0.8), (B, 0.7))) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_a_detection_takes_a_free_box_when_the_better_one_is_taken() -> None:
    wide, shifted = Box(x0=0, y0=0, x1=10, y1=20), Box(x0=0, y0=1, x1=10, y1=21)
    between = Box(x0=0, y0=0.4, x1=10, y1=20.4)

    assert value(image((wide, shifted), (wide, 0.9), (between, 0.8))) == 1.0


def test_a_detection_on_nothing_that_scores_best_halves_the_precision() -> None:
    assert value(image((A,), (NOWHERE, 0.9), (A, 0.8))) == 0.5
    assert value(image((A,), (NOWHERE, 0.7), (A, 0.8))) == 1.0


@pytest.mark.parametrize(("height", "found"), [(5.0, 1.0), (4.9, 0.0)])
def test_a_box_is_found_from_an_overlap_of_exactly_one_half(height: float, found: float) -> None:
    assert value(image((A,), (Box(x0=0, y0=0, x1=10, y1=height), 0.9))) == found


def test_what_is_never_detected_has_no_precision() -> None:
    assert value(image((A,)), image(())) == 0.0


def test_without_labelled_boxes_there_is_nothing_to_measure() -> None:
    assert average_precision([image((), (A, 0.9))], PATIENTS) is None


def test_the_interval_is_over_patients_not_boxes() -> None:
    """One patient all found, one all missed: a resample holds each once here, because both classes must be drawn."""
    right, missed = (image((A, B), (A, 0.9), (B, 0.9)), image((A, B), patient=1))

    found = average_precision([right, missed], PATIENTS)

    assert found is not None
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_overlap_is_intersection_over_union_of_every_pair() -> None:
    half = Box(x0=5, y0=0, x1=15, y1=10)

    found = overlaps([ScoredBox(A, 1.0), ScoredBox(NOWHERE, 1.0)], [A, half])

    assert found.tolist() == [[1.0, pytest.approx(1 / 3)], [0.0, 0.0]]
    assert overlaps([], [A]).shape == (0, 1)


def test_the_mean_of_the_classes_is_drawn_with_them_and_has_an_interval() -> None:
    """Of ten patients of each class every second lesion is found; the mean of two halves is surer than either."""
    patients = Resampling([n % 2 == 0 for n in range(20)], seed=1, resamples=400)
    first = [image((A,), *([(A, 0.9)] if n % 4 == 0 else []), patient=n) for n in range(0, 20, 2)]
    second = [image((A,), *([(A, 0.9)] if n % 4 == 1 else []), patient=n) for n in range(1, 20, 2)]

    each, mean = class_precisions([first, second], patients)

    assert each == (average_precision(first, patients), average_precision(second, patients))
    assert mean is not None
    assert each[0] is not None
    assert mean.value == pytest.approx(0.5)
    assert mean.low < 0.45 < 0.55 < mean.high
    assert mean.high - mean.low < each[0].high - each[0].low


def test_without_a_labelled_box_of_a_class_there_is_no_mean() -> None:
    each, mean = class_precisions([[image((A,), (A, 0.9))], [image(())]], PATIENTS)

    assert [one is None for one in each] == [False, True]
    assert mean is None
