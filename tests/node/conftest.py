"""What the tests of grouping, worker and commands share: a clock that tests turn, a memory, received images."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from config.settings import DestinationSettings, GroupingSettings, RouteSettings, Settings, StorageSettings
from inference.case import Case
from inference.findings import Findings
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import write_study
from inference.pipeline import load_pipeline
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder, NewInstance, Outcome
from tests.node.micro_bundle import UNTRAINED_TAU, write_micro_bundle

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
MR = "1.2.840.10008.5.1.4.1.1.4"


class Clock:
    """A clock that stands still until a test turns it."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = Database(database_url, clock=clock)
    yield database
    database.dispose()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def files(data_dir: Path) -> FileStore:
    return FileStore(data_dir)


@pytest.fixture
def settings(database_url: str, data_dir: Path) -> Settings:
    return Settings(
        destinations=(
            DestinationSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=4242),
            DestinationSettings(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=4243),
        ),
        routes=(RouteSettings(name="spine", callers=("SCANNER",), results_to=("pacs",)),),
        grouping=GroupingSettings(quiet_s=30, gap_wait_s=120),
        storage=StorageSettings(data_dir=data_dir, database_url=SecretStr(database_url)),
    )


@pytest.fixture(scope="session")
def voting_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model in which all three voices count."""
    folder = tmp_path_factory.mktemp("bundles") / "micro"
    write_micro_bundle(folder, tau=UNTRAINED_TAU)
    return folder


@pytest.fixture(scope="session")
def spine_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DICOM files of a phantom patient."""
    folder = tmp_path_factory.mktemp("study")
    write_study(generate_patient(0, seed=7, config=PhantomConfig(matrix=64)), folder)
    return folder


@pytest.fixture(scope="session")
def spine_findings(voting_bundle: Path, spine_study: Path) -> Findings:
    """What the voting bundle says of them."""
    files = tuple(sorted(file for file in spine_study.rglob("*") if file.is_file()))
    return load_pipeline(voting_bundle, device="cpu", threads=1).run(Case(case_id="c", files=files))


@pytest.fixture
def no_settings_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SPINENODE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """For tests that set up logs: afterwards the process logs as before."""
    names = ("apscheduler", "sqlalchemy", "alembic", "highdicom", "pynetdicom", "PIL")
    levels = {name: logging.getLogger(name).level for name in names}
    root, show = logging.getLogger(), warnings.showwarning
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    warnings.showwarning = show
    structlog.reset_defaults()


Receive = Callable[..., Outcome]


@pytest.fixture
def receive(database: Database, clock: Clock) -> Iterator[Receive]:
    """Records the next image, as the receiver does: slices of one series, 4 mm apart, unless told otherwise."""
    recorder = InstanceRecorder(database)
    numbers = iter(range(1, 10_000))

    def one(**changes: Any) -> Outcome:
        number = next(numbers)
        content = sha256(f"content {number}".encode()).hexdigest()
        values: dict[str, Any] = {
            "sop_instance_uid": f"2.25.1{number:04}",
            "sop_class_uid": MR,
            "series_instance_uid": "2.25.2001",
            "study_instance_uid": "2.25.3001",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "content_sha256": content,
            "byte_count": 512,
            "file": f"instances/00/{content[:32]}.dcm",
            "calling_ae_title": "SCANNER",
            "received_at": clock(),
            "patient_id": "P1",
            "issuer_of_patient_id": "",
            "patient_name": "Doe^Jane",
            "patient_birth_date": "19600611",
            "patient_sex": "F",
            "study_date": "20261102",
            "modality": "MR",
            "manufacturer": "Hitachi",
            "orientation": SAGITTAL,
            "position_mm": (4.0 * number, 0.0, 0.0),
        }
        return recorder.record(NewInstance(**(values | changes)))

    yield one
    recorder.close()
