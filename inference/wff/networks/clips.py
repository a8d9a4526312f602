"""Which part of a sequence its classifier reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from inference.findings import Box
from inference.wff.config import SequenceConfig
from inference.wff.networks.batches import Images, SliceBoxes
from inference.wff.networks.preprocessing import clip_of, crop_region, pick_slices
from inference.wff.reading import largest_box, voting_slices


@dataclass(frozen=True, slots=True)
class Clip:
    region: Box  # whole pixels, the same on every slice
    slices: tuple[int, ...]  # of the sequence, one per slice of the clip; some twice where few vote
    values: Tensor  # (N, size, size), z-scored


def choose_clip(images: Images, found: Sequence[SliceBoxes], tau: float, settings: SequenceConfig) -> Clip | None:
    """The largest lesion with score >= tau, cut from the voting slices round it; None where no slice votes."""
    largest = largest_box(found, tau)
    if largest is None:
        return None
    centre, chosen = largest
    rows, columns = images.shape[1:]
    region = crop_region(chosen.box, rows=rows, columns=columns, margin=settings.margin)
    slices = tuple(pick_slices(voting_slices(found, tau), centre, settings.clip_slices))
    return Clip(region, slices, clip_of(images, region, slices, settings))
