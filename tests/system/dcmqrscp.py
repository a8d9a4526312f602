"""DCMTK's archive: its own process, its own folder, a loopback port, ended by its pid."""

import shutil
import socket
import subprocess
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmwrite
from pynetdicom import build_role, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelGet

from node.commitment.peer import RequestingEntity
from node.dicom_stack import prepare_dicom_stack
from tests.system.orthanc import build_loopback_shim, free_port, wait_until

DCMQRSCP: Final = shutil.which("dcmqrscp")
_CALLING: Final = "VIEWER"
_SUCCESS: Final = 0x0000
_PENDING: Final = frozenset({0xFF00, 0xFF01})  # PS3.4 C.4.3.1.4


class Dcmqrscp:
    """A storage, query and retrieve SCP that keeps what it receives as it received it."""

    ae_title = "DCMQRSCP"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        store = self._folder / "store"
        store.mkdir(parents=True)
        configuration = self._folder / "dcmqrscp.cfg"
        configuration.write_text(
            f"NetworkTCPPort = {self.port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
            "HostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
            f"AETable BEGIN\n{self.ae_title} {store} RW (20, 1024mb) ANY\nAETable END\n"
        )
        assert DCMQRSCP is not None
        with (self._folder / "dcmqrscp.log").open("wb") as log:
            self._process = subprocess.Popen(
                [DCMQRSCP, "--config", str(configuration)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"LD_PRELOAD": str(build_loopback_shim(self._folder)), "PATH": "/usr/bin:/bin"},
            )
        wait_until(self._answers, timeout_s=30, what="dcmqrscp listens")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)

    def find(self, wanted: Dataset) -> list[Dataset]:
        """Identifiers of the matches (PS3.4 C.4.1, Study Root)."""
        entity = self._entity()
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        association = entity.associate("127.0.0.1", self.port, ae_title=self.ae_title)
        assert association.is_established
        answers = list(association.send_c_find(wanted, StudyRootQueryRetrieveInformationModelFind))
        association.release()
        assert answers[-1][0].Status == _SUCCESS
        return [identifier for status, identifier in answers if status.Status in _PENDING and identifier is not None]

    def get_study(self, study_instance_uid: str, sop_classes: Sequence[str]) -> list[bytes]:
        """Every instance of a study as a Part 10 file, by C-GET (PS3.4 C.4.3)."""
        received: list[bytes] = []

        def keep(event: Event) -> int:
            received.append(_file_of(event))
            return _SUCCESS

        entity = self._entity()
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        for sop_class in sop_classes:
            entity.add_requested_context(sop_class)
        association = entity.associate(
            "127.0.0.1",
            self.port,
            ae_title=self.ae_title,
            ext_neg=[build_role(sop_class, scp_role=True) for sop_class in sop_classes],
            evt_handlers=[(evt.EVT_C_STORE, keep)],
        )
        assert association.is_established
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "STUDY", study_instance_uid
        *_, (status, _) = association.send_c_get(wanted, StudyRootQueryRetrieveInformationModelGet)
        association.release()
        assert status.Status == _SUCCESS
        return received

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _entity(self) -> RequestingEntity:
        prepare_dicom_stack()
        entity = RequestingEntity(ae_title=_CALLING)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
        return entity


def _file_of(event: Event) -> bytes:
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
