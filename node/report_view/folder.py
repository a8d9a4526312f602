"""The folder that a report is shown in. It holds patient data: our own user alone may read it."""

import os
import re
from pathlib import Path
from typing import Final

from node.errors import NodeError

INDEX: Final = "index.html"
MARK: Final = ".spinenode-report"  # tells our folders; written first, so that an interrupted run leaves one, too
_OURS: Final = re.compile(r"case-\d+-[a-z-]+-\d+(-\d+)?\.(html|png|pdf)|" + re.escape(INDEX))
_MARK_TEXT: Final = "Written by `spinenode report show`, which replaces what it wrote. Holds patient data.\n"


class OutputFolder:
    """A folder for one report. What an earlier run wrote is replaced; nothing else is ever touched."""

    def __init__(self, path: Path) -> None:
        """Make the folder, or take over one that is empty or holds an earlier output alone.

        Raises NodeError when it holds anything else, OSError when it cannot be made.
        """
        self.path = path.absolute()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        present = {entry.name: entry for entry in self.path.iterdir()}
        is_ours = MARK in present
        strangers = sorted(
            name for name, entry in present.items() if not (is_ours and _is_ours(name) and _is_plain(entry))
        )
        if strangers:
            some = ", ".join(strangers[:3])
            raise NodeError(f"{path} holds files that this command did not write ({some}); name another folder: --out")
        self.path.chmod(0o700)
        for entry in present.values():
            if entry.name != MARK:
                entry.unlink()
        if not is_ours:
            self._write(MARK, _MARK_TEXT.encode())

    def write(self, name: str, content: bytes) -> None:
        if not _OURS.fullmatch(name):
            raise ValueError(f"{name!r} would not be known as a file of ours again")
        self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(self.path / name, flags, 0o600), "wb") as file:
            file.write(content)


def _is_ours(name: str) -> bool:
    return name == MARK or _OURS.fullmatch(name) is not None


def _is_plain(entry: Path) -> bool:
    return entry.is_file() and not entry.is_symlink()
