from dataclasses import replace

import numpy as np
import pytest
import torch

from inference.wff.training.augmentation import (
    NO_GREY_CHANGES,
    NO_MOVEMENT,
    ClipMovement,
    FieldOfView,
    GreyChanges,
    Movement,
    change_grey_values,
    move,
    move_clip,
    narrow,
)
from inference.wff.training.self_cut_mix import Patch, SelfCutMix, cut_patches, overlaps, self_cut_mix

ALWAYS = SelfCutMix(probability=1.0)


def boxes_of(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, dtype=np.float32).reshape(-1, 4)


def test_a_patch_is_the_labelled_region() -> None:
    image = np.arange(400, dtype=np.float32).reshape(20, 20)

    (patch,) = cut_patches(image, boxes_of((2, 3, 8, 9)))

    assert np.array_equal(patch.pixels, image[3:9, 2:8])


@pytest.mark.parametrize("seed", range(20))
def test_pasted_lesions_are_labelled_near_the_spine_and_apart_from_others(seed: int) -> None:
    image = np.zeros((200, 200), dtype=np.float32)
    own = boxes_of((90, 90, 120, 120))

    mixed, boxes = self_cut_mix(
        image, own, [Patch(np.full((30, 30), 200, dtype=np.float32))], ALWAYS, np.random.default_rng(seed)
    )

    added = boxes[1:]
    assert 1 <= len(added) <= 2
    for n, (x0, y0, x1, y1) in enumerate(added):
        assert 14 <= x1 - x0 <= 30
        assert 14 <= y1 - y0 <= 30
        assert abs((x0 + x1) / 2 - 105) <= 0.15 * 200 + 1
        assert 0.1 * 200 - 1 <= (y0 + y1) / 2 <= 0.9 * 200 + 1
        assert (mixed[int(y0) : int(y1), int(x0) : int(x1)] > 199).all()
        assert overlaps(added[n], boxes[: n + 1]).max() < 0.1
    assert not image.any(), "the slice of the data set must stay as it is"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("own", "side"),
    [
        # one paste over one of these covers it whole at an IoU below .1
        (boxes_of(*[(100, y, 106, y + 6) for y in range(10, 190, 20)]), 80),
        # many pastes over this one cover it together
        (boxes_of((98, 20, 108, 180)), 24),
    ],
)
def test_pastes_never_bury_a_lesion(own: np.ndarray, side: int, seed: int) -> None:
    patch = Patch(np.full((side, side), 200, dtype=np.float32))
    many = SelfCutMix(probability=1.0, maximum_pastes=12, cover=0.2)

    mixed, _ = self_cut_mix(np.zeros((200, 200), np.float32), own, [patch], many, np.random.default_rng(seed))

    covered = [(mixed[int(y0) : int(y1), int(x0) : int(x1)] > 0).mean() for x0, y0, x1, y1 in own]
    assert max(covered) <= 0.2 + 1e-6


def test_small_lesions_beside_large_ones_still_get_pastes() -> None:
    small = boxes_of((90, 90, 96, 96))
    patch = Patch(np.full((40, 40), 200, dtype=np.float32))

    mixed = [
        self_cut_mix(np.zeros((200, 200), np.float32), small, [patch], ALWAYS, np.random.default_rng(seed))[1]
        for seed in range(20)
    ]

    assert sum(len(boxes) > 1 for boxes in mixed) >= 18


def test_a_slice_without_lesion_gets_no_paste() -> None:
    image = np.zeros((50, 50), dtype=np.float32)

    mixed, boxes = self_cut_mix(
        image, boxes_of(), [Patch(np.ones((9, 9), dtype=np.float32))], ALWAYS, np.random.default_rng(0)
    )

    assert mixed is image
    assert len(boxes) == 0


@pytest.mark.parametrize("seed", range(10))
def test_a_moved_lesion_lies_under_its_moved_box(seed: int) -> None:
    image = torch.zeros(1, 128, 160)
    image[0, 50:74, 60:90] = 100.0

    moved, boxes = move(image, boxes_of((60, 50, 90, 74)), Movement(), np.random.default_rng(seed))

    ys, xs = torch.nonzero(moved[0] > 50, as_tuple=True)
    found = [xs.min().item(), ys.min().item(), xs.max().item() + 1, ys.max().item() + 1]
    assert found == pytest.approx(boxes[0].tolist(), abs=1.0)


def test_a_box_that_leaves_the_image_is_dropped() -> None:
    shifted = Movement(scale=(1.0, 1.0), shift=0.5)
    rng = np.random.default_rng(3)

    kept = [len(move(torch.zeros(1, 64, 64), boxes_of((0, 0, 8, 8)), shifted, rng)[1]) for _ in range(40)]

    assert set(kept) == {0, 1}


@pytest.mark.parametrize("blank", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(10))
def test_a_lesion_at_the_edge_of_a_narrow_field_of_view_ends_with_it_and_so_does_its_box(
    seed: int, blank: float
) -> None:
    image = np.full((96, 128), 50.0, dtype=np.float32)
    image[20:50, 10:60] = 100.0
    narrowing = FieldOfView(probability=1.0, kept=(0.5, 0.9), blank_probability=blank, visible=0.0)

    narrowed, boxes = narrow(image, boxes_of((10, 20, 60, 50)), narrowing, np.random.default_rng(seed))

    ys, xs = np.nonzero(narrowed == 100.0)
    assert boxes[0].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    shown = narrowed > 0.0
    assert (narrowed.shape == image.shape) == bool(blank)
    assert 0.25 * image.size <= shown.sum() <= 0.82 * image.size
    assert shown.all() or blank


def test_a_lesion_of_which_a_narrow_field_of_view_shows_little_has_no_box() -> None:
    narrowing = FieldOfView(probability=1.0, kept=(0.5, 0.5), visible=0.6)
    rng = np.random.default_rng(3)

    kept = [
        len(narrow(np.ones((64, 64), dtype=np.float32), boxes_of((24, 24, 40, 40)), narrowing, rng)[1])
        for _ in range(40)
    ]

    assert set(kept) == {0, 1}


def test_a_lesion_that_is_cut_off_has_no_box_however_little_of_it_is_asked_for() -> None:
    """A box without area has no size that a detector could learn."""
    anything = FieldOfView(probability=1.0, kept=(0.3, 0.5), visible=0.0)
    shifted = Movement(scale=(1.0, 1.0), shift=0.5, visible=0.0)
    corner, rng = boxes_of((0, 0, 8, 8)), np.random.default_rng(3)

    narrowed = [narrow(np.ones((64, 64), dtype=np.float32), corner, anything, rng)[1] for _ in range(40)]
    moved = [move(torch.zeros(1, 64, 64), corner, shifted, rng)[1] for _ in range(40)]

    for boxes in (narrowed, moved):
        assert {len(one) for one in boxes} == {0, 1}
        assert all((one[:, 2:] > one[:, :2]).all() for one in boxes)


def test_a_field_of_view_is_narrowed_as_often_as_asked_for_and_never_widened() -> None:
    image = np.ones((64, 64), dtype=np.float32)

    assert narrow(image, boxes_of(), FieldOfView(), np.random.default_rng(1))[0] is image
    with pytest.raises(ValueError, match="kept"):
        FieldOfView(kept=(0.5, 1.2))


def test_shading_is_smooth_and_another_one_each_time() -> None:
    flat, shading = torch.full((2, 64, 48), 100.0), replace(NO_GREY_CHANGES, shading=0.5)
    rng = np.random.default_rng(5)

    once, again = change_grey_values(flat, shading, rng), change_grey_values(flat, shading, rng)

    assert once.max() - once.min() > 20.0
    assert once.mean() == pytest.approx(100.0, abs=3.0)
    assert once.diff(dim=-1).abs().max() < 8.0
    assert torch.equal(once[0], once[1])
    assert not torch.allclose(once, again)
    assert torch.equal(change_grey_values(flat, NO_GREY_CHANGES, rng), flat)


def test_grey_values_stay_in_range_and_repeat_with_their_seed() -> None:
    x = torch.linspace(0, 255, 4096).reshape(1, 64, 64)

    once = change_grey_values(x, GreyChanges(), np.random.default_rng(7))
    again = change_grey_values(x, GreyChanges(), np.random.default_rng(7))

    assert torch.equal(once, again)
    assert not torch.equal(once, x)
    assert 0 <= once.min() <= once.max() <= 255


def test_a_flipped_lesion_lies_under_its_flipped_box() -> None:
    image = torch.zeros(1, 64, 80)
    image[0, 20:30, 10:26] = 100.0

    moved, boxes = move(
        image, boxes_of((10, 20, 26, 30)), replace(NO_MOVEMENT, flip_probability=1.0), np.random.default_rng(0)
    )

    assert boxes.tolist() == [[54, 20, 70, 30]]
    assert (moved[0, 20:30, 54:70] > 99).all()
    assert moved.sum().item() == pytest.approx(image.sum().item(), rel=1e-3)


def test_a_mirrored_clip_has_its_slices_in_reverse_order_and_a_flipped_one_its_rows() -> None:
    clip = torch.arange(24.0).reshape(2, 3, 4)
    rng = np.random.default_rng(0)

    mirrored = move_clip(clip, ClipMovement(mirror_probability=1.0), rng)
    flipped = move_clip(clip, ClipMovement(flip_probability=1.0), rng)

    assert torch.equal(mirrored, clip[[1, 0]])
    assert torch.equal(flipped, clip[:, [2, 1, 0]])
    assert torch.equal(move_clip(clip, ClipMovement(), rng), clip)


@pytest.mark.parametrize("seed", range(5))
def test_a_turned_and_stretched_clip_keeps_its_middle_and_its_shape(seed: int) -> None:
    clip = torch.zeros(3, 33, 33)
    clip[:, 12:21, 12:21] = 100.0

    moved = move_clip(clip, ClipMovement(turn_degrees=90.0, stretch=0.3), np.random.default_rng(seed))

    assert moved.shape == clip.shape
    assert torch.all(moved[:, 16, 16] > 99.0)
    assert not torch.equal(moved, clip)
    assert moved[:, :2].max() < 1.0
