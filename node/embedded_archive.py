"""A small receiving archive for the demonstration and the tests. Loopback only; it takes whatever comes."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

import structlog
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from node.dicom_stack import prepare_dicom_stack
from node.errors import SUCCESS, NodeError
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, file_prefix
from node.storage_contexts import VERIFICATION

log = structlog.get_logger(__name__)

_LOOPBACK: Final = "127.0.0.1"

StoredObject = tuple[str, Path]
"""SOP Class UID and file of one stored object."""


class EmbeddedArchive:
    """Writes each object that it receives to a file of a folder. An object sent again replaces its first file."""

    def __init__(self, folder: Path, ae_title: str = "ARCHIVE", port: int = 0) -> None:
        """`port` 0: any free one."""
        self.ae_title = ae_title
        self._wanted_port = port
        self._folder = folder
        self._server: ThreadedAssociationServer | None = None
        self._stored: dict[str, StoredObject] = {}  # by SOP Instance UID, in order of arrival
        self._received: list[str] = []  # SOP Class UIDs
        self._changed = threading.Condition()

    @property
    def port(self) -> int:
        if self._server is None:
            raise NodeError("the embedded archive is not started; call start() first")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen on the loopback interface."""
        prepare_dicom_stack()
        self._folder.mkdir(parents=True, exist_ok=True)
        entity = AE(ae_title=self.ae_title)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(cast(str, context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        entity.add_supported_context(VERIFICATION)
        entity.require_called_aet = True
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._server = entity.start_server(
            (_LOOPBACK, self._wanted_port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._keep)]
        )

    def stop(self) -> None:
        if self._server is None:
            return
        server, self._server = self._server, None
        server.shutdown()
        for association in server.active_associations:
            association.abort()

    def stored(self) -> list[StoredObject]:
        """What it holds now, in order of first arrival."""
        with self._changed:
            return list(self._stored.values())

    @property
    def received_count(self) -> int:
        """How many objects it was sent, those sent again counted each time."""
        return len(self.received())

    def received(self) -> list[str]:
        """SOP Class UID of each object that it was sent, in order of arrival, those sent again each time."""
        with self._changed:
            return list(self._received)

    def wait_for(self, predicate: Callable[[Sequence[StoredObject]], bool], timeout_s: float) -> list[StoredObject]:
        """Block until `predicate` holds of what it stored, and return that.

        Raises TimeoutError, naming how many objects came, when it does not hold after `timeout_s` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: predicate(list(self._stored.values())), timeout_s):
                raise TimeoutError(
                    f"the archive {self.ae_title} holds {len(self._stored)} objects after {timeout_s} s, "
                    "not what was waited for"
                )
            return list(self._stored.values())

    def _keep(self, event: Event) -> int:
        request = cast(C_STORE, event.request)
        sop_class_uid, sop_instance_uid = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        prefix = file_prefix(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=str(event.context.transfer_syntax),
            source_ae_title=event.assoc.requestor.ae_title.strip(),
        )
        with self._changed:
            _, path = self._stored.get(sop_instance_uid, ("", self._folder / f"{len(self._stored) + 1:04d}.dcm"))
            temporary = path.with_suffix(".part")
            temporary.write_bytes(prefix + event.encoded_dataset(include_meta=False))
            os.replace(temporary, path)  # noqa: PTH105 - atomic, over an earlier file as well
            self._stored[sop_instance_uid] = (sop_class_uid, path)
            self._received.append(sop_class_uid)
            self._changed.notify_all()
        log.debug("archive_stored", sop_class_uid=sop_class_uid, file=path.name)
        return SUCCESS
