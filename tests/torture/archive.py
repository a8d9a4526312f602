"""The PACS of the torture: keeps what it was sent in memory, outside the processes that are killed."""

import threading
from collections import defaultdict
from hashlib import sha256
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification
from pynetdicom.transport import ThreadedAssociationServer

from node.dicom_stack import prepare_dicom_stack
from node.storage_contexts import supported_contexts

SUCCESS, PENDING = 0x0000, 0xFF00


class Archive:
    """Takes every object, answers C-FIND at the IMAGE level, and remembers each receipt."""

    ae_title = "ARCHIVE"

    def __init__(self) -> None:
        self._receipts: defaultdict[str, list[str]] = defaultdict(list)  # SOP Instance UID -> sha256 of each receipt
        self._classes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        prepare_dicom_stack()
        entity = AE(ae_title=self.ae_title)
        entity.supported_contexts = supported_contexts()
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        entity.add_supported_context(Verification)
        entity.maximum_associations = 50
        self._server = entity.start_server(
            ("127.0.0.1", 0),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._keep), (evt.EVT_C_FIND, self._find)],
        )

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()

    def receipts(self) -> dict[str, list[str]]:
        """SOP Instance UID -> sha256 of the data set at each receipt, in their order."""
        with self._lock:
            return {uid: list(found) for uid, found in self._receipts.items()}

    def of_class(self, sop_class_uid: str) -> set[str]:
        with self._lock:
            return {uid for uid, found in self._classes.items() if found == sop_class_uid}

    def _keep(self, event: Event) -> int:
        request = cast(C_STORE, event.request)
        digest = sha256(event.encoded_dataset(include_meta=False)).hexdigest()
        uid = str(request.AffectedSOPInstanceUID)
        with self._lock:
            self._receipts[uid].append(digest)
            self._classes[uid] = str(request.AffectedSOPClassUID)
        return SUCCESS

    def _find(self, event: Event):  # type: ignore[no-untyped-def]
        asked = event.identifier.get("SOPInstanceUID") or []
        for uid in [asked] if isinstance(asked, str) else list(asked):
            with self._lock:
                held = str(uid) in self._classes
            if held:
                answer = Dataset()
                answer.QueryRetrieveLevel = "IMAGE"
                answer.SOPInstanceUID = str(uid)
                answer.SOPClassUID = self._classes[str(uid)]
                for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
                    if keyword in event.identifier:
                        setattr(answer, keyword, event.identifier.get(keyword))
                yield PENDING, answer
        yield SUCCESS, None
