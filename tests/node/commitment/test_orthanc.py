"""Orthanc as a peer: archive that is asked for storage commitment, peer that asks for it, archive that is queried."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import HttpUrl

from config.settings import (
    CallerSettings,
    CommitmentSettings,
    DestinationSettings,
    DicomWebDestinationSettings,
    Settings,
)
from node.commitment.holdings import Wanted, held
from node.commitment.report import CommitmentReporter
from node.commitment.request import CommitmentAsker
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from tests.node.commitment.peers import (
    DEADLINE_S,
    LOOPBACK,
    NODE,
    Outbox,
    memory_of,
    node_port,
    received,
    settings_for,
    write_file,
)
from tests.node.conftest import MR
from tests.node.network.objects import mr_file
from tests.postgresql import free_port
from tests.system.orthanc import DICOM_WEB, ORTHANC, Orthanc, wait_until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed (apt-get install orthanc)"),
]


class RunningOrthanc:
    """One Orthanc for all tests of the module, and the port at which it looks for the node."""

    def __init__(self, folder: Path) -> None:
        self.node_port = free_port()
        plugins = (DICOM_WEB,) if Path(DICOM_WEB).exists() else ()
        self.server = Orthanc(folder, plugins=plugins)
        self.server.start({"node": (NODE, self.node_port)})

    def destination(self) -> DestinationSettings:
        return DestinationSettings(
            name="pacs",
            ae_title=self.server.ae_title,
            host=LOOPBACK,
            port=self.server.dicom_port,
            timeout_s=5.0,
            commitment=CommitmentSettings(),
        )

    def settings(self) -> Settings:
        caller = CallerSettings(
            ae_title=self.server.ae_title,
            addresses=("127.0.0.0/8",),
            report_host=LOOPBACK,
            report_port=self.server.dicom_port,
        )
        return settings_for(callers=(caller,)).model_copy(update={"destinations": (self.destination(),)})

    def ask_node(self, *uids: str) -> str:
        """Let Orthanc ask the node for storage commitment, as by its REST API; the transaction."""
        instances = [{"SOPClassUID": MR, "SOPInstanceUID": uid} for uid in uids]
        answer = self.server.api.post(
            "/modalities/node/storage-commitment", json={"DicomInstances": instances, "Timeout": 10}
        )
        answer.raise_for_status()
        return str(answer.json()["ID"])

    def transaction(self, transaction: str) -> dict[str, Any]:
        return dict(self.server.api.get(f"/storage-commitment/{transaction}").json())


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningOrthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    running = RunningOrthanc(folder / "server")
    running.server.upload([mr_file(folder, number) for number in (1, 2)])
    yield running
    running.server.stop()


def test_orthanc_commits_what_it_holds_and_names_what_it_lacks(outbox: Outbox, orthanc: RunningOrthanc) -> None:
    recorder = InstanceRecorder(outbox.database)
    recorder.record(received("2.25.10001", outbox.clock))
    recorder.close()
    outbox.sent(1)  # which Orthanc never got
    settings = orthanc.settings()
    services = memory_of(outbox.database, settings)
    asker = CommitmentAsker(
        outbox.database, orthanc.destination(), settings.sender, NODE, services, same_association_s=0
    )

    with node_port(services, port=orthanc.node_port):
        asked = asker.ask_once()
        wait_until(lambda: "sent" not in outbox.states(), timeout_s=DEADLINE_S, what="Orthanc reports its result")

    assert asked == 1
    committed, lacking = outbox.rows()
    assert committed.state == "committed"
    assert (lacking.state, lacking.reason) == ("pending", "pacs does not commit itself: 0x0112 no such object instance")


def test_orthanc_is_told_what_the_node_holds_and_what_not(
    memory: Database, outbox: Outbox, orthanc: RunningOrthanc, tmp_path: Path
) -> None:
    recorder = InstanceRecorder(memory)
    recorder.record(received("2.25.1", outbox.clock))
    recorder.close()
    write_file(tmp_path / "files", "instances/00/2.25.1.dcm")
    settings = orthanc.settings()

    with node_port(memory_of(memory, settings), port=orthanc.node_port):
        transaction = orthanc.ask_node("2.25.1", "2.25.404")
    before = orthanc.transaction(transaction)["Status"]
    outbox.clock.pass_s(5)
    reporter = CommitmentReporter(memory, FileStore(tmp_path / "files"), settings, owner="test")
    reported = reporter.report_once("ORTHANC")

    assert (before, reported) == ("Pending", 1)
    told = orthanc.transaction(transaction)
    assert told["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in told["Success"]] == ["2.25.1"]
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in told["Failures"]] == [("2.25.404", 0x0112)]


def test_orthanc_reports_success_when_the_node_holds_everything(
    memory: Database, outbox: Outbox, orthanc: RunningOrthanc, tmp_path: Path
) -> None:
    recorder = InstanceRecorder(memory)
    recorder.record(received("2.25.1", outbox.clock))
    recorder.close()
    write_file(tmp_path / "files", "instances/00/2.25.1.dcm")
    settings = orthanc.settings()

    with node_port(memory_of(memory, settings), port=orthanc.node_port):
        transaction = orthanc.ask_node("2.25.1")
    outbox.clock.pass_s(5)
    CommitmentReporter(memory, FileStore(tmp_path / "files"), settings, owner="test").report_once("ORTHANC")

    assert orthanc.transaction(transaction)["Status"] == "Success"


def questions() -> list[Wanted]:
    return [
        Wanted(
            sop_class_uid=MR,
            sop_instance_uid=f"2.25.1000{number}",
            study_instance_uid="2.25.2000",
            series_instance_uid="2.25.3000",
        )
        for number in (1, 2, 9)
    ]


EXPECTED = {"2.25.10001": True, "2.25.10002": True, "2.25.10009": False}


def test_orthanc_tells_by_query_what_it_holds(orthanc: RunningOrthanc) -> None:
    assert held(orthanc.destination(), questions(), calling_ae_title=NODE) == EXPECTED


def test_orthanc_knows_an_instance_by_its_own_key_alone(orthanc: RunningOrthanc) -> None:
    alone = [Wanted(sop_class_uid=MR, sop_instance_uid=uid) for uid in ("2.25.10001", "2.25.10009")]

    answers = held(orthanc.destination(), alone, calling_ae_title=NODE)

    assert answers == {"2.25.10001": True, "2.25.10009": None}


@pytest.mark.skipif(not Path(DICOM_WEB).exists(), reason="its DICOMweb plugin is missing (orthanc-dicomweb)")
def test_orthanc_tells_by_web_query_what_it_holds(orthanc: RunningOrthanc) -> None:
    url = HttpUrl(str(httpx.URL(orthanc.server.api.base_url).join("/dicom-web")))
    destination = DicomWebDestinationSettings(name="web", url=url, timeout_s=5.0)

    assert held(destination, questions(), calling_ae_title=NODE) == EXPECTED
