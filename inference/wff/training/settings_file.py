"""Training settings from and to TOML."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from inference.errors import SettingsError
from inference.wff.training.presets import settings_of
from inference.wff.training.settings import Candidate, Preset, TrainingSettings
from inference.wff.training.tables import comment_of, keys_of, overridden

_MAY_DIFFER: Final = ("detector", "sequence", "architecture")  # between candidates

_HEAD: Final = """\
# Training of the weighted fusion framework: spinenode train wff --data DATASET --config THIS --out RUN
# Every key may be left out; what is shown is its default.
"""

# Keys of the architecture: their classes are shared with the networks, which need no comments for people.
_ARCHITECTURE: Final = {
    "blocks": "residual blocks of each stage",
    "planes": "width of each stage; the detector's stages give 4 times, the classifier's 2 times as many channels",
    "stem_channels": "of the first convolution",
    "groups": "of the 3x3 convolutions (cardinality)",
    "width_per_group": "channels of one group per 64 planes",
    "deformable": "deformable 3x3 convolutions, per stage",
    "norm": "group or batch; batch needs large batches, or statistics that came with `initial_weights`",
    "norm_groups": "of group normalisation",
    "fen": "paper: five scales by 1x1 adapters and one more block; standard: the four stages and a pooled fifth",
    "fen_channels": "maps at 1/4 .. 1/64, with fen = paper",
    "fpn_channels": "of every level of the feature pyramid",
    "image_size": "side of the square that a slice is fitted into, pixels, a multiple of 64",
    "anchor_sizes": "one per level, pixels of the square",
    "aspect_ratios": "of the anchors, height to width",
    "rpn_train_proposals": "before and after suppression",
    "rpn_test_proposals": "before and after suppression",
    "rpn_batch": "anchors per slice in the loss",
    "roi_batch": "proposals per slice in the loss",
    "roi_hidden": "width of the two layers of the region head",
    "score_threshold": "detections below are dropped; low on purpose: recall",
    "nms_iou": "of two boxes of one class that overlap more, the better stays",
    "maximum_boxes": "per slice",
    "variant": "3d, or 2d: slices as input channels (the paper's ablation)",
    "clip_slices": "slices of a clip (the paper: 4, 8 or 16; 16 is best)",
    "clip_size": "side of a clip, pixels",
    "margin": "round the box, on each side, as a share of the box side",
    "dropout": "before the last layer",
}


def read_settings(file: Path | None) -> TrainingSettings:
    """The settings of a TOML file; None: the defaults.

    Raises SettingsError naming file and key: unknown, of a wrong kind, out of its limits. Candidates are checked too.
    """
    if file is None:
        return settings_of(Preset.PAPER)
    return settings_from_toml(_text(file), file.name)


def settings_from_toml(text: str, where: str) -> TrainingSettings:
    """`where` names the text in messages. Raises SettingsError."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise SettingsError(f"{where} is no TOML: {error}") from error
    base = settings_of(_preset(table, where))
    candidates = _take_candidates(table, where)
    settings = overridden(base, table, where)
    if candidates is None:
        return settings
    settings = replace(settings, cross_validation=replace(settings.cross_validation, candidates=candidates))
    for number, candidate in enumerate(candidates, 1):
        settings.with_candidate(candidate, f"{where}, candidate {number}")
    return settings


def settings_as_toml(settings: TrainingSettings) -> str:
    """Every key with its value and its comment."""
    return _HEAD + "\n" + "\n".join(_lines(settings, ()))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is no text in UTF-8: {error.reason}") from error


def _preset(table: Mapping[str, Any], where: str) -> Preset:
    name = table.get("preset", Preset.PAPER.value)
    if name not in [str(preset) for preset in Preset]:
        raise SettingsError(f"{where}: preset is {name!r}, expected one of {', '.join(Preset)}")
    return Preset(name)


def _take_candidates(table: dict[str, Any], where: str) -> tuple[Candidate, ...] | None:
    """Takes the candidates out of the table; None: the file names none."""
    cross_validation = table.get("cross_validation")
    if not isinstance(cross_validation, dict) or "candidates" not in cross_validation:
        return None
    tables = cross_validation.pop("candidates")
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        raise SettingsError(f"{where}: cross_validation.candidates is {tables!r}, expected a list of tables")
    for number, one in enumerate(tables, 1):
        for name in one:
            if name not in _MAY_DIFFER:
                raise SettingsError(
                    f"{where}, candidate {number}: only {', '.join(_MAY_DIFFER)} may differ, not {name!r}"
                )
    return tuple(Candidate(overrides=one) for one in tables)


def _lines(settings: Any, path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"[{'.'.join(path)}]"
    for one, value in keys_of(settings):
        if not is_dataclass(value):
            comment = comment_of(one) or _ARCHITECTURE.get(one.name, "")
            yield f"{one.name} = {as_toml(value)}" + (f"  # {comment}" if comment else "")
    yield ""
    for one, value in keys_of(settings):
        if is_dataclass(value):
            yield from _lines(value, (*path, one.name))


def as_toml(value: Any) -> str:
    if isinstance(value, Candidate):
        value = value.overrides
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_name(name)} = {as_toml(one)}" for name, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, StrEnum):
        return json.dumps(value.value)
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


def _name(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)
