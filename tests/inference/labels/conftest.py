from pathlib import Path

import pytest

from tests.inference.labels.hospital_folder import HospitalFolder


@pytest.fixture
def hospital(tmp_path: Path) -> HospitalFolder:
    root = tmp_path / "studies"
    root.mkdir()
    return HospitalFolder(root)
