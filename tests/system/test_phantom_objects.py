"""Generated instances of every kind are valid DICOM, and a real Orthanc takes and shows them.

A dozen of each kind; SPINENODE_TEST_PHANTOM_INSTANCES=200 asks for more. Every patient comes from another site, so that
each has other habits.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, SegmentationStorage

from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import StudyForm
from inference.phantom.dicom.habits import habits_of_site
from inference.phantom.dicom.study import write_file
from inference.phantom.truth.objects import WrittenStudy
from inference.phantom.truth.write import TruthKind, write_truth
from node.store_scu import StoreOutcome, store
from tests import dciodvfy
from tests.system.orthanc import Orthanc

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(3600)]

COUNT: Final = int(os.environ.get("SPINENODE_TEST_PHANTOM_INSTANCES", "12"))
SEED: Final = 1_000
CONFIG: Final = PhantomConfig(matrix=96)
_CLASSIC_PER_PATIENT: Final = 2
_KINDS: Final = ("classic", "enhanced", "segmentation", "report")


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Kind -> files, COUNT of each."""
    folder = tmp_path_factory.mktemp("instances")
    found: dict[str, list[Path]] = {kind: [] for kind in _KINDS}
    index = 0
    while min(len(files) for files in found.values()) < COUNT:
        for kind, path in _of_patient(index, folder / str(index)):
            if len(found[kind]) < COUNT:
                found[kind].append(path)
            else:
                path.unlink()
        index += 1
    return found


def _of_patient(index: int, folder: Path) -> Iterator[tuple[str, Path]]:
    patient = generate_patient(index, seed=SEED, config=CONFIG)
    habits = habits_of_site(f"site {index}")
    for enhanced in (False, True):
        study = WrittenStudy.of(patient, StudyForm(enhanced=enhanced, habits=habits))
        here = folder / ("enhanced" if enhanced else "classic")
        here.mkdir(parents=True)
        files = study.files if enhanced else islice(study.files, index % 9, None, 17)
        for file in files:
            yield "enhanced" if enhanced else "classic", write_file(file, here)
        for path in write_truth(study, here, (TruthKind.SEG, TruthKind.SR)):
            if path.suffix == ".dcm":
                yield "report" if "planted" in path.name else "segmentation", path


@pytest.mark.parametrize("kind", _KINDS)
def test_every_instance_is_valid(instances: dict[str, list[Path]], kind: str) -> None:
    if not dciodvfy.installed():
        pytest.skip("dciodvfy (dicom3tools) is not installed")

    with ThreadPoolExecutor(4) as pool:
        errors = dict(zip(instances[kind], pool.map(dciodvfy.errors_of, instances[kind]), strict=True))

    assert len(errors) == COUNT
    assert {path: found for path, found in errors.items() if found} == {}


def test_orthanc_takes_and_shows_every_instance(
    instances: dict[str, list[Path]], orthanc: Callable[..., Orthanc]
) -> None:
    archive = orthanc()
    archive.start({})
    files = [path for of_kind in instances.values() for path in of_kind]

    results = store(
        files,
        host="127.0.0.1",
        port=archive.dicom_port,
        called_ae_title=archive.ae_title,
        calling_ae_title="PHANTOM",
        timeout_s=60.0,
    )

    assert {result.path: result.reason for result in results if result.outcome is not StoreOutcome.SENT} == {}
    assert archive.api.get("/statistics").json()["CountInstances"] == 4 * COUNT
    images = {MRImageStorage, EnhancedMRImageStorage, SegmentationStorage}
    shown = 0
    for study in archive.studies():
        for instance in archive.instances(study):
            tags = archive.api.get(f"/instances/{instance}/simplified-tags").json()
            assert tags["Manufacturer"] == "PHANTOM"
            if tags["SOPClassUID"] in images:
                archive.api.get(f"/instances/{instance}/preview").raise_for_status()
                shown += 1
    assert shown == 3 * COUNT


def test_an_archive_gives_back_the_bytes_that_it_was_sent(
    instances: dict[str, list[Path]], orthanc: Callable[..., Orthanc]
) -> None:
    archive = orthanc()
    archive.start({})
    files = [of_kind[0] for of_kind in instances.values()]

    archive.upload(files)

    kept = {archive.file(instance) for study in archive.studies() for instance in archive.instances(study)}
    assert kept == {path.read_bytes() for path in files}
