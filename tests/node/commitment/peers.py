"""Peers for the tests of storage commitment: a memory with sent deliveries, and archives that follow a script."""

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context
from sqlalchemy import select

from config.settings import (
    CallerSettings,
    CommitmentSettings,
    DestinationSettings,
    ReceiverSettings,
    SenderSettings,
    Settings,
)
from node.commitment.handlers import CommitmentServices, commitment_context, handle_n_action, handle_n_event_report
from node.commitment.parsing import PUSH_MODEL, PUSH_MODEL_INSTANCE
from node.commitment.peer import RequestingEntity
from node.commitment.request import CommitmentAsker
from node.commitment.services import CommitmentMemory
from node.metrics import Metrics
from storage import outbox
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder, NewInstance
from storage.schema import CommitmentRow, DeliveryRow, InstanceRow
from tests.node.conftest import MR, Clock
from tests.system.orthanc import wait_until

NODE: Final = "SPINENODE"
ARCHIVE: Final = "ARCHIVE"
LOOPBACK: Final = "127.0.0.1"
DEADLINE_S: Final = 20.0
SYNTAXES: Final = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
SUCCESS: Final = 0x0000


def settings_for(
    port: int = 4242,
    *,
    commitment: CommitmentSettings | None = None,
    callers: Sequence[CallerSettings] = (),
    **sender: Any,
) -> Settings:
    """A node with one destination, `pacs`, that commits itself at `port`."""
    pacs = DestinationSettings(
        name="pacs",
        ae_title=ARCHIVE,
        host=LOOPBACK,
        port=port,
        timeout_s=5.0,
        commitment=commitment or CommitmentSettings(),
    )
    return Settings(
        receiver=ReceiverSettings(ae_title=NODE, dimse_timeout_s=5.0),
        destinations=(pacs,),
        callers=tuple(callers),
        sender=SenderSettings(**sender),
    )


@dataclass
class Outbox:
    """Deliveries to `pacs` that are sent, and what became of them."""

    database: Database
    clock: Clock

    def sent(self, count: int = 1, **changes: Any) -> list[str]:
        """Deliver new instances, long enough ago to be asked about; their SOP Instance UIDs."""
        recorder = InstanceRecorder(self.database)
        uids = [f"2.25.77{number}" for number in range(1, count + 1)]
        for uid in uids:
            recorder.record(received(uid, self.clock, **changes))
        recorder.close()
        with self.database.transaction() as session:
            for instance in session.scalars(select(InstanceRow).order_by(InstanceRow.id)).all():
                outbox.forward(session, instance, ("pacs",), self.clock())
        self.send()
        self.clock.pass_s(10)
        return uids

    def send(self) -> int:
        with self.database.transaction() as session:
            claims = outbox.claim(
                session, destination="pacs", owner="sender", now=self.clock(), lease_s=60, limit=10_000
            )
            for claim in claims:
                outbox.sent(session, claim, now=self.clock())
        return len(claims)

    def states(self) -> list[str]:
        return [row.state for row in self.rows()]

    def rows(self) -> list[DeliveryRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)))

    def questions(self) -> list[CommitmentRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(CommitmentRow).order_by(CommitmentRow.id)))

    def asker(
        self, settings: Settings, *, same_association_s: float = DEADLINE_S, metrics: Metrics | None = None
    ) -> CommitmentAsker:
        (pacs,) = settings.destinations
        assert isinstance(pacs, DestinationSettings)
        services = CommitmentMemory(self.database, FileStore(Path("nowhere")), settings, metrics)
        return CommitmentAsker(
            self.database, pacs, settings.sender, NODE, services, same_association_s=same_association_s
        )


def memory_of(database: Database, settings: Settings, root: Path = Path("nowhere")) -> CommitmentMemory:
    return CommitmentMemory(database, FileStore(root), settings)


def received(uid: str, clock: Callable[[], Any], **changes: Any) -> NewInstance:
    values: dict[str, Any] = {
        "sop_instance_uid": uid,
        "sop_class_uid": MR,
        "series_instance_uid": "2.25.2001",
        "study_instance_uid": "2.25.3001",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "content_sha256": "ab" * 32,
        "byte_count": 512,
        "file": f"instances/00/{uid}.dcm",
        "calling_ae_title": "SCANNER",
        "received_at": clock() - timedelta(seconds=1),
    }
    return NewInstance(**values | changes)


@contextmanager
def node_port(services: CommitmentServices, *, port: int = 0) -> Iterator[int]:
    """What of the receiver takes part in storage commitment; gives its port."""
    entity = AE(ae_title=NODE)
    entity.supported_contexts = [commitment_context()]
    server = entity.start_server(
        (LOOPBACK, port),
        block=False,
        evt_handlers=[
            (evt.EVT_N_ACTION, handle_n_action, [services]),
            (evt.EVT_N_EVENT_REPORT, handle_n_event_report, [services]),
        ],
    )
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        entity.shutdown()


Script = Callable[["ScriptedArchive", Event], None]


@dataclass
class ScriptedArchive:
    """An archive that answers N-ACTION with `status` and then does what its script says, in a thread of its own."""

    script: Script | None = None
    status: int = SUCCESS
    questions: list[Dataset] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)  # of our results
    threads: list[threading.Thread] = field(default_factory=list)
    port: int = 0
    _asked: Event | None = None

    def on_action(self, event: Event) -> tuple[int, None]:
        self.questions.append(event.action_information)
        self._asked = event
        return self.status, None

    def on_pdu(self, event: Event) -> None:
        if isinstance(event.pdu, P_DATA_TF) and self._asked is not None and self.script is not None:
            asked, self._asked = self._asked, None
            thread = threading.Thread(target=self.script, args=(self, asked))
            self.threads.append(thread)
            thread.start()

    def joined(self) -> list[int | None]:
        """The statuses of all results, when the script has ended."""
        for thread in self.threads:
            thread.join(DEADLINE_S)
        return self.statuses


def result_of(
    question: Dataset, *, failed: dict[str, int] | None = None, mention: Sequence[str] | None = None
) -> Dataset:
    """A result for the question: all committed, but for those that failed; only `mention` when given."""
    failed = failed or {}
    result = Dataset()
    result.TransactionUID = question.TransactionUID
    good, bad = [], []
    for asked in question.ReferencedSOPSequence:
        uid = asked.ReferencedSOPInstanceUID
        if mention is not None and uid not in mention:
            continue
        item = Dataset()
        item.ReferencedSOPClassUID = asked.ReferencedSOPClassUID
        item.ReferencedSOPInstanceUID = uid
        if uid in failed:
            item.FailureReason = failed[uid]
        (bad if uid in failed else good).append(item)
    if good:
        result.ReferencedSOPSequence = good
    if bad:
        result.FailedSOPSequence = bad
    return result


def send_report(association: Any, result: Dataset) -> int | None:
    event_type = 2 if "FailedSOPSequence" in result else 1
    answer, _ = association.send_n_event_report(result, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    return int(answer.Status) if "Status" in answer else None


def report_over_new_association(port: int, result: Dataset, *, calling: str = ARCHIVE) -> int | None:
    """As an archive brings a result: a new association in which it is the SCP (PS3.4 J.3.3)."""
    entity = RequestingEntity(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = DEADLINE_S
    association = entity.associate(
        LOOPBACK,
        port,
        contexts=[build_context(PUSH_MODEL, SYNTAXES)],
        ext_neg=[build_role(PUSH_MODEL, scp_role=True)],
        ae_title=NODE,
    )
    assert association.is_established
    try:
        return send_report(association, result)
    finally:
        association.release()


@contextmanager
def scripted_archive(
    script: Script | None = None, *, status: int = SUCCESS, tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedArchive]:
    archive = ScriptedArchive(script, status)
    entity = AE(ae_title=ARCHIVE)
    entity.dimse_timeout = DEADLINE_S
    entity.add_supported_context(PUSH_MODEL, SYNTAXES)
    server = entity.start_server(
        (LOOPBACK, 0),
        block=False,
        ssl_context=tls,
        evt_handlers=[(evt.EVT_N_ACTION, archive.on_action), (evt.EVT_PDU_SENT, archive.on_pdu)],
    )
    assert server is not None
    archive.port = int(server.server_address[1])
    try:
        yield archive
        archive.joined()
    finally:
        entity.shutdown()


@contextmanager
def breaking_archive() -> Iterator[int]:
    """An archive that ends the association over every question; gives its port."""
    entity = AE(ae_title=ARCHIVE)
    entity.add_supported_context(PUSH_MODEL, SYNTAXES)

    def breaks(event: Event) -> tuple[int, None]:
        event.assoc.abort()
        return SUCCESS, None

    server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_N_ACTION, breaks)])
    assert server is not None
    try:
        yield int(server.server_address[1])
    finally:
        entity.shutdown()


def write_file(root: Path, relative: str) -> None:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"bytes")


@dataclass
class Asker:
    """A peer that asks the node for storage commitment, and listens for results on `port`."""

    port: int = 0
    status: int = SUCCESS
    results: list[Dataset] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)
    has_answered: threading.Event = field(default_factory=threading.Event)  # a result, over its own association

    def on_sent(self, event: Event) -> None:
        if self.results and isinstance(event.pdu, P_DATA_TF):
            self.has_answered.set()

    def on_report(self, event: Event) -> tuple[int, None]:
        self.callers.append(str(event.assoc.requestor.ae_title))
        self.results.append(event.event_information)
        return self.status, None

    def told(self) -> tuple[set[str], dict[str, int]]:
        """Of the last result: what is committed, and what failed with which reason."""
        last = self.results[-1]
        failed = {item.ReferencedSOPInstanceUID: item.FailureReason for item in last.get("FailedSOPSequence", [])}
        return {item.ReferencedSOPInstanceUID for item in last.get("ReferencedSOPSequence", [])}, failed


@contextmanager
def listening_asker(
    ae_title: str = "SCANNER", *, status: int = SUCCESS, tls: ssl.SSLContext | None = None
) -> Iterator[Asker]:
    asker = Asker(status=status)
    entity = AE(ae_title=ae_title)
    entity.supported_contexts = [commitment_context()]
    server = entity.start_server(
        (LOOPBACK, 0), block=False, ssl_context=tls, evt_handlers=[(evt.EVT_N_EVENT_REPORT, asker.on_report)]
    )
    assert server is not None
    asker.port = int(server.server_address[1])
    try:
        yield asker
    finally:
        entity.shutdown()


def question_for(instances: Sequence[tuple[str, str]], *, transaction_uid: str = "2.25.1234") -> Dataset:
    question = Dataset()
    question.TransactionUID = transaction_uid
    question.ReferencedSOPSequence = []
    for sop_class_uid, sop_instance_uid in instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        question.ReferencedSOPSequence.append(item)
    return question


def ask_node(port: int, question: Dataset, *, calling: str = "SCANNER") -> int | None:
    """The node's status for the N-ACTION, over an association that is released at once."""
    entity = RequestingEntity(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = DEADLINE_S
    association = entity.associate(LOOPBACK, port, contexts=[build_context(PUSH_MODEL, SYNTAXES)], ae_title=NODE)
    assert association.is_established
    try:
        answer, _ = association.send_n_action(question, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        return int(answer.Status) if "Status" in answer else None
    finally:
        association.release()


def ask_and_stay(port: int, question: Dataset) -> Asker:
    """Ask the node over an association that stays open until a result came over it; `status` is the response's."""
    asker = Asker()
    entity = RequestingEntity(ae_title="SCANNER")
    entity.acse_timeout = entity.dimse_timeout = DEADLINE_S
    association = entity.associate(
        LOOPBACK,
        port,
        contexts=[build_context(PUSH_MODEL, SYNTAXES)],
        ae_title=NODE,
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, asker.on_report), (evt.EVT_PDU_SENT, asker.on_sent)],
    )
    assert association.is_established
    answer, _ = association.send_n_action(question, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    asker.status = int(answer.Status)
    try:
        wait_until(asker.has_answered.is_set, timeout_s=DEADLINE_S, what="a result over the association")
    finally:
        association.release()
    return asker
