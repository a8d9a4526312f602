"""Refused objects tried again: what today's code can read becomes an instance like any other."""

from dataclasses import dataclass
from typing import Final

from config.settings import ReceiverSettings
from node.errors import InputRejected
from node.instance_sink import AnnouncedObject, InstanceSink
from storage import quarantine
from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore
from storage.new_instance import Outcome, Recorder
from storage.schema import QuarantineRow

_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one refused object: an outcome, or why it is refused again."""

    row_id: int
    outcome: Outcome | None
    reason: str = ""


def retry(
    database: Database, files: FileStore, recorder: Recorder, settings: ReceiverSettings, row: QuarantineRow
) -> Retried:
    """Take the object as if it had just been sent; it leaves the quarantine when its row is committed.

    A crash in between leaves it in both places: tried once more it is a duplicate, and leaves. Raises StorageError or
    OutOfResources when nothing can be kept now.
    """
    sink = InstanceSink(files, recorder, clock=database.now, settings=settings)
    announced = AnnouncedObject(
        sop_class_uid=row.sop_class_uid,
        sop_instance_uid=row.sop_instance_uid,
        transfer_syntax_uid=row.transfer_syntax_uid,
        calling_ae_title=row.calling_ae_title,
    )
    try:
        outcome = _take(sink, announced, files, row)
    except InputRejected as error:
        return Retried(row.id, None, str(error))
    quarantine.remove(database, files, [row.id])
    return Retried(row.id, outcome)


def _take(sink: InstanceSink, announced: AnnouncedObject, files: FileStore, row: QuarantineRow) -> Outcome:
    stream = sink.open(announced)
    try:
        with files.path(row.file).open("rb") as file:
            file.seek(-row.byte_count, 2)  # the data set is the end of the file
            while chunk := file.read(_CHUNK):
                stream.write((chunk,))
        return stream.finish()
    except OSError as error:
        raise StorageError(f"quarantined object {row.id}: {row.file} cannot be read: {error.strerror}") from error
    finally:
        stream.discard()
