"""What is known of a refused object when its bytes are durable and its row is not written yet. Imports no database."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuarantined:
    """One refused object whose bytes are already durable in `file`. Columns as in `QuarantineRow`."""

    file: str  # relative to the file store
    content_sha256: str  # of the data set's bytes, group 2 left out
    byte_count: int
    calling_ae_title: str
    sop_class_uid: str  # of the command, empty where that is no UID
    sop_instance_uid: str
    transfer_syntax_uid: str
    status: int  # the C-STORE status that it was answered with
    reason: str
    received_at: datetime
