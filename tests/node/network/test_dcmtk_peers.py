"""DCMTK, the toolkit behind many modalities and archives, as sender and as receiver."""

import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless

from node.errors import SUCCESS
from node.part10 import read_file_meta
from node.store_scu import StoreOutcome, store
from tests.node.network.objects import mr_file, shared_files
from tests.node.network.peers import (
    DEADLINE_S,
    LOOPBACK,
    NODE,
    SCANNER,
    ReceivingNode,
    data_set_of,
    send_files,
    wait_until,
)
from tests.postgresql import free_port
from tests.real_data import needs_shared_data

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("storescu") is None, reason="DCMTK is not installed (apt install dcmtk)"),
]


def dcmtk(tool: str, node: ReceivingNode, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [tool, "-v", "-aet", SCANNER, "-aec", NODE, *map(str, arguments[:-1] if tool == "dcmsend" else ())]
    rest = [LOOPBACK, str(node.port), *map(str, arguments[-1:] if tool == "dcmsend" else arguments)]
    return subprocess.run([*command, *rest], capture_output=True, text=True, timeout=DEADLINE_S * 2)


def test_echoscu_of_a_known_caller_succeeds_and_of_a_stranger_does_not(node: ReceivingNode) -> None:
    def echo(title: str) -> int:
        command = ["echoscu", "-aet", title, "-aec", NODE, LOOPBACK, str(node.port)]
        return subprocess.run(command, capture_output=True, timeout=DEADLINE_S).returncode

    assert echo(SCANNER) == 0
    assert echo("STRANGER") != 0


def test_storescu_stores_an_image(node: ReceivingNode, tmp_path: Path) -> None:
    image = mr_file(tmp_path)

    run = dcmtk("storescu", node, image)

    assert run.returncode == 0, run.stderr
    assert len(node.rows()) == 1


def test_storescu_reports_the_refusal_of_a_broken_image(node: ReceivingNode, tmp_path: Path) -> None:
    image = mr_file(tmp_path, 1, SeriesInstanceUID=None)

    run = dcmtk("storescu", node, image)

    assert "CannotUnderstand" in run.stdout + run.stderr or "0xc000" in (run.stdout + run.stderr).lower()
    assert node.rows() == []


@needs_shared_data
def test_dcmsend_stores_a_folder_of_compressed_images_each_in_its_encoding(node: ReceivingNode, tmp_path: Path) -> None:
    images = [
        path
        for path in shared_files("mr-siemens-9-transfer-syntaxes", "neg-mr-nema-wg04-compressed")
        if UID(read_file_meta(path).transfer_syntax_uid).is_encapsulated and not path.stem.endswith("JPLY")
    ]
    folder = tmp_path / "images"
    folder.mkdir()
    for image in images:
        shutil.copy(image, folder / f"{image.parent.name}-{image.name}")

    run = dcmtk("dcmsend", node, "--decompress-never", "--scan-directories", "--no-uid-checks", folder)

    assert run.returncode == 0, run.stdout + run.stderr
    kept = [node.files.path(row.file) for row in node.rows()]
    assert len(kept) == len(images)
    assert {encoded_pixels(path) for path in kept} == {encoded_pixels(path) for path in images}


def encoded_pixels(path: Path) -> tuple[str, str]:
    """Transfer syntax and hash of the pixel data; dcmsend writes the other elements' lengths its own way."""
    image = pydicom.dcmread(path)
    return image.file_meta.TransferSyntaxUID, sha256(image.PixelData).hexdigest()


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """DCMTK's receiver, which keeps data sets bit by bit and takes every transfer syntax."""
    folder = tmp_path / "storescp"
    folder.mkdir()
    port = free_port()
    command = [
        "storescp",
        "--aetitle",
        "DCMTK",
        "--output-directory",
        str(folder),
        "--bit-preserving",
        "+xa",
        str(port),
    ]
    with (tmp_path / "storescp.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        wait_until(lambda: _echoes(port), what="storescp answering")
        yield port, folder
        process.terminate()
        process.wait(DEADLINE_S)


def _echoes(port: int) -> bool:
    command = ["echoscu", "-to", "1", LOOPBACK, str(port)]
    return subprocess.run(command, capture_output=True, timeout=DEADLINE_S).returncode == 0


@needs_shared_data
def test_files_go_to_storescp_byte_for_byte(storescp: tuple[int, Path]) -> None:
    port, folder = storescp
    images = {}
    for path in shared_files("mr-siemens-9-transfer-syntaxes"):
        images.setdefault(read_file_meta(path).transfer_syntax_uid, path)
    assert {str(JPEG2000Lossless), str(JPEGLSLossless)} <= images.keys()

    for path in images.values():  # one by one: they share a SOP Instance UID, which is storescp's file name
        (result,) = store(
            [path],
            host=LOOPBACK,
            port=port,
            called_ae_title="DCMTK",
            calling_ae_title=NODE,
            timeout_s=DEADLINE_S,
        )

        (kept,) = folder.iterdir()
        assert (result.outcome, result.status) == (StoreOutcome.SENT, SUCCESS)
        assert data_set_of(kept) == data_set_of(path)
        kept.unlink()


def test_what_dcmtk_sent_equals_what_our_own_scu_sent(node: ReceivingNode, tmp_path: Path) -> None:
    image = mr_file(tmp_path)
    dcmtk("storescu", node, image)

    statuses = send_files(node.port, [image])

    assert statuses == [SUCCESS]
    assert len(node.rows()) == 1
