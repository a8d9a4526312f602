import numpy as np
import pytest
import torch

from inference.findings import Box
from inference.wff.config import SequenceConfig
from inference.wff.networks.preprocessing import (
    Letterbox,
    clip_of,
    crop_region,
    fill_to,
    letterbox,
    pick_slices,
)


@pytest.mark.parametrize(("rows", "columns"), [(512, 512), (320, 192), (224, 448), (300, 301)])
def test_a_box_goes_to_the_square_and_back_unchanged(rows: int, columns: int) -> None:
    frame = Letterbox(rows, columns, 256)
    box = Box(x0=10.25, y0=20.5, x1=100.0, y1=columns / 4)

    back = frame.to_image(frame.to_square(box))

    assert (back.x0, back.y0, back.x1, back.y1) == pytest.approx((box.x0, box.y0, box.x1, box.y1))


def test_a_box_that_leaves_the_image_is_clipped_to_it() -> None:
    frame = Letterbox(100, 50, 200)

    box = frame.to_image(Box(x0=-4, y0=10, x1=150, y1=220))

    assert box == Box(x0=0.0, y0=5.0, x1=50, y1=100)


def test_the_letterboxed_object_lies_under_the_letterboxed_box() -> None:
    images = np.zeros((1, 60, 120), dtype=np.uint8)
    images[0, 20:40, 30:60] = 200

    x, frame = letterbox(images, 240)

    bright = x[0, 0] > 1
    ys, xs = torch.nonzero(bright, as_tuple=True)
    box = frame.to_square(Box(x0=30, y0=20, x1=60, y1=40))
    assert [xs.min().item(), ys.min().item()] == [box.x0, box.y0]
    assert [xs.max().item() + 1, ys.max().item() + 1] == [box.x1, box.y1]


def test_slices_are_z_scored_one_by_one_and_the_filling_is_the_mean() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, size=(3, 64, 32), dtype=np.uint8)
    images[1] //= 4

    x, _ = letterbox(images, 64)

    assert x.shape == (3, 3, 64, 64)
    inside = x[:, :, :, :32]
    assert torch.allclose(inside.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(inside.std(dim=(1, 2, 3), correction=0), torch.ones(3), atol=1e-3)
    assert not x[:, :, :, 32:].any()


def test_a_flat_slice_stays_finite() -> None:
    x, _ = letterbox(np.full((1, 8, 8), 7, dtype=np.uint8), 8)

    assert torch.isfinite(x).all()


def test_five_slices_fill_a_clip_of_sixteen_in_turn_and_sorted() -> None:
    assert fill_to([0, 1, 2, 3, 4], 16) == sorted(i % 5 for i in range(16))


def test_no_slice_cannot_be_repeated() -> None:
    with pytest.raises(ValueError, match="at least one slice"):
        fill_to([], 4)


@pytest.mark.parametrize(
    ("centre", "expected"),
    [(2, [2, 3, 5, 6]), (6, [3, 5, 6, 7]), (9, [6, 7, 8, 9])],
)
def test_more_voting_slices_than_the_clip_holds_give_the_run_round_the_largest_box(
    centre: int, expected: list[int]
) -> None:
    assert pick_slices([2, 3, 5, 6, 7, 8, 9], centre, 4) == expected


def test_a_crop_covers_the_box_on_whole_pixels_inside_the_image() -> None:
    region = crop_region(Box(x0=10.5, y0=0.2, x1=20.5, y1=10.2), rows=50, columns=22, margin=0.2)

    assert region == Box(x0=8, y0=0, x1=22, y1=13)


def test_a_tiny_box_at_the_edge_still_gives_a_crop() -> None:
    region = crop_region(Box(x0=49.6, y0=49.6, x1=50, y1=50), rows=50, columns=50, margin=0.0)

    assert region == Box(x0=46, y0=46, x1=50, y1=50)


def test_a_clip_cuts_the_same_place_from_every_chosen_slice() -> None:
    images = np.zeros((4, 40, 40), dtype=np.uint8)
    images[2, 10:20, 10:20] = 100
    config = SequenceConfig(clip_slices=3, clip_size=10)

    clip = clip_of(images, Box(x0=10, y0=10, x1=20, y1=20), [1, 2, 2], config)

    assert clip.shape == (3, 10, 10)
    assert (clip[1] > 0).all()
    assert (clip[0] < 0).all()
    assert torch.equal(clip[1], clip[2])
