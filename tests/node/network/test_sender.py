"""The sender empties the outbox: once, in order, patiently, and never held up by another destination."""

import errno
import os
import random
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom.events import Event
from sqlalchemy import select
from structlog.testing import capture_logs

from config.settings import AnyDestination, DestinationSettings, DicomWebDestinationSettings, SenderSettings
from node.embedded_archive import EmbeddedArchive
from node.sender import Holdings, Sender, backoff_s
from storage import outbox
from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore, name_for
from storage.schema import CaseRow, DeliveryRow, DeliveryState, InstanceRow, ReportObjectRow
from tests.node.network.objects import EXPLICIT, MR, mr_file
from tests.node.network.peers import DEADLINE_S, LOOPBACK, peer_that, wait_until
from tests.postgresql import free_port

START = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
SETTINGS = SenderSettings(maximum_attempts=3, retry_base_s=5.0, retry_cap_s=60.0, lease_s=120.0, poll_s=0.02)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def pass_s(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass
class Outbox:
    """A database with an outbox, and the files that it is about."""

    database: Database
    files: FileStore
    folder: Path
    clock: Clock
    senders: list[Sender] = field(default_factory=list)

    def original(self, number: int, destination: str = "pacs") -> None:
        """A received image to forward."""
        with self.database.transaction() as session:
            instance = InstanceRow(**self._instance(number))
            session.add(instance)
            session.flush()
            outbox.forward(session, instance, [destination], self.clock())

    def result(self, number: int, destination: str = "pacs") -> None:
        """A report object with its delivery, as a finished case leaves them."""
        with self.database.transaction() as session:
            times = dict.fromkeys(("created_at", "state_since", "last_instance_at", "available_at"), self.clock())
            case = CaseRow(group_key=f"group {number}", route="spine", **times)
            session.add(case)
            session.flush()
            made = ReportObjectRow(case_id=case.id, revision=1, kind="sr", **self._object(number))
            session.add(made)
            session.flush()
            delivery = DeliveryRow(
                destination=destination,
                report_object_id=made.id,
                case_id=case.id,
                priority=outbox.RESULT_PRIORITY,
                available_at=self.clock(),
                created_at=self.clock(),
            )
            session.add(delivery)

    def deliveries(self) -> list[DeliveryRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)))

    def states(self) -> list[str]:
        return [delivery.state for delivery in self.deliveries()]

    def _object(self, number: int) -> dict[str, str]:
        content = mr_file(self.folder, number).read_bytes()
        digest = sha256(content).hexdigest()
        return {
            "sop_instance_uid": f"2.25.1000{number}",
            "sop_class_uid": MR,
            "series_instance_uid": "2.25.3000",
            "study_instance_uid": "2.25.2000",
            "file": self.files.write("objects", name_for(f"2.25.1000{number}", digest), [content]),
            "content_sha256": digest,
        }

    def _instance(self, number: int) -> dict[str, object]:
        texts = "patient_id issuer_of_patient_id patient_name patient_birth_date patient_sex study_date modality"
        return {
            **self._object(number),
            **dict.fromkeys([*texts.split(), "manufacturer"], ""),
            "transfer_syntax_uid": EXPLICIT,
            "byte_count": 1,
            "calling_ae_title": "SCANNER",
            "received_at": self.clock(),
        }


@pytest.fixture
def box(tmp_path: Path, node_database_url: str) -> Iterator[Outbox]:
    clock = Clock()
    database = Database(node_database_url, clock=clock)
    box = Outbox(database, FileStore(tmp_path / "files"), tmp_path, clock)
    yield box
    for sender in box.senders:
        sender.stop()
    database.dispose()


def destination(
    port: int, name: str = "pacs", *, title: str = "ARCHIVE", timeout_s: float = 5.0
) -> DestinationSettings:
    return DestinationSettings(name=name, ae_title=title, host=LOOPBACK, port=port, timeout_s=timeout_s)


def sender(box: Outbox, *destinations: AnyDestination, settings: SenderSettings = SETTINGS, **more: Any) -> Sender:
    """Its circuits' time is the box's; it is stopped at the end of the test."""
    made = Sender(
        box.database,
        box.files,
        destinations,
        settings,
        "SPINENODE",
        "sender-1",
        rng=random.Random(7),  # noqa: S311 - jitter
        clock=lambda: box.clock().timestamp(),
        **more,
    )
    box.senders.append(made)
    return made


def test_what_the_outbox_holds_is_delivered_and_marked_sent(box: Outbox, archive: EmbeddedArchive) -> None:
    for number in range(3):
        box.original(number)

    tried = sender(box, destination(archive.port)).deliver_once("pacs")

    assert tried == 3
    assert box.states() == [DeliveryState.SENT] * 3
    assert {delivery.sent_at for delivery in box.deliveries()} == {START}
    assert len(archive.stored()) == 3


def test_an_empty_outbox_opens_no_association(box: Outbox) -> None:
    assert sender(box, destination(free_port())).deliver_once("pacs") == 0


def test_results_go_before_forwarded_originals(box: Outbox) -> None:
    arrived: list[str] = []
    box.original(1)
    box.original(2)
    box.result(3)

    def note(event: Event) -> int:
        arrived.append(str(event.request.AffectedSOPInstanceUID))  # type: ignore[union-attr]
        return 0

    with peer_that(note) as port:
        sender(box, destination(port)).deliver_once("pacs")

    assert arrived == ["2.25.10003", "2.25.10001", "2.25.10002"]


def test_a_warning_counts_as_sent_and_is_noted(box: Outbox) -> None:
    box.original(1)

    with peer_that(lambda event: 0xB000) as port:
        sender(box, destination(port)).deliver_once("pacs")

    (delivery,) = box.deliveries()
    assert delivery.state == DeliveryState.SENT
    assert "0xB000" in delivery.reason


def test_a_refusal_for_good_is_dead_at_once_with_its_reason(box: Outbox) -> None:
    box.original(1)

    with peer_that(lambda event: 0xA900) as port, capture_logs() as logs:
        sender(box, destination(port)).deliver_once("pacs")

    (delivery,) = box.deliveries()
    assert delivery.state == DeliveryState.DEAD
    assert "0xA900 data set does not match SOP class" in delivery.reason
    (line,) = [line for line in logs if line["event"] == "deliveries_dead"]
    assert line["deliveries"] == [delivery.id]


def test_a_refusal_for_now_is_tried_again_later_until_the_attempts_are_used_up(box: Outbox) -> None:
    box.original(1)
    waits = []

    with peer_that(lambda event: 0xA700) as port:
        busy = sender(box, destination(port))
        for _ in range(SETTINGS.maximum_attempts):
            assert busy.deliver_once("pacs") == 1
            assert busy.deliver_once("pacs") == 0  # not due yet
            (delivery,) = box.deliveries()
            waits.append((delivery.available_at - box.clock()).total_seconds())
            box.clock.pass_s(SETTINGS.retry_cap_s)

    (delivery,) = box.deliveries()
    assert delivery.state == DeliveryState.DEAD
    assert delivery.reason.startswith("gave up after 3 attempts: 0xA700")
    assert 0 < waits[0] <= 10
    assert 0 < waits[1] <= 20


def test_a_file_that_is_gone_is_dead_with_the_reason(box: Outbox, archive: EmbeddedArchive) -> None:
    box.original(1)
    box.original(2)
    with box.database.reading() as session:
        file = session.scalars(select(InstanceRow.file).order_by(InstanceRow.id)).first()
    assert file is not None
    box.files.path(file).unlink()

    sender(box, destination(archive.port)).deliver_once("pacs")

    assert box.states() == [DeliveryState.DEAD, DeliveryState.SENT]
    assert "cannot be read" in box.deliveries()[0].reason


def test_an_unreachable_peer_costs_one_attempt_of_one_delivery_and_is_logged_once(
    box: Outbox, archive: EmbeddedArchive
) -> None:
    for number in range(20):
        box.original(number)
    away = sender(box, destination(archive.port))
    archive.stop()

    with capture_logs() as logs:
        tries = [away.deliver_once("pacs") for _ in range(SETTINGS.circuit_opens_after)]
        while_open = away.deliver_once("pacs")
        box.clock.pass_s(SETTINGS.circuit_probe_s)
        probe = away.deliver_once("pacs")

    assert (tries, while_open, probe) == ([8, 8, 8], 0, 1)
    assert sum(delivery.attempts for delivery in box.deliveries()) == SETTINGS.circuit_opens_after + 1
    assert [line["event"] for line in logs].count("destination_unreachable") == 1


def test_a_peer_that_comes_back_gets_everything(box: Outbox) -> None:
    for number in range(12):
        box.original(number)
    port = free_port()
    patient = sender(box, destination(port))
    for _ in range(SETTINGS.circuit_opens_after):
        patient.deliver_once("pacs")

    with capture_logs() as logs, peer_that(lambda event: 0, port=port):
        box.clock.pass_s(SETTINGS.retry_cap_s)
        while patient.deliver_once("pacs"):
            pass
        patient.stop()

    assert box.states() == [DeliveryState.SENT] * 12
    assert [line["event"] for line in logs].count("destination_reachable") == 1


def holds_all(asked: list[str]) -> Holdings:
    """A destination that holds whatever it is asked about."""

    def held(_: object, claims: Sequence[outbox.DeliveryClaim], _deadline: float) -> set[int]:
        asked.extend(claim.sop_instance_uid for claim in claims)
        return {claim.delivery_id for claim in claims}

    return held


def test_a_lost_answer_is_asked_about_before_the_object_is_sent_again(box: Outbox) -> None:
    box.original(1)
    asked: list[str] = []

    def hang_up(event: Event) -> int:
        event.assoc.abort()
        return 0

    with peer_that(hang_up) as port:
        careful = sender(box, destination(port), holdings=holds_all(asked))
        careful.deliver_once("pacs")
        (unanswered,) = box.deliveries()
        box.clock.pass_s(SETTINGS.retry_cap_s)
        careful.deliver_once("pacs")

    (delivery,) = box.deliveries()
    assert unanswered.reason.startswith(outbox.UNANSWERED)
    assert asked == ["2.25.10001"]
    assert (delivery.state, delivery.reason) == (DeliveryState.SENT, "found at the peer")


def test_what_the_peer_does_not_hold_or_does_not_tell_is_sent_again(box: Outbox, archive: EmbeddedArchive) -> None:
    box.original(1)
    with box.database.transaction() as session:
        outbox.claim(session, destination="pacs", owner="crashed", now=box.clock(), lease_s=120.0, limit=8)
    box.clock.pass_s(121)

    sender(box, destination(archive.port), holdings=lambda *_: ()).deliver_once("pacs")

    assert box.states() == [DeliveryState.SENT]
    assert archive.received_count == 1


def test_an_object_that_was_never_on_its_way_is_not_asked_about(box: Outbox, archive: EmbeddedArchive) -> None:
    box.original(1)
    port = archive.port
    archive.stop()
    asked: list[str] = []
    careful = sender(box, destination(port), holdings=holds_all(asked))

    careful.deliver_once("pacs")
    box.clock.pass_s(SETTINGS.retry_cap_s)
    careful.deliver_once("pacs")

    assert asked == []
    assert box.deliveries()[0].attempts == 2


def test_originals_leave_with_the_values_of_the_destination_and_results_as_they_are(
    box: Outbox, archive: EmbeddedArchive
) -> None:
    box.original(1)
    box.result(2)
    settings = destination(archive.port).model_copy(update={"coerce": {"InstitutionName": "Our hospital"}})

    sender(box, settings).deliver_once("pacs")

    arrived = {
        one.SOPInstanceUID: one.get("InstitutionName") for one in (dcmread(path) for _, path in archive.stored())
    }
    assert arrived == {"2.25.10001": "Our hospital", "2.25.10002": None}


def test_a_web_destination_that_is_not_there_waits_as_any_other(box: Outbox) -> None:
    for number in range(5):
        box.original(number, "web")
    web = DicomWebDestinationSettings(name="web", url=f"http://{LOOPBACK}:{free_port()}/dicom-web", timeout_s=5.0)  # type: ignore[arg-type]
    away = sender(box, web)

    tried = [away.deliver_once("web") for _ in range(SETTINGS.circuit_opens_after + 1)]

    assert tried == [5, 4, 3, 0]
    assert box.states() == [DeliveryState.PENDING] * 5
    assert sum(delivery.attempts for delivery in box.deliveries()) == SETTINGS.circuit_opens_after
    assert "cannot be reached" in box.deliveries()[0].reason


def test_several_associations_share_one_destination_and_send_each_object_once(
    box: Outbox, archive: EmbeddedArchive
) -> None:
    for number in range(60):
        box.original(number)
    running = sender(box, destination(archive.port).model_copy(update={"associations": 3}))

    running.start()
    wait_until(lambda: box.states() == [DeliveryState.SENT] * 60, what="everything is sent")

    assert (archive.received_count, len(archive.stored())) == (60, 60)


def test_deliveries_of_a_crashed_sender_are_taken_up_when_its_lease_is_over(
    box: Outbox, archive: EmbeddedArchive
) -> None:
    box.original(1)
    with box.database.transaction() as session:
        outbox.claim(session, destination="pacs", owner="crashed", now=box.clock(), lease_s=120.0, limit=8)
    survivor = sender(box, destination(archive.port))
    assert survivor.deliver_once("pacs") == 0

    box.clock.pass_s(121)

    assert survivor.deliver_once("pacs") == 1
    assert box.states() == [DeliveryState.SENT]


def test_an_object_sent_before_a_crash_is_sent_again_under_the_same_uid(box: Outbox, archive: EmbeddedArchive) -> None:
    box.original(1)
    pacs = destination(archive.port, timeout_s=60.0)  # the first attempt must reach it, on a busy machine too
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "sent_all", _crash)
        with pytest.raises(RuntimeError, match="power cut"):
            sender(box, pacs).deliver_once("pacs")

    box.clock.pass_s(3600)  # its lease, which grows with the timeout, is over
    sender(box, pacs).deliver_once("pacs")

    assert box.states() == [DeliveryState.SENT]
    assert archive.received_count == 2
    assert len(archive.stored()) == 1


def test_an_object_sent_before_a_crash_is_found_at_a_peer_that_tells_and_not_sent_again(
    box: Outbox, archive: EmbeddedArchive
) -> None:
    box.original(1)
    pacs = destination(archive.port)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "sent_all", _crash)
        with pytest.raises(RuntimeError, match="power cut"):
            sender(box, pacs).deliver_once("pacs")
    asked: list[str] = []

    box.clock.pass_s(121)
    sender(box, pacs, holdings=holds_all(asked)).deliver_once("pacs")

    assert asked == ["2.25.10001"]
    assert archive.received_count == 1
    assert [(one.state, one.reason) for one in box.deliveries()] == [(DeliveryState.SENT, "found at the peer")]


def test_a_destination_that_takes_no_queries_is_not_asked_but_sent_to(box: Outbox, archive: EmbeddedArchive) -> None:
    box.original(1)
    with box.database.transaction() as session:
        outbox.claim(session, destination="pacs", owner="crashed", now=box.clock(), lease_s=120.0, limit=8)
    box.clock.pass_s(121)
    asked: list[str] = []

    deaf = destination(archive.port).model_copy(update={"query": False})
    sender(box, deaf, holdings=holds_all(asked)).deliver_once("pacs")

    assert asked == []
    assert archive.received_count == 1


def test_an_object_that_may_be_held_is_still_asked_about_after_the_peer_was_away(
    box: Outbox, archive: EmbeddedArchive
) -> None:
    box.original(1)
    with box.database.transaction() as session:
        outbox.claim(session, destination="pacs", owner="crashed", now=box.clock(), lease_s=120.0, limit=8)
    box.clock.pass_s(121)
    sender(box, destination(free_port()), holdings=lambda *_: ()).deliver_once("pacs")
    box.clock.pass_s(SETTINGS.retry_cap_s)
    asked: list[str] = []

    sender(box, destination(archive.port), holdings=holds_all(asked)).deliver_once("pacs")

    assert asked == ["2.25.10001"]
    assert archive.received_count == 0


def test_a_machine_without_room_keeps_its_deliveries_and_blames_nobody(
    box: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that takes only implicit needs a temporary file of each object."""
    box.original(1)
    box.original(2)
    with peer_that(lambda event: 0, syntaxes=(str(ImplicitVRLittleEndian),)) as port:
        hindered = sender(box, destination(port))
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(tempfile, "TemporaryDirectory", _no_room)
            hindered.deliver_once("pacs")
        before = box.deliveries()
        at_once = hindered.deliver_once("pacs")
        box.clock.pass_s(31)
        hindered.deliver_once("pacs")

    assert [(one.state, one.attempts, one.reason) for one in before] == [(DeliveryState.PENDING, 0, "")] * 2
    (told,) = [line for line in logs if line["event"] == "sending_hindered_here"]
    assert (told["deliveries"], told["reason"]) == (2, "this node cannot send now: No space left on device")
    assert at_once == 0
    assert box.states() == [DeliveryState.SENT] * 2


def _no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_machine_without_descriptors_does_not_call_the_peer_unreachable(
    box: Outbox, archive: EmbeddedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    box.original(1)
    monkeypatch.setattr(socket, "create_connection", too_many)

    sender(box, destination(archive.port)).deliver_once("pacs")

    (delivery,) = box.deliveries()
    assert (delivery.state, delivery.attempts, delivery.reason) == (DeliveryState.PENDING, 0, "")


def test_a_destination_that_takes_nothing_for_a_while_kills_no_batch(box: Outbox) -> None:
    """As while its settings are changed."""
    box.original(1)
    box.original(2)
    with peer_that(lambda event: 0, syntaxes=(str(JPEGBaseline8Bit),)) as port:
        sender(box, destination(port)).deliver_once("pacs")

    deliveries = box.deliveries()
    assert [(one.state, one.attempts) for one in deliveries] == [(DeliveryState.PENDING, 1)] * 2
    assert "accepts none of the offered SOP classes" in deliveries[0].reason


def _crash(*_: object, **__: object) -> None:
    raise RuntimeError("power cut")


def test_a_lease_lost_meanwhile_is_left_to_the_other_sender(box: Outbox) -> None:
    box.original(1)

    def lose_the_lease(event: Event) -> int:
        box.clock.pass_s(121)
        with box.database.transaction() as session:
            outbox.claim(session, destination="pacs", owner="other", now=box.clock(), lease_s=120.0, limit=8)
        return 0

    with peer_that(lose_the_lease) as port, capture_logs() as logs:
        sender(box, destination(port)).deliver_once("pacs")

    (delivery,) = box.deliveries()
    assert (delivery.state, delivery.lease_owner) == (DeliveryState.SENDING, "other")
    assert "delivery_lease_lost" in [line["event"] for line in logs]


def test_a_slow_peer_gets_smaller_batches_and_what_is_not_tried_stays_due(box: Outbox) -> None:
    for number in range(8):
        box.original(number)

    # a lease leaves time for four timeouts, an object may take three: the first answer ends the batch
    def answer_late(event: Event) -> int:
        wait_until(lambda: event.timestamp and _age_s(event) > 0.3, what="time passing")
        return 0

    hurried = SETTINGS.model_copy(update={"lease_s": 1.2, "maximum_attempts": 1})
    with peer_that(answer_late) as port:
        tried = sender(box, destination(port, timeout_s=1.0), settings=hurried).deliver_once("pacs")

    assert 1 <= tried < 8
    assert box.states().count(DeliveryState.SENT) == tried
    assert box.states().count(DeliveryState.PENDING) == 8 - tried


def _age_s(event: Event) -> float:
    return (datetime.now() - event.timestamp).total_seconds()  # noqa: DTZ005 - the library's event has local time


def test_a_dead_destination_delays_no_other(box: Outbox, archive: EmbeddedArchive) -> None:
    for number in range(5):
        box.original(number, "pacs")
        box.original(number + 100, "gone")
    running = sender(box, destination(archive.port), destination(free_port(), "gone"))

    running.start()
    try:
        archive.wait_for(lambda objects: len(objects) == 5, timeout_s=DEADLINE_S)
    finally:
        running.stop()

    by_destination = {(delivery.destination, delivery.state) for delivery in box.deliveries()}
    assert ("gone", DeliveryState.SENT) not in by_destination


def test_a_delivery_that_appears_while_it_waits_is_sent_soon(box: Outbox, archive: EmbeddedArchive) -> None:
    running = sender(box, destination(archive.port))
    running.start()

    box.original(1)

    archive.wait_for(lambda objects: len(objects) == 1, timeout_s=DEADLINE_S)
    running.stop()
    assert box.states() == [DeliveryState.SENT]


def test_a_database_that_is_away_for_a_moment_does_not_end_the_thread(
    box: Outbox, archive: EmbeddedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., list[outbox.DeliveryClaim]] = outbox.claim
    failures = iter([True, True])

    def fail_twice(*args: object, **kwargs: object) -> list[outbox.DeliveryClaim]:
        if next(failures, False):
            raise OSError("the database is away")
        return real(*args, **kwargs)

    monkeypatch.setattr(outbox, "claim", fail_twice)
    box.original(1)
    running = sender(box, destination(archive.port))

    running.start()

    arrived = archive.wait_for(lambda objects: len(objects) == 1, timeout_s=DEADLINE_S)
    running.stop()
    assert len(arrived) == 1


def test_a_database_that_is_away_is_told_once_and_so_is_its_return(
    box: Outbox, archive: EmbeddedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., list[outbox.DeliveryClaim]] = outbox.claim
    failures = iter([True] * 4)

    def fail_often(*args: object, **kwargs: object) -> list[outbox.DeliveryClaim]:
        if next(failures, False):
            raise StorageError("database: the connection was lost")
        return real(*args, **kwargs)

    monkeypatch.setattr(outbox, "claim", fail_often)
    box.original(1)
    running = sender(box, destination(archive.port))

    with capture_logs() as logs:
        running.start()
        archive.wait_for(lambda objects: len(objects) == 1, timeout_s=DEADLINE_S)
        running.stop()

    events = [line["event"] for line in logs]
    assert (events.count("database_away"), events.count("database_back")) == (1, 1)
    assert "delivery_failed" not in events


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 10.0), (2, 20.0), (3, 40.0), (4, 60.0), (10_000, 60.0)])
def test_the_delay_is_drawn_evenly_up_to_a_ceiling_that_doubles_to_the_cap(attempt: int, ceiling: float) -> None:
    rng = random.Random(1)  # noqa: S311 - jitter

    delays = [backoff_s(attempt, base_s=5.0, cap_s=60.0, rng=rng) for _ in range(500)]

    assert max(delays) <= ceiling
    assert max(delays) > 0.9 * ceiling
    assert min(delays) < 0.1 * ceiling
