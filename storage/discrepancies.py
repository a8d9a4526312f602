"""What `verify` can find: each kind once, with what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The promise that is broken."""

    INSTANCE_STATE = "instance_state"
    INSTANCE_TWICE = "instance_twice"
    INSTANCE_STUCK = "instance_stuck"
    INSTANCE_RESURRECTED = "instance_resurrected"
    FILE_MISSING = "file_missing"
    FILE_UNREADABLE = "file_unreadable"
    FILE_SIZE = "file_size"
    FILE_CONTENT = "file_content"
    FILE_WITHOUT_ROW = "file_without_row"
    TEMPORARY_FILE = "temporary_file"
    CASE_STATE = "case_state"
    CASE_HISTORY = "case_history"
    CASE_RESULTS = "case_results"
    CASE_EMPTY = "case_empty"
    CASE_STUCK = "case_stuck"
    REPORT_OBJECT = "report_object"
    DELIVERY_STATE = "delivery_state"
    DELIVERY_WITHOUT_OBJECT = "delivery_without_object"
    DELIVERY_TWICE = "delivery_twice"
    DELIVERY_STUCK = "delivery_stuck"
    COMMITMENT_STUCK = "commitment_stuck"
    COMMITMENT_REPORT_STUCK = "commitment_report_stuck"
    NOT_AT_DESTINATION = "not_at_destination"


_BY_HAND: Final = "no step of the node does this: stop it, keep a copy of the data folder, restore the database"
_LOST_FILE: Final = "check the disk; restore the file from the backup, or have its sender send the object again"
_LET_IT_RUN: Final = "the node takes it up by itself: if this stays, look for errors in its log"

REMEDIES: Final = {
    Kind.INSTANCE_STATE: _BY_HAND,
    Kind.INSTANCE_TWICE: _BY_HAND,
    Kind.INSTANCE_STUCK: f"it is neither analysed nor forwarded: {_LET_IT_RUN}",
    Kind.INSTANCE_RESURRECTED: "an old copy of the database was restored: retention removes the object again",
    Kind.FILE_MISSING: _LOST_FILE,
    Kind.FILE_UNREADABLE: _LOST_FILE,
    Kind.FILE_SIZE: _LOST_FILE,
    Kind.FILE_CONTENT: _LOST_FILE,
    Kind.FILE_WITHOUT_ROW: "received or made, but never acknowledged: `spinenode verify --mend` removes it",
    Kind.TEMPORARY_FILE: "left by a process that died: `spinenode verify --mend` or a restart removes it",
    Kind.CASE_STATE: _BY_HAND,
    Kind.CASE_HISTORY: _BY_HAND,
    Kind.CASE_RESULTS: _BY_HAND,
    Kind.CASE_EMPTY: _BY_HAND,
    Kind.CASE_STUCK: f"is a worker running? {_LET_IT_RUN}",
    Kind.REPORT_OBJECT: _BY_HAND,
    Kind.DELIVERY_STATE: _BY_HAND,
    Kind.DELIVERY_WITHOUT_OBJECT: "it can never be sent: restore the database or the file from the backup",
    Kind.DELIVERY_TWICE: _BY_HAND,
    Kind.DELIVERY_STUCK: _LET_IT_RUN,
    Kind.COMMITMENT_STUCK: f"is its destination still in the settings, with `commitment`? {_LET_IT_RUN}",
    Kind.COMMITMENT_REPORT_STUCK: f"the peer keeps its copies until it is told: {_LET_IT_RUN}",
    Kind.NOT_AT_DESTINATION: "the destination lost or refused it after its success: ask its administrator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Discrepancy:
    """One fault. `where` and `what` hold ids, UIDs and paths of ours, no patient data."""

    kind: Kind
    row: int  # id in the table that `where` names; 0 where it is about no row
    where: str
    what: str

    @property
    def remedy(self) -> str:
        return REMEDIES[self.kind]
