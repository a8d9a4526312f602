"""Which rows may go: the conditions of retention, each written once, as SQL."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, case, exists, not_, or_, select
from sqlalchemy.orm import aliased

from storage.new_instance import NOT_EXAMINED
from storage.outbox import is_settled
from storage.schema import CaseRow, CaseState, DeliveryRow, DeliveryState, InstanceRow, Placement, ReportObjectRow

_ARRIVED: Final = (DeliveryState.SENT.value, DeliveryState.COMMITTED.value)
_ENDED: Final = (CaseState.DONE.value, CaseState.FAILED.value)
_ASIDE: Final = (Placement.SET_ASIDE.value, Placement.OTHER_CONTENT.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms objects may go."""

    settled_before: datetime  # received, answered and delivered before that
    committing: frozenset[str]  # destinations whose success is not the last word: they must commit (PS3.4 annex J)
    only_delivered: bool  # leave dead letters alone, and what was set aside and delivered to nobody
    reason: str  # for the tombstones


def keeps(terms: Terms) -> ColumnElement[bool]:
    """Whether a delivery keeps its object: it is not settled, or not for long enough."""
    settled_at = case(
        (DeliveryRow.state == DeliveryState.DEAD.value, DeliveryRow.available_at), else_=DeliveryRow.sent_at
    )
    unsettled = [
        not_(is_settled(terms.committing)),
        settled_at.is_(None),
        settled_at > terms.settled_before,
    ]
    if terms.only_delivered:
        unsettled.append(DeliveryRow.state == DeliveryState.DEAD.value)
    return or_(*unsettled)


def case_may_go(terms: Terms) -> ColumnElement[bool]:
    """Whether a case has something left, and nobody needs it any more."""
    mine, waiting, second = aliased(InstanceRow), aliased(InstanceRow), aliased(InstanceRow)
    of_case = mine.case_id == CaseRow.id
    placed_later = and_(
        waiting.placement == Placement.NEW.value,
        waiting.study_instance_uid.in_(select(mine.study_instance_uid).where(of_case).correlate(CaseRow)),
    )
    # a second content goes with the first one, or it would be the reason to keep what is sent again aside
    seconds = and_(
        second.placement == Placement.OTHER_CONTENT.value,
        second.sop_instance_uid.in_(select(mine.sop_instance_uid).where(of_case).correlate(CaseRow)),
    )
    second_needed = or_(
        second.placement_reason == NOT_EXAMINED,
        second.received_at > terms.settled_before,
        exists().where(DeliveryRow.instance_id == second.id, keeps(terms)),
    )
    original_needed = exists(
        select(DeliveryRow.id).join(mine, mine.id == DeliveryRow.instance_id).where(of_case, keeps(terms))
    )
    return and_(
        CaseRow.state.in_(_ENDED),
        CaseRow.state_since <= terms.settled_before,
        CaseRow.last_instance_at <= terms.settled_before,
        or_(
            exists().where(of_case),
            exists().where(ReportObjectRow.case_id == CaseRow.id, ReportObjectRow.purged_at.is_(None)),
        ),
        ~exists().where(DeliveryRow.case_id == CaseRow.id, keeps(terms)),
        ~original_needed,
        ~exists().where(placed_later),
        ~exists().where(seconds, second_needed),
    )


def instance_aside_may_go(terms: Terms) -> ColumnElement[bool]:
    """Whether an instance outside every case may go by itself: set aside, or the second content of one that is gone."""
    first, second = aliased(InstanceRow), aliased(InstanceRow)
    same_uid = first.sop_instance_uid == InstanceRow.sop_instance_uid
    conditions = [
        InstanceRow.placement.in_(_ASIDE),
        InstanceRow.received_at <= terms.settled_before,
        InstanceRow.placement_reason != NOT_EXAMINED,
        ~exists().where(same_uid, first.placement.in_([Placement.NEW.value, Placement.IN_CASE.value])),
        ~exists().where(
            second.sop_instance_uid == InstanceRow.sop_instance_uid, second.placement_reason == NOT_EXAMINED
        ),
        ~exists().where(DeliveryRow.instance_id == InstanceRow.id, keeps(terms)),
    ]
    if terms.only_delivered:
        conditions.append(exists().where(DeliveryRow.instance_id == InstanceRow.id, DeliveryRow.state.in_(_ARRIVED)))
    return and_(*conditions)


def second_contents(uids: Iterable[str]) -> ColumnElement[bool]:
    """The further contents that came under these SOP Instance UIDs."""
    return and_(InstanceRow.placement == Placement.OTHER_CONTENT.value, InstanceRow.sop_instance_uid.in_(list(uids)))
