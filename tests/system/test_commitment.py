"""Storage commitment with a real archive: `sent` becomes `committed`, and who sends to the node may delete its copy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest

from node.store_scu import StoreOutcome, store
from tests.node.commitment.peers import ask_and_stay, question_for
from tests.system.node_process import NodeProcess
from tests.system.orthanc import Orthanc, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def connected(orthanc: Callable[..., Orthanc], node: Callable[..., NodeProcess]) -> tuple[Orthanc, NodeProcess]:
    """An empty Orthanc, and a node that forwards and reports to it and asks it for storage commitment."""
    pacs = orthanc()
    spinenode = node(
        destination=("ORTHANC", pacs.dicom_port),
        callers=("SCANNER", "ORTHANC"),
        commitment=True,
        forward_originals=True,
    )
    spinenode.start()
    pacs.start({"node": (spinenode.ae_title, spinenode.port)})
    return pacs, spinenode


def test_results_and_originals_that_were_sent_become_committed(
    connected: tuple[Orthanc, NodeProcess], phantom_study: list[Path]
) -> None:
    pacs, spinenode = connected
    send(phantom_study, spinenode)
    spinenode.wait_for_case("done")

    def deliveries() -> list[dict[str, Any]]:
        return list(spinenode.command("outbox", "list"))

    wait_until(
        lambda: {row["state"] for row in deliveries()} == {"committed"},
        timeout_s=60,
        what="Orthanc committed itself to everything",
    )

    (study,) = pacs.studies()
    assert len(deliveries()) == len(pacs.instances(study)) > len(phantom_study)


def test_a_peer_that_asks_is_told_what_the_node_holds_and_what_not(
    connected: tuple[Orthanc, NodeProcess], phantom_study: list[Path]
) -> None:
    pacs, spinenode = connected
    send(phantom_study[:1], spinenode)
    image = pydicom.dcmread(phantom_study[0], stop_before_pixels=True)

    held = ask(pacs, {"SOPClassUID": image.SOPClassUID, "SOPInstanceUID": image.SOPInstanceUID})
    lacking = ask(pacs, {"SOPClassUID": image.SOPClassUID, "SOPInstanceUID": "2.25.404"})

    assert held["Status"] == "Success"
    assert [one["SOPInstanceUID"] for one in held["Success"]] == [image.SOPInstanceUID]
    assert lacking["Status"] == "Failure"
    assert [one["FailureReason"] for one in lacking["Failures"]] == [0x0112]


def test_a_scanner_that_keeps_its_association_open_is_told_over_it(
    connected: tuple[Orthanc, NodeProcess], phantom_study: list[Path]
) -> None:
    _, spinenode = connected
    send(phantom_study[:1], spinenode)
    image = pydicom.dcmread(phantom_study[0], stop_before_pixels=True)

    question = question_for([(image.SOPClassUID, image.SOPInstanceUID)])
    asker = ask_and_stay(spinenode.port, question)

    assert asker.told() == ({image.SOPInstanceUID}, {})


def send(files: list[Path], spinenode: NodeProcess) -> None:
    results = store(
        files,
        host="127.0.0.1",
        port=spinenode.port,
        called_ae_title=spinenode.ae_title,
        calling_ae_title="SCANNER",
        timeout_s=10.0,
    )
    assert {result.outcome for result in results} == {StoreOutcome.SENT}


def ask(pacs: Orthanc, instance: dict[str, str]) -> dict[str, Any]:
    """Let Orthanc ask the node, and wait for the node's result."""
    question = {"DicomInstances": [instance], "Timeout": 10}
    answer = pacs.api.post("/modalities/node/storage-commitment", json=question)
    answer.raise_for_status()

    def result() -> dict[str, Any] | None:
        found = pacs.api.get(answer.json()["Path"]).json()
        return found if found["Status"] != "Pending" else None

    return dict(wait_until(result, timeout_s=30, what="the node reports its result to Orthanc"))
