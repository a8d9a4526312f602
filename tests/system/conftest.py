"""What the system tests share: a phantom study, an Orthanc, a node process; SQLite and PostgreSQL in turn."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.node_process import NodeProcess
from tests.system.orthanc import ORTHANC, Orthanc

PHANTOM_SEED = 77


@pytest.fixture(scope="session")
def phantom_study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One phantom patient with a planted lesion, three sagittal series and two that must be left out."""
    from inference.phantom import PhantomConfig, generate_patient, write_study

    config = PhantomConfig(lesion_free_fraction=0.0)
    patient = generate_patient(3, seed=PHANTOM_SEED, config=config)
    return list(write_study(patient, tmp_path_factory.mktemp("phantom"), distractors=True))


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Callable[..., Orthanc]]:
    """Makes an Orthanc; `start` it once the node's port is known. Skips where Orthanc is not installed."""
    if ORTHANC is None:
        pytest.skip("Orthanc is not installed (apt-get install orthanc)")
    made: list[Orthanc] = []

    def make(lua: str | None = None) -> Orthanc:
        made.append(Orthanc(tmp_path / f"orthanc-{len(made)}", lua=lua))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    made: list[NodeProcess] = []

    def make(**options: object) -> NodeProcess:
        made.append(NodeProcess(tmp_path / f"node-{len(made)}", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for process in made:
        process.stop()
