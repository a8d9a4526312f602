"""Which objects of some deliveries a destination holds already, asked before they are sent again."""

from collections.abc import Callable, Sequence

from sqlalchemy import func, select

from config.settings import AnyDestination
from node.commitment.holdings import Wanted, held
from storage.database import Database
from storage.outbox import DeliveryClaim
from storage.schema import DeliveryRow, InstanceRow, ReportObjectRow


def holdings_of_claims(
    database: Database, ae_title: str
) -> Callable[[AnyDestination, Sequence[DeliveryClaim], float], set[int]]:
    """A question for the sender: the deliveries, by id, whose objects the destination says that it holds.

    It is asked over one association, until the deadline (of `time.monotonic`). Studies and series are looked up: most
    archives answer no query without them. Raises StorageError.
    """

    def held_already(destination: AnyDestination, claims: Sequence[DeliveryClaim], deadline: float) -> set[int]:
        parents = _parents(database, [claim.delivery_id for claim in claims])
        wanted = []
        for claim in claims:
            study, series = parents.get(claim.delivery_id, ("", ""))
            wanted.append(
                Wanted(
                    sop_class_uid=claim.sop_class_uid,
                    sop_instance_uid=claim.sop_instance_uid,
                    study_instance_uid=study,
                    series_instance_uid=series,
                )
            )
        answers = held(destination, wanted, calling_ae_title=ae_title, deadline=deadline)
        return {claim.delivery_id for claim in claims if answers[claim.sop_instance_uid]}

    return held_already


def _parents(database: Database, delivery_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Study and Series Instance UID of the object of each delivery; empty where they are not known."""
    made, received = ReportObjectRow, InstanceRow
    statement = (
        select(
            DeliveryRow.id,
            func.coalesce(made.study_instance_uid, received.study_instance_uid, ""),
            func.coalesce(made.series_instance_uid, received.series_instance_uid, ""),
        )
        .select_from(DeliveryRow)
        .outerjoin(made, made.id == DeliveryRow.report_object_id)
        .outerjoin(received, received.id == DeliveryRow.instance_id)
        .where(DeliveryRow.id.in_(delivery_ids))
    )
    with database.reading() as session:
        return {delivery_id: (study, series) for delivery_id, study, series in session.execute(statement)}
