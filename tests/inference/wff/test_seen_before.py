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
