"""A route may forward the originals beside the results: unmodified, and once."""

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from node.embedded_archive import EmbeddedArchive
from node.store_scu import store
from tests.system.node_process import NodeProcess
from tests.system.orthanc import wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]


def data_set_bytes(path: Path) -> bytes:
    """Everything after the file meta information, which each archive writes by itself."""
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, force=False)
        pydicom.filereader._read_file_meta_info(file)
        return file.read()


def test_originals_arrive_byte_for_byte_beside_their_results(
    node: Callable[..., NodeProcess], tmp_path: Path, phantom_study: list[Path]
) -> None:
    archive = EmbeddedArchive(tmp_path / "archive")
    archive.start()
    spinenode = node(destination=("ARCHIVE", archive.port), callers=("SCANNER",), forward_originals=True)
    spinenode.start()
    address = {"host": "127.0.0.1", "port": spinenode.port, "called_ae_title": spinenode.ae_title}
    try:
        store(phantom_study, calling_ae_title="SCANNER", timeout_s=10.0, **address)  # type: ignore[arg-type]
        spinenode.wait_for_case("done")
        wait_until(
            lambda: all(row["state"] == "sent" for row in spinenode.command("outbox", "list")),
            timeout_s=60,
            what="every original and result was sent",
        )
        arrived = [path for _, path in archive.stored()]
    finally:
        archive.stop()

    sent = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in phantom_study}
    came = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in arrived}
    assert set(sent) < set(came)
    assert all(data_set_bytes(came[uid]) == data_set_bytes(path) for uid, path in sent.items())
    assert archive.received_count == len(arrived)
