"""Each fault gets its DICOM status and one log line that says why and what to do, without patient data."""

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian
from structlog.testing import capture_logs

from node.errors import CANNOT_UNDERSTAND, DATA_SET_MISMATCH, OUT_OF_RESOURCES, SUCCESS
from storage.errors import StorageError, StorageFull
from storage.files import FileStore, FileWriter
from storage.instances import InstanceRecorder, NewInstance, Outcome
from tests.node.network.objects import (
    EXPLICIT,
    MR,
    PATIENT_ID,
    PATIENT_NAME,
    dicom_file,
    encoded,
    mr_file,
    mr_image,
)
from tests.node.network.peers import SCANNER, ReceivingNode, receiving_node, send_files


def broken(folder: Path, data_set: bytes, transfer_syntax_uid: str = EXPLICIT) -> Path:
    return dicom_file(
        folder / "broken.dcm", data_set, sop_instance_uid="2.25.10001", transfer_syntax_uid=transfer_syntax_uid
    )


def nested(depth: int) -> bytes:
    """A data set whose private sequence nests `depth` times, in undefined lengths."""
    item = bytes.fromhex("feff00e0ffffffff")
    sequence = b"\x09\x00\x10\x10SQ\x00\x00\xff\xff\xff\xff"
    return (sequence + item) * depth


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "../../etc/passwd", "1.2.840.", "1.02.3", "1." * 40 + "1", PATIENT_NAME])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_a_missing_or_malformed_uid_cannot_be_understood(
    module_node: ReceivingNode, tmp_path: Path, keyword: str, value: str | None
) -> None:
    image = broken(tmp_path, encoded(mr_image(1, **{keyword: value})))

    with capture_logs() as logs:
        statuses = send_files(module_node.port, [image])

    assert statuses == [CANNOT_UNDERSTAND]
    assert "UID" in the_refusal(logs)["reason"]
    assert PATIENT_NAME not in str(logs)


@pytest.mark.parametrize(
    ("data_set", "transfer_syntax_uid"),
    [
        (encoded(mr_image())[:60], EXPLICIT),
        (b"\xff" * 512, EXPLICIT),
        (b"\x00" * 512, EXPLICIT),
        (nested(5000), EXPLICIT),
        (encoded(mr_image()), str(DeflatedExplicitVRLittleEndian)),
        (encoded(mr_image(StudyInstanceUID="2.25.200011")).partition(b"2.25.200011")[0] + b"2.25.", EXPLICIT),
    ],
    ids=["cut off", "all ones", "all zeros", "nested 5000 deep", "not deflated", "cut within a UID"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bytes_that_are_no_data_set_cannot_be_understood(
    module_node: ReceivingNode, tmp_path: Path, data_set: bytes, transfer_syntax_uid: str
) -> None:
    image = broken(tmp_path, data_set, transfer_syntax_uid)

    with capture_logs() as logs:
        statuses = send_files(module_node.port, [image])

    assert statuses == [CANNOT_UNDERSTAND]
    assert the_refusal(logs)["calling_ae_title"] == SCANNER


def test_an_empty_data_set_cannot_be_understood(module_node: ReceivingNode, tmp_path: Path) -> None:
    statuses = send_files(module_node.port, [broken(tmp_path, b"")])

    assert statuses == [CANNOT_UNDERSTAND]


def test_a_small_deflated_bomb_is_refused_and_takes_no_memory(module_node: ReceivingNode, tmp_path: Path) -> None:
    hidden = mr_image()
    hidden.add_new(0x00091010, "OB", bytes(200 * 2**20))  # before the Study Instance UID
    image = broken(tmp_path, encoded(hidden, str(DeflatedExplicitVRLittleEndian)), str(DeflatedExplicitVRLittleEndian))

    statuses = send_files(module_node.port, [image])

    assert image.stat().st_size < 10**6
    assert statuses == [CANNOT_UNDERSTAND]


@pytest.mark.parametrize(
    ("announced_class", "announced_instance"), [(str(CTImageStorage), "2.25.10001"), (MR, "2.25.999")]
)
def test_a_data_set_that_is_not_the_announced_object_does_not_match(
    module_node: ReceivingNode, tmp_path: Path, announced_class: str, announced_instance: str
) -> None:
    image = dicom_file(
        tmp_path / "other.dcm",
        encoded(mr_image()),
        sop_class_uid=announced_class,
        sop_instance_uid=announced_instance,
    )

    with capture_logs() as logs:
        statuses = send_files(module_node.port, [image])

    assert statuses == [DATA_SET_MISMATCH]
    assert the_refusal(logs)["status"] == "0xA900"


def test_a_refused_object_leaves_no_file_and_no_row(module_node: ReceivingNode, tmp_path: Path) -> None:
    before = len(module_node.rows()), kept_files(module_node)

    send_files(module_node.port, [broken(tmp_path, encoded(mr_image(1, StudyInstanceUID="")))])

    assert (len(module_node.rows()), kept_files(module_node)) == before


def test_a_good_image_behind_bad_ones_is_kept_over_the_same_association(
    module_node: ReceivingNode, tmp_path: Path
) -> None:
    bad = broken(tmp_path, nested(5000))

    statuses = send_files(module_node.port, [bad, mr_file(tmp_path, 77), bad])

    assert statuses == [CANNOT_UNDERSTAND, SUCCESS, CANNOT_UNDERSTAND]
    assert module_node.row("2.25.100077").case_id is None


class _FillingStore(FileStore):
    """Has room when the association begins, and none when its first object comes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._answers = iter([2**40])

    def free_bytes(self) -> int:
        return next(self._answers, 0)


def test_too_little_free_space_is_out_of_resources_and_keeps_nothing(tmp_path: Path, node_database_url: str) -> None:
    files = _FillingStore(tmp_path / "files")
    with (
        receiving_node(tmp_path, node_database_url, files=files, minimum_free_bytes=1000) as node,
        capture_logs() as logs,
    ):
        statuses = send_files(node.port, [mr_file(tmp_path)])

        assert statuses == [OUT_OF_RESOURCES]
        assert "minimum_free_bytes" in the_refusal(logs)["reason"]
        assert node.rows() == []


class _FullStore(FileStore):
    def begin(self, area: str, uid: str) -> FileWriter:
        raise StorageFull("no space left; make room on this disk")


def test_a_full_disk_is_out_of_resources(tmp_path: Path, node_database_url: str) -> None:
    files = _FullStore(tmp_path / "files")

    with receiving_node(tmp_path, node_database_url, files=files) as node:
        statuses = send_files(node.port, [mr_file(tmp_path)])

    assert statuses == [OUT_OF_RESOURCES]


class _BrokenRecorder(InstanceRecorder):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def record(self, new: NewInstance) -> Outcome:
        raise self._error


@pytest.mark.parametrize("error", [StorageError("the database is gone"), KeyError(PATIENT_NAME), MemoryError()])
def test_a_row_that_cannot_be_committed_is_never_acknowledged(
    tmp_path: Path, node_database_url: str, error: Exception
) -> None:
    with receiving_node(tmp_path, node_database_url, recorder=_BrokenRecorder(error)) as node, capture_logs() as logs:
        statuses = send_files(node.port, [mr_file(tmp_path)])

    assert statuses == [OUT_OF_RESOURCES]
    refusal = the_refusal(logs)
    assert PATIENT_NAME not in str({key: value for key, value in refusal.items() if key != "exc_info"})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_log_line_of_a_whole_exchange_holds_patient_data(module_node: ReceivingNode, tmp_path: Path) -> None:
    sequence = Dataset()
    sequence.PatientName = PATIENT_NAME
    odd = mr_image(5, ReferencedPatientSequence=DicomSequence([sequence]), StudyDate="not a date")
    images = [
        mr_file(tmp_path, 4),
        dicom_file(tmp_path / "odd.dcm", encoded(odd), sop_instance_uid="2.25.10005"),
        broken(tmp_path, encoded(mr_image(1, StudyInstanceUID=""))),
    ]

    with capture_logs() as logs:
        statuses = send_files(module_node.port, images)

    assert statuses == [SUCCESS, SUCCESS, CANNOT_UNDERSTAND]
    assert len(logs) >= 3
    assert not [text for text in (PATIENT_NAME, "Musterfrau", PATIENT_ID, "19700101") if text in str(logs)]


def the_refusal(logs: list[dict[str, object]]) -> dict[str, object]:  # type: ignore[type-arg]
    (refusal,) = [line for line in logs if line["event"] in ("instance_refused", "instance_not_kept")]
    return refusal


def kept_files(node: ReceivingNode) -> int:
    return sum(path.is_file() for path in node.files.root.rglob("*"))
