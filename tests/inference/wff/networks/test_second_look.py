"""What half precision finds near the threshold is measured in full precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from inference.runtime import Device, Precision, Runtime
from inference.wff.config import FusionConfig
from inference.wff.networks.batches import SliceBoxes
from inference.wff.networks.detector import BENIGN, MALIGNANT
from inference.wff.networks.second_look import MARGIN, SecondLook
from inference.wff.reading import lesions_of
from tests.inference.wff.networks.lively import lively_model

IN_FULL = Runtime(device=Device.CPU, batch=1)  # among other slices the last bits of a score would differ
IN_HALF = replace(IN_FULL, precision=Precision.BF16)
NOTHING = -1.0


def images_that_score(*scores: float) -> Tensor:
    """Images (B, 3, 1, 1) for `quick`: an image is its score."""
    return torch.tensor(scores)[:, None, None, None].expand(-1, 3, 1, 1)


def quick(images: Tensor) -> Tensor:
    return places(images[:, 0, 0, 0], x=10.0)


class Full:
    """Finds every box two pixels beside where `quick` has it, and notes what it was shown."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.seen += images[:, 0, 0, 0].tolist()
        return places(images[:, 0, 0, 0], x=12.0)


def of_both_classes(images: Tensor) -> Tensor:
    """A benign and a malignant box, each with the score of the image."""
    found = places(images[:, 0, 0, 0], x=10.0)
    found[:, 1] = found[:, 0]
    found[:, 1, 4] = MALIGNANT
    return found


def places(scores: Tensor, *, x: float) -> Tensor:
    """A box of each score and a place without one, on every image."""
    real = torch.tensor([x, 0.0, x + 9.0, 9.0, BENIGN, 0.0]).repeat(len(scores), 1)
    real[:, 5] = scores
    none = torch.tensor([0.0, 0.0, 0.0, 0.0, BENIGN, NOTHING]).repeat(len(scores), 1)
    return torch.stack((real, none), dim=1)


def test_slices_with_a_box_near_the_threshold_or_above_are_looked_at_again_and_no_others() -> None:
    full = Full()
    look = SecondLook(quick, full, tau=0.7, unseen=0.05)

    found = look(images_that_score(0.9, 0.3, 0.65, NOTHING))

    assert full.seen == pytest.approx([0.9, 0.65])
    assert found[:, 0, 0].tolist() == [12.0, 10.0, 12.0, 10.0]
    assert found[:, 0, 5].tolist() == pytest.approx([0.9, 0.3, 0.65, NOTHING])


def test_a_slice_is_looked_at_again_where_both_classes_together_come_near_the_threshold() -> None:
    full = Full()

    SecondLook(of_both_classes, full, tau=0.7, unseen=0.05)(images_that_score(0.38, 0.35))

    assert full.seen == pytest.approx([0.38])


def test_a_class_that_a_full_list_of_the_other_crowds_out_may_score_what_the_last_of_the_list_does() -> None:
    full = Full()

    def crowded(images: Tensor) -> Tensor:
        found = of_both_classes(images)
        found[..., 4] = MALIGNANT
        return found

    SecondLook(crowded, full, tau=0.7, unseen=0.05)(images_that_score(0.38, 0.35))

    assert full.seen == pytest.approx([0.38])


def test_where_nothing_is_near_the_threshold_full_precision_is_not_asked() -> None:
    full = Full()

    SecondLook(quick, full, tau=0.7, unseen=0.05)(images_that_score(0.5, 0.1))

    assert full.seen == []


def test_a_slice_without_a_box_is_looked_at_again_where_a_box_too_weak_to_be_told_may_be_near_the_threshold() -> None:
    full = Full()

    SecondLook(quick, full, tau=0.55, unseen=0.5)(images_that_score(NOTHING))

    assert full.seen == [NOTHING]


def test_lesions_at_or_above_the_threshold_are_those_of_full_precision_whatever_the_threshold() -> None:
    images = np.random.default_rng(3).integers(0, 256, size=(24, 96, 96), dtype=np.uint8)
    full, half = lively_model(IN_FULL), lively_model(IN_HALF)
    best = [lesions_of(boxes, 0.0)[0].score for boxes in full.detect(images)]

    for tau in (float(np.quantile(best, 0.5)), max(best)):
        found, expected = (model.with_fusion(FusionConfig(tau=tau)).detect(images) for model in (half, full))

        assert [lesions_of(boxes, tau) for boxes in found] == [lesions_of(boxes, tau) for boxes in expected]
        assert any(lesions_of(boxes, tau) for boxes in found)


def test_half_precision_alone_scores_the_best_box_of_a_slice_much_closer_than_the_margin() -> None:
    """What the choice of the slices rests on."""
    images = np.random.default_rng(4).integers(0, 256, size=(24, 96, 96), dtype=np.uint8)
    never_again = FusionConfig(tau=1.0 + 2 * MARGIN)

    found, expected = (lively_model(runtime).with_fusion(never_again).detect(images) for runtime in (IN_HALF, IN_FULL))

    moved = [abs(best_lesion(ours) - best_lesion(theirs)) for ours, theirs in zip(found, expected, strict=True)]
    assert 0.0 < max(moved) < 0.05


def best_lesion(boxes: SliceBoxes) -> float:
    return lesions_of(boxes, 0.0)[0].score
