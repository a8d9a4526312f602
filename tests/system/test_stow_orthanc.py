"""A real DICOMweb service takes what the sender stores by STOW-RS, and tells what it cannot take."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import DicomWebDestinationSettings
from node.sending.results import NoAnswer, Shipment, StoreOutcome, StoreResult
from node.sending.stow import StowCarrier
from tests.node.network.objects import mr_file
from tests.node.network.peers import data_set_of
from tests.system.orthanc import DICOM_WEB, ORTHANC, Orthanc

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        ORTHANC is None or not Path(DICOM_WEB).exists(),
        reason="Orthanc's DICOMweb plugin is not installed (apt-get install orthanc-dicomweb)",
    ),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    orthanc = Orthanc(tmp_path_factory.mktemp("web") / "orthanc", plugins=(DICOM_WEB,))
    orthanc.start({})
    yield orthanc
    orthanc.stop()


def send(
    service: Orthanc, *files: Path, path: str = "dicom-web", coerce: dict[str, str] | None = None
) -> list[StoreResult]:
    url = f"http://127.0.0.1:{service.http_port}/{path}"
    carrier = StowCarrier(DicomWebDestinationSettings(name="web", url=url, timeout_s=20.0))  # type: ignore[arg-type]
    try:
        return list(carrier.carry([Shipment(path=file, coerce=coerce or {}) for file in files]))
    finally:
        carrier.close()


def test_objects_arrive_byte_for_byte_and_again_without_harm(service: Orthanc, tmp_path: Path) -> None:
    images = [mr_file(tmp_path, number) for number in (1, 2, 3)]

    first, again = send(service, *images), send(service, *images)

    assert {(one.outcome, one.reason) for one in [*first, *again]} == {(StoreOutcome.SENT, "")}
    (study,) = service.studies()
    arrived = []
    for number, instance in enumerate(service.instances(study)):
        (tmp_path / f"arrived-{number}").write_bytes(service.file(instance))
        arrived.append(data_set_of(tmp_path / f"arrived-{number}"))
    assert sorted(arrived) == sorted(data_set_of(image) for image in images)


def test_an_address_without_the_service_is_told_and_keeps_the_objects_waiting(service: Orthanc, tmp_path: Path) -> None:
    (result,) = send(service, mr_file(tmp_path), path="nothing-here")

    assert (result.outcome, result.no_answer) == (StoreOutcome.REFUSED_FOR_NOW, NoAnswer.UNREACHED)
    assert "404" in result.reason
