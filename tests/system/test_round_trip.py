"""The main job with a real PACS: a study goes out of Orthanc, its SR and overlays come back into the same study."""

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from tests.dciodvfy import errors_of, installed
from tests.system.node_process import NodeProcess
from tests.system.orthanc import Orthanc, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]

ROUTE_EVERYTHING = """
function OnStoredInstance(instanceId, tags, metadata)
  SendToModality(instanceId, 'node')
end
"""


@pytest.fixture
def connected(
    orthanc: Callable[..., Orthanc], node: Callable[..., NodeProcess], database_url: str, phantom_study: list[Path]
) -> tuple[Orthanc, NodeProcess, str]:
    """Orthanc holding the phantom study, and a node that takes from it and answers into it."""
    pacs = orthanc()
    spinenode = node(destination=("ORTHANC", pacs.dicom_port), callers=("ORTHANC",), database_url=database_url)
    spinenode.upgrade_database()
    spinenode.start()
    pacs.start({"node": (spinenode.ae_title, spinenode.port)})
    pacs.upload(phantom_study)
    return pacs, spinenode, pacs.studies()[0]


def test_a_study_routed_by_orthanc_comes_back_into_the_same_study(
    connected: tuple[Orthanc, NodeProcess, str], phantom_study: list[Path]
) -> None:
    pacs, spinenode, study = connected

    pacs.send_study(study, "node")
    case = spinenode.wait_for_case("done")

    assert pacs.studies() == [study]
    shown = spinenode.command("case", "show", str(case["id"]))
    made = Counter(one["kind"] for one in shown["report_objects"])
    assert (made["sr"], made["summary"]) == (1, 1)
    assert made["overlay"] > 0
    assert pacs.count(study, "SR") == 1
    assert pacs.count(study, "OT") == made["overlay"] + 1
    assert pacs.count(study, "MR") == len(phantom_study)
    held = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(pacs.file(i))) for i in pacs.instances(study)]
    results = [ds for ds in held if ds.get("Manufacturer") == "SpineNode"]
    assert len(results) == len(shown["report_objects"])
    assert sum(ds.Modality == "SR" for ds in results) == 1


def test_the_same_study_sent_again_adds_no_second_result(connected: tuple[Orthanc, NodeProcess, str]) -> None:
    pacs, spinenode, study = connected
    pacs.send_study(study, "node")
    spinenode.wait_for_case("done")
    before = sorted(pacs.instances(study))

    pacs.send_study(study, "node")  # the results are in the study now, so they come back to the node as well
    wait_until(
        lambda: spinenode.command("status")["instances"].get("new", 0) == 0, timeout_s=30, what="all were placed"
    )

    (case,) = spinenode.cases()
    assert (case["state"], case["revision"]) == ("done", 1)
    assert sorted(pacs.instances(study)) == before


def test_every_object_that_leaves_the_node_passes_dciodvfy(
    connected: tuple[Orthanc, NodeProcess, str], tmp_path: Path
) -> None:
    if not installed():
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")
    pacs, spinenode, study = connected
    pacs.send_study(study, "node")
    spinenode.wait_for_case("done")

    faults = {}
    for instance in pacs.instances(study):
        path = tmp_path / f"{instance}.dcm"
        path.write_bytes(pacs.file(instance))
        faults[instance] = errors_of(path)

    assert {name: errors for name, errors in faults.items() if errors} == {}


def test_a_pacs_that_routes_everything_back_starts_no_loop(
    orthanc: Callable[..., Orthanc], node: Callable[..., NodeProcess], phantom_study: list[Path]
) -> None:
    pacs = orthanc(lua=ROUTE_EVERYTHING)
    spinenode = node(destination=("ORTHANC", pacs.dicom_port), callers=("ORTHANC",))
    spinenode.start()
    pacs.start({"node": (spinenode.ae_title, spinenode.port)})

    pacs.upload(phantom_study)  # Orthanc's own rule sends each, and later each result
    case = spinenode.wait_for_case("done")
    made = len(spinenode.command("case", "show", str(case["id"]))["report_objects"])
    wait_until(
        lambda: spinenode.command("status")["instances"].get("set_aside", 0) >= made,
        timeout_s=60,
        what="the node's own objects came back and were set aside",
    )

    (case,) = spinenode.cases()
    assert (case["state"], case["revision"]) == ("done", 1)
    assert pacs.count(pacs.studies()[0], "SR") == 1


def test_dcmtk_sends_and_reads_the_answer(
    orthanc: Callable[..., Orthanc], node: Callable[..., NodeProcess], phantom_study: list[Path], tmp_path: Path
) -> None:
    pacs = orthanc()
    spinenode = node(destination=("ORTHANC", pacs.dicom_port), callers=("DCMSEND",))
    spinenode.start()
    pacs.start({})

    files = [str(path) for path in phantom_study]
    address = ["-aet", "DCMSEND", "-aec", spinenode.ae_title, "127.0.0.1", str(spinenode.port)]
    subprocess.run(["dcmsend", *address, *files], check=True, timeout=120)
    spinenode.wait_for_case("done")

    study = pacs.studies()[0]
    (report,) = [s["Instances"][0] for s in pacs.series(study) if s["MainDicomTags"]["Modality"] == "SR"]
    path = tmp_path / "sr.dcm"
    path.write_bytes(pacs.file(report))
    text = subprocess.run(["dsrdump", "+Pl", str(path)], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Comprehensive 3D SR" in text
    assert "research use only" in text.lower()
    assert "phantom" in text.lower()
