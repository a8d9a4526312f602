"""The rows the node keeps. Truth lives here: a process may die at any line and another goes on from the rows.

Times are UTC. UIDs are at most 64 characters (PS3.5 9.1). Patient attributes are kept verbatim, as sent.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time-zone aware UTC time; SQLite gives naive values back, this does not."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time stored in the database needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime(), dict[str, Any]: JSON}  # noqa: RUF012 - SQLAlchemy's own form


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


class Placement(StrEnum):
    """Where grouping put an instance."""

    NEW = "new"  # not looked at yet
    IN_CASE = "in_case"
    SET_ASIDE = "set_aside"  # own object come back, or an object no pipeline reads
    OTHER_CONTENT = "other_content"  # a second content under a known SOP Instance UID; kept, not analysed


def _one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    allowed = ", ".join(f"'{member.value}'" for member in enum)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")


class InstanceRow(Base):
    """One received object, exactly as acknowledged."""

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "content_sha256"),
        _one_of("placement", Placement),
        Index("ix_instance_placement_id", "placement", "id"),
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
    __table_args__ = (_one_of("state", CaseState), Index("ix_case_state_available_at", "state", "available_at"))

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


class DeliveryRow(Base):
    """One object to one destination: exactly one of `report_object_id` and `instance_id` is set."""

    __tablename__ = "delivery"
    __table_args__ = (
        _one_of("state", DeliveryState),
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
