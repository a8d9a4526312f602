"""What is known of an object when its bytes are durable and its row is not written yet. Imports no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

# With which reason a second content under a known SOP Instance UID is recorded, until grouping has looked at it.
NOT_EXAMINED: Final = "the SOP Instance UID is known with other content"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """One received object whose bytes are already durable in `file`. Columns as in `InstanceRow`."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    content_sha256: str  # of the data set's bytes, group 2 left out
    byte_count: int
    file: str  # relative to the file store
    calling_ae_title: str
    received_at: datetime
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_date: str = ""
    modality: str = ""
    manufacturer: str = ""
    orientation: Sequence[float] | None = None  # ImageOrientationPatient (6)
    position_mm: Sequence[float] | None = None  # ImagePositionPatient (3), LPS


class Outcome(StrEnum):
    NEW = "new"
    DUPLICATE = "duplicate"  # the same bytes were recorded before: nothing was added
    OTHER_CONTENT = "other_content"  # the UID is known with other bytes: kept as a second row, not analysed


class Recorder(Protocol):
    """Whoever commits the rows of received instances: `storage.instances.InstanceRecorder`, or a way to it."""

    def record(self, new: NewInstance) -> Outcome:
        """Commit the row of one instance and say what it was. Blocks until the commit is on disk.

        Raises StorageFull or StorageError when the row is not committed.
        """
