"""Runs the command line tools."""

import subprocess
from pathlib import Path


def run(*command: str | Path, timeout_s: float = 120) -> tuple[int, list[str]]:
    """Exit status and all lines of stdout and stderr that are not empty; undecodable bytes are replaced."""
    done = subprocess.run([str(part) for part in command], capture_output=True, timeout=timeout_s, check=False)
    said = done.stdout.decode(errors="replace") + "\n" + done.stderr.decode(errors="replace")
    return done.returncode, [line.rstrip() for line in said.splitlines() if line.strip()]
