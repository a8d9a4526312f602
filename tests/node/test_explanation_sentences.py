"""What the explanation page says is what was measured."""

import numpy as np

from inference.findings import Box
from inference.wff.explanation.saliency import Saliency
from node.explanation import sentences


def saliency(uncovered: float, covered: float, slices: int = 9) -> Saliency:
    maps = np.zeros((slices, 4, 4), dtype=np.float32)
    return Saliency(Box(x0=0, y0=0, x1=4, y1=4), tuple(range(slices)), maps, uncovered, covered)


def test_the_strength_of_a_map_is_the_largest_change_of_the_probability_by_one_window() -> None:
    said = sentences.strength(saliency(uncovered=0.81, covered=0.448))

    assert "one window (a fifth of the region wide and high, 4 slices deep)" in said
    assert "moves M by at most 36.2 points, from 81.0 % to 44.8 %." in said
    assert "little" not in said


def test_a_window_that_makes_the_answer_more_malignant_is_told_as_well() -> None:
    assert "at most 40.0 points, from 20.0 % to 60.0 %" in sentences.strength(saliency(0.2, 0.6))


def test_a_clip_of_few_slices_is_covered_by_flatter_windows_and_the_page_says_so() -> None:
    assert "high, 1 slice deep)" in sentences.strength(saliency(0.2, 0.6, slices=2))


def test_a_window_that_moves_the_answer_by_less_than_five_points_is_called_little() -> None:
    assert sentences.strength(saliency(0.98, 0.94)).endswith("That is little: no single window matters much.")
