"""Objects with real files, as the node keeps them, and ways to break what it keeps."""

import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage import cases, outbox
from storage.cases import Claim, NewReportObject
from storage.database import Database
from storage.files import FileStore, name_for
from storage.instances import InstanceRecorder
from storage.schema import CaseRow, DeliveryRow, InstanceRow, Placement
from tests.storage.conftest import CaseMaker, Clock, new_instance

LONG_AGO_S = 30 * 86_400.0
PREFIX = b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<L", 8) + b"metadata"


class Node:
    """What the parts of a node do to its memory and its files, one call for each."""

    def __init__(self, database: Database, files: FileStore, recorder: InstanceRecorder, clock: Clock) -> None:
        self.database = database
        self.files = files
        self.clock = clock
        self.make = CaseMaker(database, recorder, clock)
        self._recorder = recorder
        self._number = 1000

    def receive(self, group_key: str = "group", uid: str | None = None) -> InstanceRow:
        """Take one image into a case."""
        row = self.receive_new(uid=uid, study=f"2.25.3{sum(group_key.encode())}")
        with self.database.transaction() as session:
            (instance,) = [one for one in cases.unplaced(session) if one.id == row.id]
            cases.place_all(session, [instance], group_key=group_key, route="spine", now=self.clock())
        return self.look(row.id)

    def receive_new(
        self, uid: str | None = None, study: str = "2.25.3", *, content: str = "", caller: str = "SCANNER"
    ) -> InstanceRow:
        """Take one image that grouping has not seen yet."""
        self._number += 1
        uid = uid or f"2.25.1{self._number}"
        data = (content or f"data set {self._number}").encode()
        digest = sha256(data).hexdigest()
        file = self.files.write("instances", name_for(uid, digest), [PREFIX, data])
        self._recorder.record(
            new_instance(
                self._number,
                sop_instance_uid=uid,
                study_instance_uid=study,
                content_sha256=digest,
                byte_count=len(data),
                file=file,
                received_at=self.clock(),
                calling_ae_title=caller,
            )
        )
        with self.database.reading() as session:
            same = InstanceRow.sop_instance_uid == uid, InstanceRow.content_sha256 == digest
            return session.scalars(select(InstanceRow).where(*same)).one()

    def receive_aside(self, *destinations: str) -> InstanceRow:
        """Take one image that is only forwarded."""
        row = self.receive_new()
        with self.database.transaction() as session:
            instance = session.get_one(InstanceRow, row.id)
            cases.set_aside(session, [instance], Placement.SET_ASIDE, "route spine only forwards")
            outbox.forward(session, instance, destinations, self.clock())
        return self.look(row.id)

    def forward(self, instance: InstanceRow, *destinations: str) -> None:
        with self.database.transaction() as session:
            outbox.forward(session, session.get_one(InstanceRow, instance.id), destinations, self.clock())

    def claim(self, group_key: str) -> Claim:
        """Let a worker run a collecting case."""
        with self.database.transaction() as session:
            cases.mark_ready(session, self._case(session, group_key), "quiet", self.clock())
        claim = self.make.claim()
        assert claim is not None
        return claim

    def hold(self, group_key: str) -> None:
        with self.database.transaction() as session:
            cases.hold(session, self._case(session, group_key), "two birth dates", self.clock())

    def report(self, group_key: str = "group", *destinations: str, failed_reason: str | None = None) -> Claim:
        """Bring a collecting case to its answer."""
        claim = self.claim(group_key)
        content = f"report on {group_key} {claim.revision}".encode()
        digest, uid = sha256(content).hexdigest(), f"2.25.4{claim.case_id}{claim.revision}"
        new = NewReportObject(
            kind="sr",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
            sop_instance_uid=uid,
            series_instance_uid="2.25.5",
            study_instance_uid="2.25.3",
            file=self.files.write("reports", name_for(uid, digest), [content]),
            content_sha256=digest,
        )
        with self.database.transaction() as session:
            cases.report(
                session,
                claim,
                findings={"revision": claim.revision},
                objects=[new],
                destinations=destinations,
                failed_reason=failed_reason,
                now=self.clock(),
            )
        return claim

    def settle(self, state: str = "sent", /, **where: object) -> None:
        """Let deliveries reach a state now: all that are pending, or those that fit."""
        with self.database.transaction() as session:
            statement = select(DeliveryRow).filter_by(**(where or {"state": "pending"}))
            for row in session.scalars(statement):
                row.state = state
                if state in ("sent", "committed"):
                    row.sent_at = self.clock()
                if state == "dead":
                    row.available_at = self.clock()
                if state == "sending":
                    row.lease_owner, row.lease_until = "sender", self.clock()
        self.finish()

    def finish(self) -> None:
        with self.database.transaction() as session:
            cases.finish_delivered(session, self.clock())

    def done(self, group_key: str = "group") -> Claim:
        """A case of two images, answered and delivered."""
        self.receive(group_key)
        self.receive(group_key)
        claim = self.report(group_key, "pacs")
        self.settle()
        return claim

    def case(self, group_key: str) -> CaseRow:
        with self.database.reading() as session:
            return self._case(session, group_key)

    def _case(self, session: Session, group_key: str) -> CaseRow:
        return session.scalars(select(CaseRow).where(CaseRow.group_key == group_key)).one()

    def look(self, instance_id: int) -> InstanceRow:
        with self.database.reading() as session:
            return session.get_one(InstanceRow, instance_id)

    def instances(self) -> list[InstanceRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(InstanceRow).order_by(InstanceRow.id)))

    def stored(self) -> set[str]:
        """Every file in the store."""
        root = self.files.root
        return {str(path.relative_to(root)) for path in root.glob("*/*/*") if path.is_file()}


def make_old(files: FileStore, seconds: float = LONG_AGO_S) -> None:
    """Let every file look as if it was written long ago."""
    then = time.time() - seconds
    for path in files.root.glob("*/*/*"):
        os.utime(path, (then, then))


@contextmanager
def _raw(database: Database) -> Iterator[object]:
    """A connection past every guard of the schema."""
    if database.is_sqlite:
        path = database.engine.url.database
        assert path is not None
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            yield connection
            connection.commit()
        return
    with database.engine.connect() as pooled:
        connection = pooled.connection.driver_connection
        assert connection is not None
        connection.execute("SET session_replication_role = replica")
        checks = connection.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' AND conname LIKE 'ck_%'"
        ).fetchall()
        for table, name in checks:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        yield connection
        connection.execute("SET session_replication_role = DEFAULT")
        connection.commit()


def tamper(database: Database, *statements: str) -> None:
    """Change rows as no step of the node does."""
    with _raw(database) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[attr-defined]
