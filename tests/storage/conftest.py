"""What the tests of storage share: a database of each kind, a clock that tests turn, makers of rows."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from storage import cases
from storage.cases import Claim, NewReportObject
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder, NewInstance
from storage.schema import CaseRow

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
LEASE_S = 60.0
MAXIMUM_ATTEMPTS = 3


class Clock:
    """A clock that stands still until a test turns it."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> datetime:
        self.time += timedelta(seconds=seconds)
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = Database(database_url, clock=clock)
    yield database
    database.dispose()


@pytest.fixture
def recorder(database: Database) -> Iterator[InstanceRecorder]:
    recorder = InstanceRecorder(database)
    yield recorder
    recorder.close()


@pytest.fixture
def files(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files")


def new_instance(number: int = 1, **changes: object) -> NewInstance:
    """An instance whose UID and content follow from its number."""
    content = sha256(f"content {number}".encode()).hexdigest()
    made = NewInstance(
        sop_instance_uid=f"2.25.1{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        series_instance_uid="2.25.2",
        study_instance_uid="2.25.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        content_sha256=content,
        byte_count=512,
        file=f"instances/00/{content[:32]}.dcm",
        calling_ae_title="SCANNER",
        received_at=START,
        patient_id="P1",
        orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        position_mm=(float(number), 0.0, 0.0),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def report_object(name: str = "sr", *, revision: int = 1) -> NewReportObject:
    number = int(sha256(name.encode()).hexdigest()[:8], 16)
    return NewReportObject(
        kind=name if name in ("sr", "summary") else "overlay",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid=f"2.25.4{revision}{number}",
        series_instance_uid=f"2.25.5{revision}",
        study_instance_uid="2.25.3",
        file=f"reports/00/{name}-{revision}.dcm",
        content_sha256="ab" * 32,
    )


class CaseMaker:
    """Brings cases into a state by the steps that the node would take."""

    def __init__(self, database: Database, recorder: InstanceRecorder, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self._recorder = recorder
        self._number = 0

    def receive(self, group_key: str = "group", **changes: object) -> CaseRow | None:
        """Record one more instance and place it."""
        self._number += 1
        self._recorder.record(new_instance(self._number, **{"received_at": self.clock(), **changes}))
        with self.database.transaction() as session:
            (instance,) = [row for row in cases.unplaced(session) if row.sop_instance_uid == f"2.25.1{self._number}"]
            return cases.place_all(session, [instance], group_key=group_key, route="spine", now=self.clock())

    def collecting(self, group_key: str = "group") -> CaseRow:
        case = self.receive(group_key)
        assert case is not None
        return case

    def held(self, group_key: str = "group") -> CaseRow:
        case = self.collecting(group_key)
        with self.database.transaction() as session:
            cases.hold(session, case, "two birth dates", self.clock())
        return case

    def ready(self, group_key: str = "group") -> CaseRow:
        case = self.collecting(group_key)
        with self.database.transaction() as session:
            cases.mark_ready(session, case, "quiet for 30 s", self.clock())
        return case

    def claim(self, owner: str = "worker") -> Claim | None:
        with self.database.transaction() as session:
            return cases.claim(
                session, owner=owner, now=self.clock(), lease_s=LEASE_S, maximum_attempts=MAXIMUM_ATTEMPTS
            )

    def running(self, group_key: str = "group") -> Claim:
        self.ready(group_key)
        claim = self.claim()
        assert claim is not None
        return claim

    def report(
        self,
        claim: Claim,
        objects: tuple[str, ...] = ("sr",),
        destinations: tuple[str, ...] = ("pacs",),
        failed_reason: str | None = None,
    ) -> None:
        with self.database.transaction() as session:
            cases.report(
                session,
                claim,
                findings={"revision": claim.revision},
                objects=[report_object(name, revision=claim.revision) for name in objects],
                destinations=destinations,
                failed_reason=failed_reason,
                now=self.clock(),
            )

    def look(self, case_id: int) -> CaseRow:
        with self.database.reading() as session:
            return session.get_one(CaseRow, case_id)

    def events(self, case_id: int) -> list[tuple[str, str, str]]:
        with self.database.reading() as session:
            return [(row.from_state, row.event, row.to_state) for row in cases.history(session, case_id)]


@pytest.fixture
def make(database: Database, recorder: InstanceRecorder, clock: Clock) -> CaseMaker:
    return CaseMaker(database, recorder, clock)
