import pytest

from inference.wff.seen_before import SeenBefore, seen_before

RECORD = {"training": {"split_sha256": "s1", "data_sha256": "d1"}}


@pytest.mark.parametrize(
    ("data_sha256", "splits_sha256", "part", "told"),
    [
        ("d1", "s1", "held_out", "held these patients out"),
        ("d1", "s1", "training", "was trained on these patients"),
        ("d1", "s1", "fold-1", "was trained on these patients"),
        ("d1", "", "", "may be among them"),
        ("d1", "s2", "held_out", "may be among them"),
    ],
)
def test_the_bundle_s_record_tells_what_it_has_seen(data_sha256: str, splits_sha256: str, part: str, told: str) -> None:
    seen = seen_before(RECORD, data_sha256, splits_sha256, part)

    assert told in seen.told
    assert seen.is_possible == (part != "held_out" or splits_sha256 != "s1")


@pytest.mark.parametrize("part", ["", "held_out"])
@pytest.mark.parametrize(
    "calibrated", [{"calibration": {"data_sha256": "d1"}}, {"parent": {"calibration": {"data_sha256": "d1"}}}]
)
def test_patients_that_the_bundle_was_calibrated_on_are_not_called_unseen(
    calibrated: dict[str, object], part: str
) -> None:
    seen = seen_before({**RECORD, **calibrated}, "d1", "s1", part)

    assert "was calibrated on patients of this very data set" in seen.told
    assert seen.is_possible


def test_patients_that_a_calibrated_bundle_was_trained_on_are_told_as_that() -> None:
    seen = seen_before({**RECORD, "calibration": {"data_sha256": "d1"}}, "d1", "s1", "training")

    assert "was trained on these patients" in seen.told


def test_a_split_of_another_data_set_tells_nothing_of_these_patients() -> None:
    """A split file written by hand need not name its data set."""
    seen = seen_before(RECORD, "d2", "s1", "held_out")

    assert "its names may mean other patients" in seen.told
    assert seen.is_possible


@pytest.mark.parametrize("metadata", [RECORD, {}, {"training": None}])
def test_nothing_is_claimed_of_another_data_set(metadata: dict[str, object]) -> None:
    assert seen_before(metadata, "d2", "", "") == SeenBefore(told="", is_possible=False)


NAMED = {
    "training": {
        "split_sha256": "s1",
        "data_sha256": "d1",
        "images_sha256": {"training": ["a", "b", "c"], "held_out": ["x", "y"]},
    }
}
CALIBRATED = {"data_sha256": "d5", "images_sha256": ["x", "q"]}


@pytest.mark.parametrize(
    ("patients", "told", "is_possible"),
    [
        (["a", "b"], "was trained on these patients: nothing here is of patients unseen by it", True),
        (["a", "b", "x", "n"], "was trained on 2 of these 4 patients: not all here are unseen by it", True),
        (["ab", "cm"], "was trained on these patients: nothing here is of patients unseen by it", True),
        (["x", "y"], "held these patients out: its record names them", False),
        (["xn", "my"], "held these patients out: its record names them", False),
        (["x", "n", "m"], "held 1 of these 3 patients out: its record does not name the others", False),
        (["n", "mo"], "", False),
    ],
)
def test_patients_are_known_by_any_of_their_series_in_any_data_set(
    patients: list[str], told: str, is_possible: bool
) -> None:
    """Each letter of a patient is one series."""
    seen = seen_before(NAMED, "d2", "", "", [frozenset(series) for series in patients])

    assert told in seen.told
    assert bool(seen.told) == bool(told)
    assert seen.is_possible == is_possible


@pytest.mark.parametrize("metadata", [{**NAMED, "calibration": CALIBRATED}, {"parent": {"calibration": CALIBRATED}}])
@pytest.mark.parametrize(
    ("patients", "told"), [(["xm", "q"], "calibrated on these patients"), (["x", "m"], "calibrated on 1 of these 2")]
)
def test_patients_of_a_calibration_are_known_by_any_of_their_series(
    metadata: dict[str, object], patients: list[str], told: str
) -> None:
    seen = seen_before(metadata, "d2", "", "", [frozenset(series) for series in patients])

    assert told in seen.told
    assert seen.is_possible


def test_other_patients_of_a_data_set_that_was_calibrated_on_are_not_suspected() -> None:
    seen = seen_before({**NAMED, "calibration": CALIBRATED}, "d5", "", "", [frozenset("y")])

    assert "held these patients out" in seen.told


def test_the_same_split_of_another_data_set_is_believed_where_the_images_are_the_same() -> None:
    x, y, n = map(frozenset, "xyn")

    assert not seen_before(NAMED, "d2", "s1", "held_out", [x, y]).is_possible
    assert "its names may mean other patients" in seen_before(NAMED, "d2", "s1", "held_out", [x, n]).told
