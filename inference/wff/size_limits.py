"""What sizes of the networks can be at all: generous limits, beyond which no memory or time would do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_LEVELS: Final = 5  # of the feature pyramid
_STAGES: Final = 4


@dataclass(frozen=True, slots=True)
class Limits:
    least: float
    most: float
    count: int | None = None  # values of a list; None with a list: one or more
    multiple_of: int = 1


_CHANNELS: Final = Limits(1, 8192)
_PROPOSALS: Final = Limits(1, 100_000, count=2)

BACKBONE_LIMITS: Final = {
    "blocks": Limits(1, 100, count=_STAGES),
    "planes": Limits(1, 8192, count=_STAGES),
    "stem_channels": _CHANNELS,
    "groups": Limits(1, 128),
    "width_per_group": _CHANNELS,
    "deformable": Limits(0, 1, count=_STAGES),
    "norm_groups": _CHANNELS,
    # a block gives 4 channels per plane
    "fen_channels": Limits(4, 16384, count=_LEVELS, multiple_of=4),
    "fpn_channels": _CHANNELS,
}
DETECTOR_LIMITS: Final = {
    "image_size": Limits(64, 4096, multiple_of=64),  # the coarsest stride
    "anchor_sizes": Limits(1, 4096, count=_LEVELS),
    "aspect_ratios": Limits(0.01, 100.0),
    "rpn_train_proposals": _PROPOSALS,
    "rpn_test_proposals": _PROPOSALS,
    "rpn_batch": Limits(1, 100_000),
    "roi_batch": Limits(1, 100_000),
    "roi_hidden": Limits(1, 65_536),
    "score_threshold": Limits(0.0, 1.0),
    "nms_iou": Limits(0.0, 1.0),
    "maximum_boxes": Limits(1, 10_000),
}
SEQUENCE_LIMITS: Final = {
    "blocks": Limits(1, 100, count=_STAGES),
    "planes": Limits(1, 8192, count=_STAGES),
    "stem_channels": _CHANNELS,
    "groups": Limits(1, 128),
    "norm_groups": _CHANNELS,
    "clip_slices": Limits(1, 256),
    "clip_size": Limits(8, 1024),
    "margin": Limits(0.0, 10.0),
    "dropout": Limits(0.0, 0.99),
}


def require_limits(config: Any, limits: Mapping[str, Limits]) -> None:
    """Raises ValueError naming the field of `config` that is beyond its limits."""
    for name, limit in limits.items():
        value = getattr(config, name)
        values = value if isinstance(value, tuple) else (value,)
        if (limit.count is not None and len(values) != limit.count) or not values:
            raise ValueError(f"{name} has {len(values)} values, expected {limit.count or 'at least one'}")
        for one in values:
            _require(name, one, limit)


def _require(name: str, value: object, limit: Limits) -> None:
    if not isinstance(value, int | float) or value != value:
        raise ValueError(f"{name} is {value!r}, expected a number")
    if value < limit.least:
        raise ValueError(f"{name} is {value}, expected at least {limit.least}")
    if value > limit.most:
        raise ValueError(f"{name} is {value}, expected at most {limit.most}")
    if limit.multiple_of > 1 and value % limit.multiple_of:
        raise ValueError(f"{name} is {value}, expected a multiple of {limit.multiple_of}")
