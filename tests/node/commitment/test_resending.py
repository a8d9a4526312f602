"""Before an object is sent again its destination is asked for it, with the study and series that archives need."""

import math
import time
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom.events import Event

from node.commitment.resending import holdings_of_claims
from storage import outbox as rows
from storage.outbox import DeliveryClaim
from tests.node.commitment.peers import NODE, Outbox
from tests.node.commitment.test_holdings import archive_that_finds, match


def claim_of(outbox: Outbox) -> DeliveryClaim:
    """A claim on the only delivery, which was sent and is to be sent again."""
    outbox.sent()
    (row,) = outbox.rows()
    with outbox.database.transaction() as session:
        session.get_one(type(row), row.id).state = "pending"
    with outbox.database.transaction() as session:
        (claim,) = rows.claim(session, destination="pacs", owner="me", now=outbox.clock(), lease_s=60, limit=1)
    return claim


def test_an_object_that_the_destination_holds_is_found_by_its_study_and_series(outbox: Outbox) -> None:
    claim = claim_of(outbox)
    asked: list[Dataset] = []

    def finds(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(event.identifier)
        yield match(claim.sop_instance_uid)

    with archive_that_finds(finds) as archive:
        answer = holdings_of_claims(outbox.database, NODE)(archive, [claim], math.inf)

    assert answer == {claim.delivery_id}
    assert (asked[0].StudyInstanceUID, asked[0].SeriesInstanceUID) == ("2.25.3001", "2.25.2001")


def test_an_object_that_the_destination_lacks_is_not_held(outbox: Outbox) -> None:
    claim = claim_of(outbox)

    def finds(_event: Event) -> Iterator[tuple[int, Dataset | None]]:
        yield from ()

    with archive_that_finds(finds) as archive:
        assert holdings_of_claims(outbox.database, NODE)(archive, [claim], math.inf) == set()


def test_after_the_deadline_the_destination_is_not_asked(outbox: Outbox) -> None:
    claim = claim_of(outbox)
    asked: list[Dataset] = []

    def finds(event: Event) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(event.identifier)
        yield match(claim.sop_instance_uid)

    with archive_that_finds(finds) as archive:
        answer = holdings_of_claims(outbox.database, NODE)(archive, [claim], time.monotonic())

    assert (answer, asked) == (set(), [])
