"""Ten thousand originals to two archives, one of which dies under way and comes back: both end with all of them."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from config.settings import DestinationSettings, SenderSettings
from node.part10 import read_file_meta
from node.sender import Sender
from storage.database import Database, upgrade
from storage.files import FileStore
from storage.schema import DeliveryRow, DeliveryState, InstanceRow, Placement
from tests.node.network.objects import EXPLICIT, MR, dicom_file, encoded, mr_image
from tests.system.orthanc import build_loopback_shim, free_port, wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("storescp") is None, reason="DCMTK is not installed (apt-get install dcmtk)"),
]

ORIGINALS = 10_000
ROWS_PER_STATEMENT = 1000
RECEIVED_AT = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
TEXTS = "patient_id issuer_of_patient_id patient_name patient_birth_date patient_sex study_date modality manufacturer"


class Archive:
    """DCMTK's receiver: one file per SOP Instance UID, data sets bit by bit."""

    def __init__(self, folder: Path, name: str, shim: Path) -> None:
        self.name = name
        self.port = free_port()
        self._shim = shim
        self._folder = folder / name
        self._folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--fork", "--bit-preserving", "+xa", "-pdu", "131072", "-od", str(self._folder)]
        environment = {**os.environ, "LD_PRELOAD": str(self._shim), "TCP_NODELAY": "1"}
        self._process = subprocess.Popen(
            ["storescp", *options, str(self.port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # its children, one per association, die with it
        )

    def kill(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def count(self) -> int:
        return sum(1 for _ in os.scandir(self._folder))

    def data_sets(self) -> dict[str, str]:
        """Hash of the data set of each object, by SOP Instance UID. An object that came twice has one file."""
        found = {}
        for path in self._folder.iterdir():
            meta = read_file_meta(path)
            found[meta.sop_instance_uid] = sha256(path.read_bytes()[meta.data_set_offset :]).hexdigest()
        return found

    def destination(self) -> DestinationSettings:
        return DestinationSettings(
            name=self.name, ae_title="STORESCP", host="127.0.0.1", port=self.port, timeout_s=10, associations=2
        )


@pytest.fixture
def archives(tmp_path: Path) -> Iterator[list[Archive]]:
    shim = build_loopback_shim(tmp_path)
    made = [Archive(tmp_path, name, shim) for name in ("steady", "mortal")]
    for archive in made:
        archive.start()
    yield made
    for archive in made:
        archive.kill()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'node.db'}"
    upgrade(url)
    database = Database(url)
    yield database
    database.dispose()


def received_originals(folder: Path, database: Database, destinations: list[str]) -> dict[str, str]:
    """Files and rows as the receiver and grouping leave them; gives the hash of each data set by SOP Instance UID."""
    (folder / "instances").mkdir()
    expected, instances = {}, []
    for number in range(ORIGINALS):
        uid = f"2.25.{7_000_000 + number}"
        data_set = encoded(mr_image(number, SOPInstanceUID=uid))
        file = f"instances/{number}.dcm"
        dicom_file(folder / file, data_set, sop_instance_uid=uid)
        expected[uid] = sha256(data_set).hexdigest()
        instances.append(
            {
                **dict.fromkeys(TEXTS.split(), ""),
                "id": number + 1,
                "sop_instance_uid": uid,
                "sop_class_uid": MR,
                "series_instance_uid": "2.25.3",
                "study_instance_uid": "2.25.2",
                "transfer_syntax_uid": EXPLICIT,
                "content_sha256": expected[uid],
                "byte_count": len(data_set),
                "file": file,
                "calling_ae_title": "SCANNER",
                "received_at": RECEIVED_AT,
                "placement": Placement.SET_ASIDE.value,
            }
        )
    deliveries = [
        {
            "destination": name,
            "instance_id": instance["id"],
            "available_at": RECEIVED_AT,
            "created_at": RECEIVED_AT,
        }
        for instance in instances
        for name in destinations
    ]
    with database.transaction() as session:
        for table, rows in ((InstanceRow, instances), (DeliveryRow, deliveries)):
            for start in range(0, len(rows), ROWS_PER_STATEMENT):
                session.execute(insert(table), rows[start : start + ROWS_PER_STATEMENT])
    return expected


def sent(database: Database) -> dict[str, int]:
    by_destination = select(DeliveryRow.destination, func.count()).where(DeliveryRow.state == DeliveryState.SENT.value)
    with database.reading() as session:
        rows = session.execute(by_destination.group_by(DeliveryRow.destination))
        return {name: number for name, number in rows}  # noqa: C416 - a row is no pair for the type checker


def test_both_archives_end_with_every_original_byte_for_byte_though_one_died(
    tmp_path: Path, database: Database, archives: list[Archive]
) -> None:
    steady, mortal = archives
    store = tmp_path / "store"
    store.mkdir()
    expected = received_originals(store, database, [steady.name, mortal.name])
    settings = SenderSettings(
        retry_base_s=0.2, retry_cap_s=1.0, poll_s=0.05, lease_s=60.0, maximum_attempts=20, circuit_probe_s=0.5
    )
    sender = Sender(
        database, FileStore(store), [one.destination() for one in archives], settings, "SPINENODE", "the sender"
    )

    sender.start()
    try:
        wait_until(lambda: mortal.count() > ORIGINALS // 10, timeout_s=60, what="a tenth arrived")
        mortal.kill()
        at_death = sent(database)[steady.name]
        wait_until(lambda: sent(database)[steady.name] > at_death + ORIGINALS // 10, timeout_s=60, what="the other one")
        mortal.start()
        wait_until(
            lambda: sent(database) == {steady.name: ORIGINALS, mortal.name: ORIGINALS},
            timeout_s=180,
            what="all is sent",
        )
    finally:
        sender.stop()

    assert steady.data_sets() == expected
    assert mortal.data_sets() == expected
