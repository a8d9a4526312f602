"""Originals that wait for the answer of their case are put into the outbox with it, in the same transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from config.settings import Settings
from node.routing import forwarding
from storage import outbox
from storage.schema import InstanceRow


def forward_answered(session: Session, settings: Settings, instances: Sequence[InstanceRow], now: datetime) -> int:
    """Forward the originals of a case that was answered, whatever the answer; returns how many deliveries are new.

    What was forwarded on arrival is not forwarded again. A route that has changed since is followed as it is now:
    an original must not stay behind because it waited for an answer that its route no longer waits for.
    """
    originals = []
    for instance in instances:
        route = settings.route_for(instance.calling_ae_title)
        if route is not None and (names := forwarding(instance.calling_ae_title, route, settings)):
            originals.append((instance, names))
    return outbox.forward_all(session, originals, now)
