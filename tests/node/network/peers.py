"""Peers for the tests: a node that receives, an SCU that sends any bytes, and a deadline for every wait."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context
from sqlalchemy import select

from config.settings import CallerSettings, ReceiverSettings
from node.commitment.peer import RequestingEntity
from node.dicom_stack import prepare_dicom_stack
from node.part10 import read_file_meta
from node.receiver import Receiver
from node.storage_contexts import VERIFICATION
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.schema import InstanceRow
from tests.node.network.objects import EXPLICIT, MR

NODE: Final = "SPINENODE"
SCANNER: Final = "SCANNER"
LOOPBACK: Final = "127.0.0.1"
DEADLINE_S: Final = 20.0
RECEIVED_AT: Final = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
SCANNER_ALLOWED: Final = (CallerSettings(ae_title=SCANNER, addresses=("127.0.0.0/8",)),)


def wait_until(condition: Callable[[], Any], *, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {DEADLINE_S:g} s")
        time.sleep(0.01)


@dataclass(frozen=True)
class ReceivingNode:
    """A started receiver with its own database and files."""

    receiver: Receiver
    database: Database
    files: FileStore
    recorder: InstanceRecorder

    @property
    def port(self) -> int:
        return self.receiver.port

    def rows(self) -> list[InstanceRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(InstanceRow).order_by(InstanceRow.id)))

    def row(self, sop_instance_uid: str) -> InstanceRow:
        (row,) = [row for row in self.rows() if row.sop_instance_uid == sop_instance_uid]
        return row

    def kept_data_set(self, row: InstanceRow) -> bytes:
        return data_set_of(self.files.path(row.file))


@contextmanager
def receiving_node(
    folder: Path,
    database_url: str,
    *,
    callers: Sequence[CallerSettings] = SCANNER_ALLOWED,
    files: FileStore | None = None,
    recorder: InstanceRecorder | None = None,
    **settings: Any,
) -> Iterator[ReceivingNode]:
    """A receiver on a free loopback port; `settings` are those of ReceiverSettings."""
    database = Database(database_url)
    files = files if files is not None else FileStore(folder / "files")
    recorder = recorder if recorder is not None else InstanceRecorder(database)
    defaults: dict[str, Any] = {"ae_title": NODE, "bind_address": LOOPBACK, "port": 0, "minimum_free_bytes": 0}
    receiver = Receiver(
        ReceiverSettings(**defaults | settings), callers, files=files, recorder=recorder, clock=lambda: RECEIVED_AT
    )
    receiver.start()
    try:
        yield ReceivingNode(receiver, database, files, recorder)
    finally:
        receiver.stop(drain_s=0.0)
        database.dispose()


def data_set_of(path: Path) -> bytes:
    """The bytes behind the file meta information."""
    return path.read_bytes()[read_file_meta(path).data_set_offset :]


def request_association(
    port: int, contexts: Sequence[tuple[str, str]] = (), *, calling: str = SCANNER, called: str = NODE
) -> Association:
    """Ask for an association with one presentation context per (SOP class, transfer syntax), and Verification."""
    prepare_dicom_stack()
    entity = RequestingEntity(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = DEADLINE_S
    offered = [build_context(sop_class_uid, syntax) for sop_class_uid, syntax in dict.fromkeys(contexts)]
    return with_its_answer(
        entity.associate(LOOPBACK, port, contexts=[build_context(VERIFICATION), *offered], ae_title=called)
    )


def with_its_answer(association: Association) -> Association:
    """The association as its peer answered: pynetdicom takes a refusal for a failed connection when it comes at once.

    It looks for its open connection only after it has sent its request (acse.py, "Failed to connect"), and a refusal
    that was read by then has closed it.
    """
    if association.is_aborted and association.acceptor.primitive is None:
        answer = association.dul.receive_pdu(wait=False)
        if isinstance(answer, A_ASSOCIATE) and answer.result:
            association.acceptor.primitive = answer
            association.is_aborted, association.is_rejected = False, True
    return association


def send_files(port: int, files: Sequence[Path], *, calling: str = SCANNER) -> list[int | None]:
    """Send files over one association, bytes as they are; the status of each, None where it got none.

    A file gets none when the peer accepts no presentation context for it, or ends the association.
    """
    metas = [read_file_meta(path) for path in files]
    association = request_association(
        port, [(meta.sop_class_uid, meta.transfer_syntax_uid) for meta in metas], calling=calling
    )
    assert association.is_established
    accepted = {(str(cx.abstract_syntax), str(cx.transfer_syntax[0])) for cx in association.accepted_contexts}
    statuses: list[int | None] = []
    for path, meta in zip(files, metas, strict=True):
        if not association.is_established or (meta.sop_class_uid, meta.transfer_syntax_uid) not in accepted:
            statuses.append(None)
            continue
        answer = association.send_c_store(path)
        statuses.append(int(answer.Status) if "Status" in answer else None)
    association.release()
    return statuses


@contextmanager
def peer_that(
    answer: Callable[[Event], int], *, syntaxes: tuple[str, ...] = (EXPLICIT,), port: int = 0
) -> Iterator[int]:
    """A Storage SCP for MR images that answers as told; gives its port."""
    entity = AE(ae_title="ARCHIVE")
    entity.add_supported_context(MR, list(syntaxes))
    server = entity.start_server((LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        entity.shutdown()
