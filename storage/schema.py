"""The rows the node keeps. Truth lives here: a process may die at any line and another goes on from the rows.

Times are UTC. UIDs are at most 64 characters (PS3.5 9.1). Patient attributes are kept verbatim, as sent.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from storage.base import Base, one_of


class CaseState(StrEnum):
    COLLECTING = "collecting"
    READY = "ready"
    RUNNING = "running"
    REPORTED = "reported"  # report objects made, their deliveries pending
    DONE = "done"  # every delivery sent or dead
    HELD = "held"  # identity in doubt: waits for a person
    FAILED = "failed"  # attempts used up; a "not analysed" report was made


class DeliveryState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    COMMITTED = "committed"
    DEAD = "dead"


class CommitmentState(StrEnum):
    """Of a storage commitment that we asked for (PS3.4 annex J)."""

    ASKED = "asked"
    ANSWERED = "answered"
    EXPIRED = "expired"  # no answer in time, or the peer refused the question: its deliveries are asked about again


class CommitmentReportState(StrEnum):
    """Of a storage commitment that a peer asked of us: its result is owed until reported."""

    PENDING = "pending"
    REPORTED = "reported"
    DEAD = "dead"  # the peer could not be told, attempts used up


class Placement(StrEnum):
    """Where grouping put an instance."""

    NEW = "new"  # not looked at yet
    IN_CASE = "in_case"
    SET_ASIDE = "set_aside"  # own object come back, or an object no pipeline reads
    OTHER_CONTENT = "other_content"  # a second content under a known SOP Instance UID; kept, not analysed


class InstanceRow(Base):
    """One received object, exactly as acknowledged."""

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "content_sha256"),
        one_of("placement", Placement),
        Index("ix_instance_placement_id", "placement", "id"),
        # of the contents of one UID one counts, whoever records them at the same moment
        Index(
            "uq_instance_one_that_counts",
            "sop_instance_uid",
            unique=True,
            sqlite_where=text("placement <> 'other_content'"),
            postgresql_where=text("placement <> 'other_content'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    series_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    content_sha256: Mapped[str] = mapped_column(String(64))  # of the data set's bytes, group 2 left out
    byte_count: Mapped[int] = mapped_column(BigInteger)  # an Enhanced object may pass 2 GB
    file: Mapped[str] = mapped_column(String(255))  # relative to the file store
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    received_at: Mapped[datetime]

    patient_id: Mapped[str] = mapped_column(Text)  # verbatim, may be empty
    issuer_of_patient_id: Mapped[str] = mapped_column(Text)
    patient_name: Mapped[str] = mapped_column(Text)
    patient_birth_date: Mapped[str] = mapped_column(Text)
    patient_sex: Mapped[str] = mapped_column(Text)
    study_date: Mapped[str] = mapped_column(Text)
    modality: Mapped[str] = mapped_column(Text)
    manufacturer: Mapped[str] = mapped_column(Text)
    # ImageOrientationPatient (6) and ImagePositionPatient (3) in mm, LPS; null where the object has none
    orientation: Mapped[list[float] | None] = mapped_column(JSON)
    position_mm: Mapped[list[float] | None] = mapped_column(JSON)

    placement: Mapped[str] = mapped_column(String(16), default=Placement.NEW.value)
    placement_reason: Mapped[str] = mapped_column(Text, default="")
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case.id"), index=True)


class CaseRow(Base):
    """What one inference answers. `fence` grows with each claim: a worker that lost its lease writes nothing."""

    __tablename__ = "case"
    __table_args__ = (one_of("state", CaseState), Index("ix_case_state_available_at", "state", "available_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    # sha256 of patient, issuer and study date (or of the study): stable, no patient data; report UIDs derive from it
    group_key: Mapped[str] = mapped_column(String(64), unique=True)
    route: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), default=CaseState.COLLECTING.value)
    reason: Mapped[str] = mapped_column(Text, default="")  # why it is in this state
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    state_since: Mapped[datetime]
    last_instance_at: Mapped[datetime]
    available_at: Mapped[datetime]  # not claimed before
    attempts: Mapped[int] = mapped_column(default=0)  # of this revision
    fence: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str] = mapped_column(String(64), default="")
    lease_until: Mapped[datetime | None]


class CaseEventRow(Base):
    """The history of a case, one row per transition, written in the same transaction."""

    __tablename__ = "case_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case.id"), index=True)
    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(32))
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int]
    attempt: Mapped[int]
    reason: Mapped[str] = mapped_column(Text, default="")


class CaseResultRow(Base):
    """The findings of one revision, as JSON, and how long each stage took."""

    __tablename__ = "case_result"
    __table_args__ = (UniqueConstraint("case_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case.id"))
    revision: Mapped[int]
    created_at: Mapped[datetime]
    findings: Mapped[dict[str, Any]]


class ReportObjectRow(Base):
    """A DICOM object the node made."""

    __tablename__ = "report_object"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case.id"), index=True)
    revision: Mapped[int]
    kind: Mapped[str] = mapped_column(String(32))  # "sr", "overlay", "summary"
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sop_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    study_instance_uid: Mapped[str] = mapped_column(String(64))
    file: Mapped[str] = mapped_column(String(255))
    content_sha256: Mapped[str] = mapped_column(String(64))
    purged_at: Mapped[datetime | None]  # when retention removed its file; the row still tells our own objects


class DeliveryRow(Base):
    """One object to one destination: exactly one of `report_object_id` and `instance_id` is set."""

    __tablename__ = "delivery"
    __table_args__ = (
        one_of("state", DeliveryState),
        CheckConstraint("(report_object_id IS NULL) <> (instance_id IS NULL)", name="one_object"),
        UniqueConstraint("report_object_id", "destination"),
        UniqueConstraint("instance_id", "destination"),
        Index("ix_delivery_destination", "destination", "state", "available_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    destination: Mapped[str] = mapped_column(String(32))
    report_object_id: Mapped[int | None] = mapped_column(ForeignKey("report_object.id"))
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instance.id"))
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default=DeliveryState.PENDING.value)
    reason: Mapped[str] = mapped_column(Text, default="")
    priority: Mapped[int] = mapped_column(default=0)  # higher first: results before forwarded originals
    attempts: Mapped[int] = mapped_column(default=0)
    available_at: Mapped[datetime]
    fence: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str] = mapped_column(String(64), default="")
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    commitment_id: Mapped[int | None] = mapped_column(ForeignKey("commitment.id"), index=True)  # the latest one


class CommitmentRow(Base):
    """A storage commitment that we asked of a destination, for deliveries that it acknowledged (we are the SCU)."""

    __tablename__ = "commitment"
    __table_args__ = (
        one_of("state", CommitmentState),
        Index("ix_commitment_state_answer_due_at", "state", "answer_due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64), unique=True)
    destination: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), default=CommitmentState.ASKED.value)
    reason: Mapped[str] = mapped_column(Text, default="")
    asked_at: Mapped[datetime]
    answer_due_at: Mapped[datetime]  # asked again after that
    answered_at: Mapped[datetime | None]


class CommitmentReportRow(Base):
    """A storage commitment that a peer asked of us (we are the SCP), and whether it has the result."""

    __tablename__ = "commitment_report"
    __table_args__ = (
        one_of("state", CommitmentReportState),
        UniqueConstraint("calling_ae_title", "transaction_uid"),
        Index("ix_commitment_report_state_available_at", "state", "available_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64))
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    address: Mapped[str] = mapped_column(String(64))  # where the question came from
    instances: Mapped[list[list[str]]] = mapped_column(JSON)  # [SOP Class UID, SOP Instance UID] of each
    state: Mapped[str] = mapped_column(String(16), default=CommitmentReportState.PENDING.value)
    reason: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    requested_at: Mapped[datetime]
    available_at: Mapped[datetime]
    fence: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str] = mapped_column(String(64), default="")
    lease_until: Mapped[datetime | None]
    reported_at: Mapped[datetime | None]


class QuarantineRow(Base):
    """A refused object, kept for a person to look into. It was answered with a failure: the sender still has it."""

    __tablename__ = "quarantine"

    id: Mapped[int] = mapped_column(primary_key=True)
    file: Mapped[str] = mapped_column(String(255))  # a DICOM file: prefix by us, then the bytes as they came
    content_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    byte_count: Mapped[int] = mapped_column(BigInteger)
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    sop_class_uid: Mapped[str] = mapped_column(String(64))  # of the command, empty where that is no UID
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]  # the C-STORE status that it was answered with
    reason: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(index=True)


class PurgedInstanceRow(Base):
    """What remains of an instance that retention removed: that it was here, without patient data."""

    __tablename__ = "purged_instance"

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    content_sha256: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    purged_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text, default="")
