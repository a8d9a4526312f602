from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.datasets import DataSetWriter, LabelledPatient, open_data_set
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.phantom_verification.cohorts import Cohort
from inference.wff.phantom_verification.controls import (
    confounded_with_site,
    lesion_masked,
    lesion_visible,
    shuffled_labels,
    style_only,
)

ROWS = COLUMNS = 100
PIXEL_MM = 2.0
LESION = Box(x0=45, y0=40, x1=55, y1=50)
WIDE = Box(x0=5, y0=40, x1=55, y1=50)
TALL = Box(x0=45, y0=20, x1=55, y1=80)
LESION_GREY, OTHER_GREY = 250, 100


def painted(box: Box | None) -> NDArray[np.uint8]:
    images = np.full((3, ROWS, COLUMNS), OTHER_GREY, dtype=np.uint8)
    if box is not None:
        images[:, int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] = LESION_GREY
    return images


def cohort(folder: Path, boxes: Sequence[Box | None], *, malignant: Sequence[bool] | None = None) -> Cohort:
    """P0, P1, ...: one series each, the lesion on all of its slices; None: no lesion."""
    writer = DataSetWriter(folder)
    verdicts = malignant or [number % 2 == 0 for number in range(len(boxes))]
    patients = [
        LabelledPatient(
            patient_id=f"P{number}",
            age_years=50.0,
            verdict=None if box is None else (Verdict.MALIGNANT if verdicts[number] else Verdict.BENIGN),
            series=(writer.add_series(f"P{number}", 0, SequenceKind.T1, painted(box), [(box,) if box else ()] * 3),),
        )
        for number, box in enumerate(boxes)
    ]
    writer.close(patients)
    return Cohort(folder=folder, patients=tuple(patients), truths={})


def shown(patients: Sequence[LabelledPatient]) -> list[NDArray[np.uint8]]:
    return [patient.series[0].images() for patient in patients]


def names(patients: Sequence[LabelledPatient]) -> list[str]:
    return [patient.patient_id for patient in patients]


def test_shuffled_labels_keep_images_and_counts_but_not_who_has_which(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION] * 40 + [None])

    dealt = shuffled_labels(seen, tmp_path / "dealt", seed=1)

    before = [patient.verdict for patient in seen.with_lesion]
    after = [patient.verdict for patient in dealt]
    assert names(dealt) == names(seen.with_lesion)
    assert after.count(Verdict.MALIGNANT) == before.count(Verdict.MALIGNANT)
    assert 10 < sum(one is other for one, other in zip(before, after, strict=True)) < 30
    assert all(np.array_equal(a, b) for a, b in zip(shown(dealt), shown(seen.with_lesion), strict=True))


@pytest.mark.parametrize("malignant", [10, 20, 33])
def test_labels_are_dealt_to_both_classes_alike_so_that_none_leans_to_the_truth(tmp_path: Path, malignant: int) -> None:
    seen = cohort(tmp_path / "seen", [LESION] * 40, malignant=[n < malignant for n in range(40)])

    dealt = [one.verdict is Verdict.MALIGNANT for one in shuffled_labels(seen, tmp_path / "dealt", seed=1)]

    assert sum(dealt) == malignant
    assert sum(dealt[:malignant]) / malignant == pytest.approx(malignant / 40, abs=0.5 / malignant)


def test_other_seeds_deal_other_labels(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION] * 40)

    first, second = (shuffled_labels(seen, tmp_path / str(seed), seed=seed) for seed in (1, 2))

    assert [patient.verdict for patient in first] != [patient.verdict for patient in second]


def test_the_edges_of_the_images_show_no_lesion_and_a_lesion_that_reaches_them_is_left_out(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION, WIDE, None])

    edges = style_only(seen, tmp_path / "edges", seed=1)

    assert names(edges) == ["P0"]
    assert LESION_GREY not in shown(edges)[0]
    assert shown(edges)[0].shape == (3, ROWS, 28)


def test_confounded_labels_follow_the_site_alone_on_the_same_images(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION] * 18)
    edges = [
        replace(one, site=f"S{number % 9:02d}")
        for number, one in enumerate(style_only(seen, tmp_path / "edges", seed=1))
    ]

    confounded = confounded_with_site(edges, tmp_path / "confounded")

    verdicts = {one.site: {other.verdict for other in confounded if other.site == one.site} for one in confounded}
    assert all(len(of_site) == 1 for of_site in verdicts.values())
    assert set.union(*verdicts.values()) == set(Verdict)
    assert all(np.array_equal(a, b) for a, b in zip(shown(confounded), shown(edges), strict=True))


def test_with_nothing_masked_the_same_part_of_the_same_patients_is_shown_lesion_and_all(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION, TALL, None])

    masked, visible = (
        make(seen, tmp_path / make.__name__, pixel_mm=PIXEL_MM, seed=1) for make in (lesion_masked, lesion_visible)
    )

    (hidden,), (open_,) = shown(masked), shown(visible)
    assert names(visible) == names(masked)
    assert LESION_GREY in open_
    assert np.array_equal(np.where(hidden == 0, 0, open_), hidden)


def test_a_masked_lesion_is_nowhere_and_what_is_above_and_below_it_stays(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION, TALL, None])

    masked = lesion_masked(seen, tmp_path / "masked", pixel_mm=PIXEL_MM, seed=1)

    (images,) = shown(masked)
    assert names(masked) == ["P0"]
    assert LESION_GREY not in images
    blank = (images == 0).all(axis=(0, 2))
    assert blank.sum() == pytest.approx(60 / PIXEL_MM, abs=1)
    assert not blank[[0, -1]].any()


def test_the_height_of_the_mask_does_not_tell_the_height_of_the_lesion(tmp_path: Path) -> None:
    flat, high = Box(x0=45, y0=44, x1=55, y1=46), Box(x0=45, y0=37, x1=55, y1=53)
    seen = cohort(tmp_path / "seen", [flat, high])

    masked = lesion_masked(seen, tmp_path / "masked", pixel_mm=PIXEL_MM, seed=1)

    blanks = [int((images == 0).all(axis=(0, 2)).sum()) for images in shown(masked)]
    assert len(blanks) == 2
    assert abs(blanks[0] - blanks[1]) <= 1


def test_every_slice_of_a_control_counts_as_labelled_so_that_their_number_tells_nothing(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION])

    for control in (
        style_only(seen, tmp_path / "edges", seed=1),
        lesion_masked(seen, tmp_path / "masked", pixel_mm=PIXEL_MM, seed=1),
        lesion_visible(seen, tmp_path / "visible", pixel_mm=PIXEL_MM, seed=1),
    ):
        assert control[0].series[0].labelled_slices == [0, 1, 2]


def test_a_control_that_is_there_is_used_as_it_is_and_one_cut_short_is_made_again(tmp_path: Path) -> None:
    seen = cohort(tmp_path / "seen", [LESION] * 4)
    first = shuffled_labels(seen, tmp_path / "dealt", seed=1)

    again = shuffled_labels(seen, tmp_path / "dealt", seed=2)
    (tmp_path / "dealt" / "patients.json").unlink()
    anew = shuffled_labels(seen, tmp_path / "dealt", seed=1)

    assert again == first == anew
    assert open_data_set(tmp_path / "dealt") == first
