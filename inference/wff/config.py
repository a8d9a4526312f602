"""Sizes and rules of the weighted fusion framework, as frozen values.

`paper_config()` is the published architecture, `demo_config()` the small model shipped with the node, `micro_config()`
a toy for tests. All three are built by the same code. Numbers without a reason beside them are those of the paper
or of the public reference configurations it builds on.
"""

import math
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final, TypeVar

from inference.errors import BundleError
from inference.wff.size_limits import BACKBONE_LIMITS, DETECTOR_LIMITS, SEQUENCE_LIMITS, require_limits

_PLANES_OF_WIDTH: Final = 64  # `width_per_group` is the width at so many planes


class Norm(StrEnum):
    GROUP = "group"  # training from scratch with small batches
    BATCH = "batch"  # when weights pretrained with batch statistics are loaded


class Fen(StrEnum):
    """How five feature scales are taken from the four stages of the backbone."""

    PAPER = "paper"  # 1x1 adapters to the published channel counts and one more strided block for the fifth scale
    STANDARD = "standard"  # the stages as they are, the fifth scale by max-pooling the coarsest pyramid level


class ClipNet(StrEnum):
    THREE_D = "3d"
    TWO_D = "2d"  # slices as input channels: the paper's ablation


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    blocks: tuple[int, ...] = (3, 4, 23, 3)
    planes: tuple[int, ...] = (64, 128, 256, 512)  # a stage gives 4x as many channels
    stem_channels: int = 64
    groups: int = 32
    width_per_group: int = 4  # channels of one group per 64 planes
    deformable: tuple[bool, ...] = (False, True, True, True)  # 3x3 convolutions of C3, C4, C5
    norm: Norm = Norm.GROUP
    norm_groups: int = 32
    fen: Fen = Fen.PAPER
    fen_channels: tuple[int, ...] = (128, 256, 512, 1024, 2048)  # maps at 1/4 .. 1/64
    fpn_channels: int = 256

    def __post_init__(self) -> None:
        require_limits(self, BACKBONE_LIMITS)
        if min(self.planes) * self.width_per_group < _PLANES_OF_WIDTH:
            raise ValueError(
                f"planes are {self.planes} and width_per_group {self.width_per_group}, expected at least one channel "
                f"per group: their product is {_PLANES_OF_WIDTH} or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorConfig:
    backbone: BackboneConfig = BackboneConfig()
    image_size: int = 512  # letterbox side in pixels, a multiple of 64 (the coarsest stride)
    anchor_sizes: tuple[int, ...] = (16, 32, 64, 128, 256)  # one per level; lesions cover 20-200 px of 512
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_train_proposals: tuple[int, int] = (2000, 1000)  # before and after NMS
    rpn_test_proposals: tuple[int, int] = (1000, 300)  # 300: few lesions per slice
    rpn_batch: int = 256
    roi_batch: int = 512
    roi_hidden: int = 1024
    score_threshold: float = 0.05  # low on purpose: recall
    nms_iou: float = 0.5
    maximum_boxes: int = 100

    def __post_init__(self) -> None:
        require_limits(self, DETECTOR_LIMITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceConfig:
    variant: ClipNet = ClipNet.THREE_D
    blocks: tuple[int, ...] = (3, 4, 23, 3)
    planes: tuple[int, ...] = (128, 256, 512, 1024)  # of the 3x3 convolutions; a stage gives 2x as many channels
    stem_channels: int = 64
    groups: int = 32
    norm: Norm = Norm.GROUP
    norm_groups: int = 32
    clip_slices: int = 16
    clip_size: int = 112  # pixels
    margin: float = 0.0  # added on each side, as a fraction of the box side
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_limits(self, SEQUENCE_LIMITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionConfig:
    tau: float = 0.30  # a slice votes when a lesion scores at least this, of both classes together
    lambda_detector: float = 0.45
    lambda_sequence: float = 0.45
    lambda_age: float = 0.10
    calibration_slope: float = 1.0  # of the logit of P, before the votes; 1 and 0 change nothing
    calibration_intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.calibration_slope) and self.calibration_slope > 0.0):
            raise ValueError(f"calibration slope is {self.calibration_slope}, expected a finite number above 0")
        if not math.isfinite(self.calibration_intercept):
            raise ValueError(f"calibration intercept is {self.calibration_intercept}, expected a finite number")

    @property
    def is_calibrated(self) -> bool:
        return (self.calibration_slope, self.calibration_intercept) != (1.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WffConfig:
    detector: DetectorConfig = DetectorConfig()
    sequence: SequenceConfig = SequenceConfig()
    fusion: FusionConfig = FusionConfig()


def paper_config() -> WffConfig:
    """The published architecture: 74.7 M (detector; 62.5 M with `Fen.STANDARD`) and 47.5 M (classifier) parameters."""
    return WffConfig()


def demo_config() -> WffConfig:
    """Small enough to be trained on 4 CPU cores in some hours and to be shipped with the code."""
    return WffConfig(
        detector=DetectorConfig(
            backbone=BackboneConfig(
                blocks=(1, 2, 2, 1),
                planes=(16, 32, 64, 96),
                stem_channels=24,
                groups=8,
                width_per_group=16,
                norm_groups=8,
                fen_channels=(32, 64, 96, 128, 128),
                fpn_channels=48,
            ),
            image_size=256,
            anchor_sizes=(14, 24, 40, 64, 104),
            rpn_train_proposals=(400, 200),
            rpn_test_proposals=(300, 100),
            roi_batch=64,
            roi_hidden=256,
            maximum_boxes=20,
        ),
        sequence=SequenceConfig(
            blocks=(1, 1, 1, 1),
            planes=(32, 64, 96, 128),
            stem_channels=24,
            groups=8,
            norm_groups=8,
            clip_slices=8,
            clip_size=64,
            margin=0.5,
            dropout=0.4,
        ),
    )


def micro_config() -> WffConfig:
    """The smallest net that still has every part; for tests only."""
    return WffConfig(
        detector=DetectorConfig(
            backbone=BackboneConfig(
                blocks=(1, 1, 1, 1),
                planes=(8, 8, 16, 16),
                stem_channels=8,
                groups=2,
                width_per_group=32,
                norm_groups=4,
                fen_channels=(8, 8, 16, 16, 16),
                fpn_channels=16,
            ),
            image_size=128,
            anchor_sizes=(8, 16, 32, 64, 96),
            rpn_train_proposals=(100, 50),
            rpn_test_proposals=(100, 30),
            roi_batch=32,
            roi_hidden=32,
            maximum_boxes=10,
        ),
        sequence=SequenceConfig(
            blocks=(1, 1, 1, 1),
            planes=(8, 8, 16, 16),
            stem_channels=8,
            groups=2,
            norm_groups=4,
            clip_slices=4,
            clip_size=32,
        ),
    )


def config_to_json(config: WffConfig) -> dict[str, Any]:
    """Plain data for metadata.json."""
    return asdict(config)


def config_from_json(data: dict[str, Any]) -> WffConfig:
    """Raises BundleError naming the key that is unknown or of a wrong kind."""
    parts = dict(data)
    detector = dict(_part(parts, "detector"))
    backbone = _build(BackboneConfig, _part(detector, "backbone"))
    return WffConfig(
        detector=_build(DetectorConfig, {**detector, "backbone": backbone}),
        sequence=_build(SequenceConfig, _part(parts, "sequence")),
        fusion=_build(FusionConfig, _part(parts, "fusion")),
    )


_Config = TypeVar("_Config", BackboneConfig, DetectorConfig, SequenceConfig, FusionConfig)


def _part(data: dict[str, Any], name: str) -> dict[str, Any]:
    part = data.get(name)
    if not isinstance(part, dict):
        raise BundleError(f"configuration has no section {name!r}; the bundle's metadata.json is incomplete")
    return part


def _build(kind: type[_Config], data: dict[str, Any]) -> _Config:
    defaults = kind()
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise BundleError(f"configuration of {kind.__name__} has unknown keys {unknown}; use the release that made it")
    values = {name: _like(getattr(defaults, name), value, name) for name, value in data.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise BundleError(f"configuration of {kind.__name__}: {error}; install the bundle again") from error


def _like(default: Any, value: Any, name: str) -> Any:
    """`value` as read from JSON, in the type of `default`."""
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple):
            raise BundleError(f"configuration key {name!r} is {value!r}, expected a list")
        return tuple(value)
    if isinstance(default, StrEnum):
        allowed = [str(choice) for choice in type(default)]
        if value not in allowed:
            raise BundleError(f"configuration key {name!r} is {value!r}, expected one of {allowed}")
        return type(default)(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise BundleError(f"configuration key {name!r} is {value!r}, expected {type(default).__name__}")
    return value
