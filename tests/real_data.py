"""Real DICOM for tests, read where it is: beside the project, or in the folder named by SPINENODE_TEST_DATA."""

import os
from pathlib import Path
from typing import Final

import pytest

SHARED_DATA: Final = Path(os.environ.get("SPINENODE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
NO_SHARED_DATA: Final = f"no shared test data at {SHARED_DATA} (SPINENODE_TEST_DATA names another folder)"
needs_shared_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason=NO_SHARED_DATA)


def real_data(name: str) -> Path:
    """The folder of a set of real DICOM files; skips the test where it is absent."""
    if not (SHARED_DATA / name).is_dir():
        pytest.skip(f"no set {name}: {NO_SHARED_DATA}")
    return SHARED_DATA / name
