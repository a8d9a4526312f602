"""A command in an interpreter of its own, which has imported nothing else."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def torch_is_loaded_by(*command: str) -> bool:
    """Runs `spinenode` with these arguments in the current folder; the command must succeed."""
    program = (
        f"import sys\nfrom node.cli import main\nstatus = main({list(command)!r})\n"
        "print('torch' in sys.modules, status)"
    )

    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )

    loaded, status = run.stdout.splitlines()[-1].split() if run.stdout else ("", "no status")
    assert status == "0", run.stderr
    return loaded == "True"
