"""Where a received object goes: checked, written durably, recorded. Knows no network library."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from node.errors import CannotUnderstand, DataSetMismatch, OutOfResources
from node.instance_head import ReceivedHead, is_valid_uid, read_received_head
from node.part10 import file_prefix
from storage.files import FileStore, name_for
from storage.instances import InstanceRecorder, NewInstance, Outcome

AREA: Final = "instances"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedObject:
    """One C-STORE request: the UIDs of its command, and the data set's bytes as they came."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    encoded: bytes


class InstanceSink:
    """Keeps received objects. Safe for many threads."""

    def __init__(
        self,
        files: FileStore,
        recorder: InstanceRecorder,
        *,
        clock: Callable[[], datetime],
        minimum_free_bytes: int,
    ) -> None:
        self._files = files
        self._recorder = recorder
        self._clock = clock
        self._minimum_free_bytes = minimum_free_bytes

    def take(self, received: ReceivedObject) -> Outcome:
        """Keep one object; when this returns its bytes are synced and its row is committed.

        Raises CannotUnderstand or DataSetMismatch for a faulty object, OutOfResources or StorageError when it
        cannot be kept now.
        """
        self._check_space(len(received.encoded))
        head = read_received_head(received.encoded, received.transfer_syntax_uid)
        _check_announced(received, head)
        content_sha256 = sha256(received.encoded).hexdigest()
        prefix = file_prefix(
            sop_class_uid=head.sop_class_uid,
            sop_instance_uid=head.sop_instance_uid,
            transfer_syntax_uid=received.transfer_syntax_uid,
            source_ae_title=received.calling_ae_title,
        )
        file = self._files.write(AREA, name_for(head.sop_instance_uid, content_sha256), (prefix, received.encoded))
        return self._recorder.record(
            NewInstance(
                **asdict(head),
                transfer_syntax_uid=received.transfer_syntax_uid,
                content_sha256=content_sha256,
                byte_count=len(received.encoded),
                file=file,
                calling_ae_title=received.calling_ae_title,
                received_at=self._clock(),
            )
        )

    def _check_space(self, byte_count: int) -> None:
        free = self._files.free_bytes()
        if free - byte_count < self._minimum_free_bytes:
            raise OutOfResources(
                f"{free} bytes free, {self._minimum_free_bytes} must stay free (receiver.minimum_free_bytes); "
                "make room on the disk of the data folder"
            )


def _check_announced(received: ReceivedObject, head: ReceivedHead) -> None:
    for name, announced, found in (
        ("SOP Class UID", received.sop_class_uid, head.sop_class_uid),
        ("SOP Instance UID", received.sop_instance_uid, head.sop_instance_uid),
    ):
        if not is_valid_uid(announced):
            raise CannotUnderstand(f"the command's {name} is not a UID (PS3.5 9.1); repair the sender")
        if announced != found:
            raise DataSetMismatch(
                f"the command announces {name} {announced}, the data set holds {found}; repair the sender"
            )
