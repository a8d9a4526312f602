"""Names of files without their folders: how somebody's machine is laid out is nobody else's business.

What stays on the machine (run.json, settings.toml) keeps whole paths; what goes into a bundle has names alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath, PureWindowsPath
from typing import Any, Final

_FILES: Final = frozenset({"initial_weights", "split_file", "license_file"})  # keys of the settings


def name_of(file: str) -> str:
    """The last part of a path, of either kind of separator; "" stays."""
    return PureWindowsPath(PurePath(file).name).name


def without_folders(settings: Any) -> Any:
    """Settings as plain data, also tables of overrides, with the names of the files that they name."""
    if isinstance(settings, Mapping):
        return {
            key: name_of(value) if key in _FILES and isinstance(value, str) else without_folders(value)
            for key, value in settings.items()
        }
    if isinstance(settings, list | tuple):
        return [without_folders(one) for one in settings]
    return settings


def command_without_folders(command: Sequence[str]) -> list[str]:
    """`--option=folder/file` keeps its option."""
    return [_word(part) for part in command]


def _word(part: str) -> str:
    option, equals, value = part.partition("=")
    if part.startswith("-") and equals:
        return f"{option}={_word(value)}"
    return (name_of(part) or "...") if "/" in part or "\\" in part else part
