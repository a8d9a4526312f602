"""Steps of one transaction that do not hurt each other: each is done entirely, or not at all and told."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from storage.schema import InstanceRow

log = structlog.get_logger(__name__)

Item = TypeVar("Item")


def one_by_one_if_need_be(session: Session, step: Callable[[Sequence[Item]], int], items: Sequence[Item]) -> int:
    """Do a step for all at once, and for each alone when that fails: one of them must not stop its neighbours."""
    if len(items) > 1:
        try:
            with session.begin_nested():
                return step(items)
        except SQLAlchemyError:
            raise
        except Exception:  # noqa: BLE001 - told below, for the item whose fault it is
            session.expire_all()
    return sum(alone(session, step, [item]) for item in items)


def alone(session: Session, step: Callable[[Sequence[Item]], int], items: Sequence[Item]) -> int:
    """Do one step entirely or not at all: what fails is logged and tried again later, the others go on."""
    try:
        with session.begin_nested():
            return step(items)
    except SQLAlchemyError:  # the database itself: no other step would fare better
        raise
    except Exception:
        log.exception("grouping_failed", first_instance_id=_instance_id(items[0]), instances=len(items))
        session.expire_all()  # the rows show what was undone
        return 0


def _instance_id(item: object) -> int | None:
    instance = item[0] if isinstance(item, tuple) else item
    return instance.id if isinstance(instance, InstanceRow) else None
