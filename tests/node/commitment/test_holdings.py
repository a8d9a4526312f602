"""An archive is asked what it holds, and is never believed to say what it did not say."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest
import structlog
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.events import Event

from config.settings import DestinationSettings
from node.commitment.holdings import Wanted, held, holds
from node.store_scu import StoreOutcome, store
from tests.node.commitment.peers import ARCHIVE, DEADLINE_S, LOOPBACK, NODE, SYNTAXES
from tests.node.commitment.web_archive import WebArchive, dicom_json
from tests.node.conftest import MR
from tests.node.network.objects import mr_file
from tests.postgresql import free_port
from tests.system.orthanc import wait_until

FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY, SERIES = "2.25.2000", "2.25.3000"


def wanted(number: int, *, parents: bool = True, series: str = SERIES) -> Wanted:
    study, series = (STUDY, series) if parents else ("", "")
    return Wanted(
        sop_class_uid=MR,
        sop_instance_uid=f"2.25.1000{number}",
        study_instance_uid=study,
        series_instance_uid=series,
    )


def archive_at(port: int, ae_title: str = ARCHIVE) -> DestinationSettings:
    return DestinationSettings(name="pacs", ae_title=ae_title, host=LOOPBACK, port=port, timeout_s=5.0)


@pytest.fixture(scope="module")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DestinationSettings]:
    """DCMTK's archive with the instances 1, 2 and 3 of one series."""
    folder = tmp_path_factory.mktemp("dcmqrscp")
    (folder / "db").mkdir()
    port = free_port()
    tables = f"AETable BEGIN\nQR {folder / 'db'} RW (200, 1024mb) ANY\nAETable END\n"
    empty = "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n{empty}{tables}")
    files = [mr_file(folder, number) for number in (1, 2, 3)]

    def stores() -> bool:
        results = store(
            files, host=LOOPBACK, port=port, called_ae_title="QR", calling_ae_title=NODE, timeout_s=DEADLINE_S
        )
        return all(result.outcome is StoreOutcome.SENT for result in results)

    command = ["dcmqrscp", "-c", str(configuration)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        wait_until(stores, timeout_s=DEADLINE_S, what="dcmqrscp stores")
        yield archive_at(port, "QR")
        process.terminate()
        process.wait(DEADLINE_S)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (wanted(1), True),
        (wanted(9), False),
        (wanted(1, series="2.25.404"), False),
        (wanted(1, parents=False), None),  # it answers no query without the keys above
    ],
)
def test_dcmqrscp_tells_what_it_holds(dcmqrscp: DestinationSettings, asked: Wanted, answer: bool | None) -> None:
    assert holds(dcmqrscp, asked, calling_ae_title=NODE) is answer


def test_dcmqrscp_is_asked_for_many_at_once(dcmqrscp: DestinationSettings) -> None:
    questions = [wanted(1), wanted(2), wanted(9), wanted(3, series="2.25.404")]

    answers = held(dcmqrscp, questions, calling_ae_title=NODE)

    assert answers == {"2.25.10001": True, "2.25.10002": True, "2.25.10009": False, "2.25.10003": False}


Finds = Callable[[Event], Iterator[tuple[int, Dataset | None]]]


@contextmanager
def archive_that_finds(finds: Finds) -> Iterator[DestinationSettings]:
    entity = AE(ae_title=ARCHIVE)
    entity.add_supported_context(FIND, SYNTAXES)
    server = entity.start_server((LOOPBACK, 0), block=False, evt_handlers=[(evt.EVT_C_FIND, finds)])
    assert server is not None
    try:
        yield archive_at(int(server.server_address[1]))
    finally:
        entity.shutdown()


def match(uid: str) -> tuple[int, Dataset]:
    found = Dataset()
    found.QueryRetrieveLevel = "IMAGE"
    found.SOPInstanceUID = uid
    return 0xFF00, found


def other_instance(event: Event) -> Iterator[tuple[int, Dataset | None]]:
    yield match("2.25.777")


def refusal(event: Event) -> Iterator[tuple[int, Dataset | None]]:
    yield 0xA700, None


def failure_after_matches(event: Event) -> Iterator[tuple[int, Dataset | None]]:
    yield match("2.25.10001")
    yield 0xC001, None


def broken_association(event: Event) -> Iterator[tuple[int, Dataset | None]]:
    event.assoc.abort()
    yield match("2.25.10001")


@pytest.mark.parametrize(
    ("finds", "answer"),
    [(other_instance, False), (refusal, None), (failure_after_matches, None), (broken_association, None)],
)
def test_only_a_whole_answer_with_the_uid_in_it_is_believed(finds: Finds, answer: bool | None) -> None:
    with archive_that_finds(finds) as archive:
        assert holds(archive, wanted(1), calling_ae_title=NODE) is answer


def test_an_instance_missing_in_a_long_answer_is_asked_for_by_itself() -> None:
    def cuts_short(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        asked = str(event.identifier.SOPInstanceUID or "")
        yield match(asked if asked in {"2.25.10001", "2.25.10002"} else "2.25.10001")

    with archive_that_finds(cuts_short) as archive:
        answers = held(archive, [wanted(1), wanted(2), wanted(3)], calling_ae_title=NODE)

    assert answers == {"2.25.10001": True, "2.25.10002": True, "2.25.10003": False}


def test_an_archive_that_is_away_cannot_say_and_no_uid_is_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        answer = holds(archive_at(free_port()), wanted(1), calling_ae_title=NODE)

    assert answer is None
    assert [entry["event"] for entry in logs] == ["holdings_not_told"]
    assert "2.25." not in str(logs)


def test_a_web_archive_is_asked_in_the_series_with_the_token() -> None:
    with WebArchive(lambda _path, _parameters: (200, dicom_json(["2.25.10001"]))) as archive:
        answer = holds(archive.destination, wanted(1), calling_ae_title=NODE)

    assert answer is True
    path, parameters, authorization = archive.asked[0]
    assert path == f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances"
    assert parameters == {"SOPInstanceUID": ["2.25.10001"]}
    assert authorization == "Bearer secret"


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (204, b"", False),
        (200, b"[]", False),
        (200, dicom_json(["2.25.777"]), False),
        (404, b"", None),
        (503, b"", None),
        (200, b"<html>please log in</html>", None),
        (200, b'{"error": "no"}', None),
    ],
)
def test_a_web_archive_is_believed_only_what_it_says(status: int, body: bytes, answer: bool | None) -> None:
    with WebArchive(lambda _path, _parameters: (status, body)) as archive:
        assert holds(archive.destination, wanted(1), calling_ae_title=NODE) is answer


def test_a_series_of_a_web_archive_is_read_page_by_page() -> None:
    uids = [f"2.25.1000{number}" for number in (1, 2, 3)]

    def two_at_a_time(_path: str, parameters: dict[str, list[str]]) -> tuple[int, bytes]:
        offset = int(parameters["offset"][0])
        return 200, dicom_json(uids[offset : offset + 2])

    with WebArchive(two_at_a_time) as archive:
        answers = held(archive.destination, [wanted(1), wanted(2), wanted(3)], calling_ae_title=NODE)

    assert set(answers.values()) == {True}
    assert [parameters["offset"] for _, parameters, _ in archive.asked] == [["0"], ["2"], ["3"]]


def test_a_web_archive_that_is_away_cannot_say_and_no_uid_is_logged() -> None:
    with WebArchive(lambda _path, _parameters: (200, b"")) as archive:
        gone = archive.destination
    with structlog.testing.capture_logs() as logs:
        answer = holds(gone, wanted(1), calling_ae_title=NODE)

    assert answer is None
    assert [entry["reason"] for entry in logs] == ["ConnectError"]
    assert "2.25." not in str(logs)


def test_neither_question_nor_token_goes_through_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    with WebArchive(lambda path, parameters: (200, dicom_json(["2.25.10001"]))) as web:
        assert holds(web.destination, wanted(1), calling_ae_title=NODE) is True
