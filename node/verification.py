"""`verify` for a running node: at night by a timer, and with a question to the destinations what they hold."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import func, select

from config.settings import AnyDestination, Settings
from node.commitment.holdings import Wanted, held
from storage.database import Database
from storage.discrepancies import Discrepancy, Kind
from storage.files import FileStore
from storage.orphans import no_pause
from storage.schema import DeliveryRow, DeliveryState, InstanceRow, ReportObjectRow
from storage.verify import Depth, discrepancies

log = structlog.get_logger(__name__)

# A worker or sender that hangs for less is still waiting for its disk or peer; leases are renewed each third of one.
LEASES_UNTIL_STUCK: Final = 5
_QUESTION: Final = 500  # instances that a destination is asked about together
_ARRIVED: Final = (DeliveryState.SENT.value, DeliveryState.COMMITTED.value)

AskHeld = Callable[[AnyDestination, Sequence[Wanted]], Mapping[str, bool | None]]


@dataclass(slots=True)
class Asked:
    """How much the destinations told."""

    held: int = 0
    missing: int = 0
    unknown: int = 0  # the destination cannot say


def stuck_after_s(settings: Settings) -> float:
    """Seconds after which work under a lease that ran out is stuck, on a node that runs."""
    return LEASES_UNTIL_STUCK * max(settings.worker.lease_s, settings.sender.lease_s)


def verify_nightly(
    database: Database, files: FileStore, settings: Settings, *, each_page: Callable[[], None] = no_pause
) -> Counter[str]:
    """Compare database and files of the running node and log the result: how many of each kind.

    Contents are not read: that takes hours of a disk that has other work. Raises StorageError.
    """
    depth = Depth(stuck_after_s=stuck_after_s(settings))
    found: Counter[str] = Counter()
    examples: dict[str, Discrepancy] = {}
    for one in discrepancies(database, files, depth, each_page=each_page):
        found[one.kind.value] += 1
        examples.setdefault(one.kind.value, one)
    if not found:
        log.info("verify_clean")
    for kind, count in sorted(found.items()):
        one = examples[kind]
        log.error("verify_found", kind=kind, count=count, first=one.where, what=one.what, remedy=one.remedy)
    return found


def ask_destinations(
    database: Database, settings: Settings, asked: Asked, *, ask: AskHeld | None = None
) -> Iterator[Discrepancy]:
    """What was delivered and is not where it was delivered to; `asked` counts the answers.

    A destination that is not to be queried, or cannot say, says nothing against anybody. Raises StorageError.
    """
    question = ask if ask is not None else _asking(settings)
    destinations = {one.name: one for one in settings.destinations if one.query}
    last_id, full = 0, True
    while full and destinations:
        page, last_id, full = _delivered(database, sorted(destinations), last_id)
        for name, deliveries in page.items():
            answers = question(destinations[name], [wanted for _, wanted in deliveries])
            for delivery_id, wanted in deliveries:
                answer = answers.get(wanted.sop_instance_uid)
                if answer is None:
                    asked.unknown += 1
                elif answer:
                    asked.held += 1
                else:
                    asked.missing += 1
                    yield Discrepancy(
                        kind=Kind.NOT_AT_DESTINATION,
                        row=delivery_id,
                        where=f"delivery {delivery_id} to {name} (UID {wanted.sop_instance_uid})",
                        what=f"{name} acknowledged the object and says that it does not hold it",
                    )


def _asking(settings: Settings) -> AskHeld:
    def ask(destination: AnyDestination, wanted: Sequence[Wanted]) -> Mapping[str, bool | None]:
        return held(destination, wanted, calling_ae_title=settings.receiver.ae_title)

    return ask


def _delivered(
    database: Database, destinations: Sequence[str], after_id: int
) -> tuple[dict[str, list[tuple[int, Wanted]]], int, bool]:
    """The next delivered objects by destination, the last id among them, and whether there may be more."""
    made, received = ReportObjectRow, InstanceRow
    columns = (
        *(DeliveryRow.id, DeliveryRow.destination),
        func.coalesce(made.sop_class_uid, received.sop_class_uid),
        func.coalesce(made.sop_instance_uid, received.sop_instance_uid),
        func.coalesce(made.study_instance_uid, received.study_instance_uid),
        func.coalesce(made.series_instance_uid, received.series_instance_uid),
    )
    statement = (
        select(*columns)
        .outerjoin(made, made.id == DeliveryRow.report_object_id)
        .outerjoin(received, received.id == DeliveryRow.instance_id)
        .where(
            DeliveryRow.id > after_id,
            DeliveryRow.state.in_(_ARRIVED),
            DeliveryRow.destination.in_(destinations),
        )
        .order_by(DeliveryRow.id)
        .limit(_QUESTION)
    )
    with database.reading() as session:
        rows = session.execute(statement).all()
    by_destination: defaultdict[str, list[tuple[int, Wanted]]] = defaultdict(list)
    for delivery_id, destination, sop_class_uid, sop_instance_uid, study, series in rows:
        if sop_instance_uid is None:  # of an object that does not exist: `verify` tells
            continue
        wanted = Wanted(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            study_instance_uid=study,
            series_instance_uid=series,
        )
        by_destination[destination].append((delivery_id, wanted))
    return dict(by_destination), rows[-1][0] if rows else after_id, len(rows) == _QUESTION
