"""Where a received object goes: streamed to a file, checked, made durable, recorded. Knows no network library.

Memory per object is constant: the first bytes are kept to find the head in them, the rest passes through.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import sha256
from typing import Final

import structlog
from pydicom.uid import DeflatedExplicitVRLittleEndian

from config.settings import ReceiverSettings
from node.errors import CannotUnderstand, DataSetMismatch, InputRejected, NodeError, OutOfResources
from node.head_scan import NeedsMore, Undecided, scan_head
from node.instance_head import EMPTY, HeadRules, ReceivedHead, is_valid_uid, read_received_head
from node.part10 import file_prefix
from storage.errors import StorageError
from storage.files import FileStore, name_for
from storage.new_instance import NewInstance, Outcome, Recorder
from storage.new_quarantined import NewQuarantined

log = structlog.get_logger(__name__)

AREA: Final = "instances"
QUARANTINE_AREA: Final = "quarantine"

# The needed elements of most images end within this; of the others the file is looked into.
_HEAD_BYTES: Final = 1 << 16
# How much of the file at first, and how much at most before pydicom, which skips what is large, looks into it. It is
# read and never mapped: where a disk fails, mapped bytes end the process.
_FILE_BYTES: Final = (1 << 20, 1 << 24)
# A disk is asked for its free space once per object, and again each time so much of a large one has come.
_BYTES_PER_LOOK_AT_THE_DISK: Final = 16 << 20

_HEAD_FIELDS: Final = tuple(field.name for field in fields(ReceivedHead))

Buffers = Sequence[bytes | bytearray | memoryview]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedObject:
    """What a C-STORE request says before its data set comes. The UIDs are whatever the peer wrote."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str  # of the presentation context
    calling_ae_title: str
    negotiated_sop_class_uid: str = ""  # of the presentation context; empty where there is none


class InstanceSink:
    """Keeps received objects. Safe for many threads, each with its own streams."""

    def __init__(
        self,
        files: FileStore,
        recorder: Recorder,
        *,
        clock: Callable[[], datetime],
        settings: ReceiverSettings,
        quarantined: Callable[[NewQuarantined], None] | None = None,
    ) -> None:
        """`quarantined` records a refused object that was kept; without it none is kept."""
        self.files = files
        self.recorder = recorder
        self.clock = clock
        self.settings = settings
        self.quarantined = quarantined if settings.quarantine_bytes else None
        self.rules = HeadRules(maximum_nesting=settings.maximum_nesting, lenient_uids=settings.uids == "lenient")

    def open(self, announced: AnnouncedObject) -> "InstanceStream":
        """Begin one object. Raises OutOfResources or StorageError when it cannot be kept now."""
        self.check_space()
        return InstanceStream(self, announced)

    def take(self, announced: AnnouncedObject, encoded: bytes) -> Outcome:
        """Keep one object whose data set is at hand; as `InstanceStream.finish`."""
        stream = self.open(announced)
        try:
            stream.write((encoded,))
            return stream.finish()
        finally:
            stream.discard()

    def check_space(self) -> None:
        """Raise OutOfResources when the disk is nearly full."""
        free, least = self.files.free_bytes(), self.settings.minimum_free_bytes
        if free < least:
            raise OutOfResources(
                f"{free} bytes free, {least} must stay free (receiver.minimum_free_bytes); "
                "make room on the disk of the data folder"
            )


class InstanceStream:
    """One object on its way to the disk. Ends with `finish` or `discard`; belongs to one thread."""

    def __init__(self, sink: InstanceSink, announced: AnnouncedObject) -> None:
        self._sink = sink
        self._announced = announced
        self._prefix = _prefix(announced)
        self._writer = sink.files.begin(AREA, announced.sop_instance_uid)
        self._head = bytearray()
        self._hash = sha256()
        self._byte_count = 0
        self._next_look = _BYTES_PER_LOOK_AT_THE_DISK
        self._unwritten_prefix: tuple[bytes, ...] = (self._prefix,)

    def write(self, buffers: Buffers) -> None:
        """Append to the data set. Raises OutOfResources or StorageError when it cannot be kept."""
        self._byte_count += sum(map(len, buffers))
        if self._byte_count > self._sink.settings.maximum_instance_bytes:
            raise OutOfResources(
                f"the data set is longer than {self._sink.settings.maximum_instance_bytes} bytes "
                "(receiver.maximum_instance_bytes)"
            )
        if self._byte_count > self._next_look:
            self._next_look += _BYTES_PER_LOOK_AT_THE_DISK
            self._sink.check_space()
        self._writer.write((*self._unwritten_prefix, *buffers))
        self._unwritten_prefix = ()
        for buffer in buffers:  # while the disk works
            self._hash.update(buffer)
            if len(self._head) < _HEAD_BYTES:
                self._head += buffer[: _HEAD_BYTES - len(self._head)]

    def finish(self) -> Outcome:
        """Keep the object; when this returns its bytes are synced and its row is committed.

        Raises CannotUnderstand or DataSetMismatch for a faulty object, OutOfResources or StorageError when it
        cannot be kept now.
        """
        try:
            head = self._read_head()
            self._check_announced(head)
        except InputRejected as error:
            self._put_aside(error)
            raise
        announced = self._announced
        content_sha256 = self._hash.hexdigest()
        file = self._writer.commit(name_for(announced.sop_instance_uid, content_sha256))
        return self._sink.recorder.record(
            NewInstance(
                **{name: getattr(head, name) for name in _HEAD_FIELDS},
                transfer_syntax_uid=announced.transfer_syntax_uid,
                content_sha256=content_sha256,
                byte_count=self._byte_count,
                file=file,
                calling_ae_title=announced.calling_ae_title,
                received_at=self._sink.clock(),
            )
        )

    def discard(self) -> None:
        """End without keeping anything; harmless after `finish`."""
        self._writer.discard()

    @property
    def byte_count(self) -> int:
        """Of the data set, as far as it came."""
        return self._byte_count

    def _read_head(self) -> ReceivedHead:
        if not self._byte_count:
            raise CannotUnderstand(EMPTY)
        syntax, rules = self._announced.transfer_syntax_uid, self._sink.rules
        try:
            if syntax != DeflatedExplicitVRLittleEndian:
                whole = len(self._head) == self._byte_count
                try:
                    return scan_head(self._head, syntax, whole=whole, rules=rules)
                except NeedsMore:
                    return self._scan_file()
        except Undecided:
            pass
        try:
            with os.fdopen(os.dup(self._writer.descriptor), "rb") as file:
                file.seek(len(self._prefix))
                return read_received_head(file, syntax, rules)
        except OSError as error:
            raise _not_read_back(error) from error

    def _scan_file(self) -> ReceivedHead:
        syntax, rules = self._announced.transfer_syntax_uid, self._sink.rules
        for byte_count in _FILE_BYTES:
            try:
                data_set = os.pread(self._writer.descriptor, byte_count, len(self._prefix))
            except OSError as error:
                raise _not_read_back(error) from error
            try:
                return scan_head(data_set, syntax, whole=len(data_set) == self._byte_count, rules=rules)
            except NeedsMore:
                continue
        raise Undecided

    def _check_announced(self, head: ReceivedHead) -> None:
        announced = self._announced
        for name, said, found in (
            ("SOP Class UID", announced.sop_class_uid, head.sop_class_uid),
            ("SOP Instance UID", announced.sop_instance_uid, head.sop_instance_uid),
        ):
            if not is_valid_uid(said, lenient=self._sink.rules.lenient_uids):
                raise CannotUnderstand(f"the command's {name} is not a UID (PS3.5 9.1); repair the sender")
            if said != found:
                raise DataSetMismatch(
                    f"the command announces {name} {said}, the data set holds {found}; repair the sender"
                )
        # A presentation context is for one SOP Class (PS3.8 B.1): what comes over another one's does not match it, and
        # PS3.4 Table B.2-1 has 0xA900 for that.
        negotiated = announced.negotiated_sop_class_uid
        if negotiated and announced.sop_class_uid != negotiated:
            raise DataSetMismatch(
                f"the presentation context is for SOP Class {negotiated}, the object is of {announced.sop_class_uid}; "
                "repair the sender"
            )

    def _put_aside(self, error: InputRejected) -> None:
        """Keep a refused object for a person to look into, where the settings leave room for it."""
        record, announced = self._sink.quarantined, self._announced
        if record is None or not 0 < self._byte_count <= self._sink.settings.quarantine_bytes:
            return
        content_sha256 = self._hash.hexdigest()
        try:
            file = self._writer.commit(name_for(announced.sop_instance_uid, content_sha256), area=QUARANTINE_AREA)
            record(
                NewQuarantined(
                    file=file,
                    content_sha256=content_sha256,
                    byte_count=self._byte_count,
                    calling_ae_title=announced.calling_ae_title,
                    sop_class_uid=_uid_or_nothing(announced.sop_class_uid),
                    sop_instance_uid=_uid_or_nothing(announced.sop_instance_uid),
                    transfer_syntax_uid=announced.transfer_syntax_uid,
                    status=error.dimse_status,
                    reason=str(error),
                    received_at=self._sink.clock(),
                )
            )
        except (StorageError, NodeError) as fault:  # the answer to the peer is the same without it
            log.warning("refused_instance_not_quarantined", reason=str(fault), effect="the sender still has it")


def _prefix(announced: AnnouncedObject) -> bytes:
    """What goes before the data set; of what is no UID there is none in it."""
    return file_prefix(
        sop_class_uid=_uid_or_nothing(announced.sop_class_uid),
        sop_instance_uid=_uid_or_nothing(announced.sop_instance_uid),
        transfer_syntax_uid=announced.transfer_syntax_uid,
        source_ae_title=announced.calling_ae_title,
    )


def _not_read_back(error: OSError) -> StorageError:
    return StorageError(f"what was just written of the object cannot be read back: {error.strerror}; look at the disk")


def _uid_or_nothing(announced: str) -> str:
    return announced if is_valid_uid(announced, lenient=True) else ""
