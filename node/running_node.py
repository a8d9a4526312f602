"""Whether a node runs on a data folder (SQLite: one node per folder, which holds a lock while it runs)."""

import fcntl
import os
from pathlib import Path
from typing import Final

LOCK_FILE: Final = "spinenode.lock"  # holds the process id of the node that runs, or ran last


def is_running(data_dir: Path) -> bool:
    """Whether the lock is held. It is touched only when the process it names lives: a node may start just now."""
    try:
        with (data_dir / LOCK_FILE).open() as file:
            if not _lives(int(file.read().strip())):
                return False
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, ValueError):  # no lock yet, or one without a number
        return False
    return False


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except PermissionError:  # another user's
        return True
    except (OSError, OverflowError):
        return False
    return True
