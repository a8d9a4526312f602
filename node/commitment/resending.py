"""Whether a destination holds the object of a delivery already, asked before it is sent again."""

from collections.abc import Callable

from sqlalchemy import func, select

from config.settings import AnyDestination
from node.commitment.holdings import Wanted, holds
from storage.database import Database
from storage.outbox import DeliveryClaim
from storage.schema import DeliveryRow, InstanceRow, ReportObjectRow


def holdings_of_claims(database: Database, ae_title: str) -> Callable[[AnyDestination, DeliveryClaim], bool | None]:
    """A question for the sender: True when the destination holds the object, None when it cannot say.

    Its study and series are looked up: most archives answer no query without them. Raises StorageError.
    """

    def is_held(destination: AnyDestination, claim: DeliveryClaim) -> bool | None:
        study, series = _parents(database, claim.delivery_id)
        wanted = Wanted(
            sop_class_uid=claim.sop_class_uid,
            sop_instance_uid=claim.sop_instance_uid,
            study_instance_uid=study,
            series_instance_uid=series,
        )
        return holds(destination, wanted, calling_ae_title=ae_title)

    return is_held


def _parents(database: Database, delivery_id: int) -> tuple[str, str]:
    made, received = ReportObjectRow, InstanceRow
    statement = (
        select(
            func.coalesce(made.study_instance_uid, received.study_instance_uid),
            func.coalesce(made.series_instance_uid, received.series_instance_uid),
        )
        .select_from(DeliveryRow)
        .outerjoin(made, made.id == DeliveryRow.report_object_id)
        .outerjoin(received, received.id == DeliveryRow.instance_id)
        .where(DeliveryRow.id == delivery_id)
    )
    with database.reading() as session:
        study, series = session.execute(statement).one()
    return study or "", series or ""
