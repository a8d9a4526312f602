"""What a benchmark must tell of its machine, so that its numbers can be judged."""

import os
import platform
from pathlib import Path


def describe(folder: Path) -> dict[str, object]:
    """Cores that may be used, kernel, how busy the machine was, and the file system that is written to."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "kernel": platform.release(),
        "file_system": file_system(folder),
        "load_average": round(os.getloadavg()[0], 2),
    }


def file_system(folder: Path) -> str:
    """Type of the file system that holds the folder: synced writes to `tmpfs` would mean nothing."""
    resolved = folder.resolve()
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    holding = [(len(point), kind) for _, point, kind, *_ in mounts if resolved.is_relative_to(point)]
    return max(holding)[1] if holding else "unknown"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
