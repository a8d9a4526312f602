"""Other bytes under a known SOP Instance UID: harmless, unless they name another patient."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from node.doubts import hold, identity_of
from node.identity import collision, conflicts
from node.routing import Destiny, destiny
from node.steps import alone
from storage import cases, outbox
from storage.new_instance import NOT_EXAMINED
from storage.schema import CaseRow, CaseState, InstanceRow, Placement

_EXAMINED: Final = "second content of a known SOP Instance UID; "


def examine_second_contents(session: Session, settings: Settings, now: datetime) -> None:
    """A known SOP Instance UID with other bytes is harmless unless it names another patient: then hold its case."""
    second_contents = session.scalars(
        select(InstanceRow)
        .where(
            InstanceRow.placement == Placement.OTHER_CONTENT.value,
            InstanceRow.placement_reason == NOT_EXAMINED,
        )
        .order_by(InstanceRow.id)
    ).all()
    own = cases.made_by_node(session, second_contents)
    for second in second_contents:
        goes = destiny(second, settings, made_by_node=second.sop_instance_uid in own)
        alone(session, partial(_examine, session, goes, now), [second])


def _examine(session: Session, goes: Destiny, now: datetime, members: Sequence[InstanceRow]) -> int:
    (second,) = members
    same_uid = InstanceRow.sop_instance_uid == second.sop_instance_uid
    first = session.scalar(select(InstanceRow).where(same_uid, InstanceRow.placement != Placement.OTHER_CONTENT.value))
    if first is None:  # retention removed it meanwhile: nothing is left to compare with, or to hold
        second.placement_reason = f"{_EXAMINED}the first one was removed by retention"
        outbox.forward(session, second, goes.forward_to, now)
        return 1
    if first.placement == Placement.NEW.value:
        return 0  # placed first, examined then
    case = None if first.case_id is None else session.get_one(CaseRow, first.case_id, populate_existing=True)
    if case is not None and case.state == CaseState.RUNNING.value:
        return 0  # cannot be held now: examined when its answer is out
    one, other = identity_of(first), identity_of(second)
    found = {*conflicts([one, other]), collision(one, other)} - {""}
    second.placement_reason = f"{_EXAMINED}{'; '.join(sorted(found)) or 'same identity'}"
    outbox.forward(session, second, goes.forward_to, now)
    if found and case is not None:
        hold(session, case, second.placement_reason, now)
    return 1
