"""A node that worked normally is clean; what is wrong is logged by kind; destinations are asked what they hold."""

from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from config.settings import AnyDestination, Settings
from inference.findings import Findings, Status
from node.commitment.holdings import Wanted
from node.grouping import complete_cases, place_new_instances
from node.scheduler import finish_delivered
from node.verification import Asked, ask_destinations, verify_nightly
from node.worker import Worker
from storage.database import Database
from storage.discrepancies import Kind
from storage.files import FileStore
from storage.schema import CaseRow, DeliveryRow, DeliveryState
from storage.verify import verify
from tests.node.case_images import PATIENT_ID, PATIENT_NAME, mr_image, take_in
from tests.node.conftest import Clock
from tests.node.test_worker import BUNDLE, FakeEngine


@pytest.fixture
def answered(database: Database, files: FileStore, settings: Settings, clock: Clock) -> None:
    """A case that came in, was analysed and delivered."""
    take_in(database, files, mr_image(1), mr_image(2), clock=clock)
    place_new_instances(database, settings)
    clock.pass_s(200)
    complete_cases(database, settings)
    engine = FakeEngine([lambda _case: Findings(status=Status.NO_LESION_DETECTED, bundle=BUNDLE)])
    assert Worker(database, files, engine, settings=settings, owner="worker-1").run_once()
    with database.transaction() as session:
        session.execute(update(DeliveryRow).values(state=DeliveryState.SENT.value, sent_at=clock()))
    assert finish_delivered(database) == 1


@pytest.mark.usefixtures("answered")
def test_a_node_that_worked_normally_is_clean(database: Database, files: FileStore, settings: Settings) -> None:
    with capture_logs() as logs:
        found = verify_nightly(database, files, settings)

    assert not found
    assert [entry["event"] for entry in logs] == ["verify_clean"]
    assert verify(database, files, read_contents=True) == []


@pytest.mark.usefixtures("answered")
def test_what_is_wrong_is_logged_once_for_each_kind_without_patient_data(
    database: Database, files: FileStore, settings: Settings
) -> None:
    for path in files.root.glob("instances/*/*"):
        path.unlink()
    with database.transaction() as session:
        session.execute(update(CaseRow).values(revision=2))

    with capture_logs() as logs:
        found = verify_nightly(database, files, settings)

    assert found == {"file_missing": 2, "case_results": 1}
    assert [(entry["event"], entry["kind"], entry["count"]) for entry in logs] == [
        ("verify_found", "case_results", 1),
        ("verify_found", "file_missing", 2),
    ]
    assert PATIENT_NAME not in str(logs)
    assert PATIENT_ID not in str(logs)


class Archive:
    """Answers for every destination as it is told to."""

    def __init__(self, answer: bool | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Wanted]] = []

    def __call__(self, destination: AnyDestination, wanted: Sequence[Wanted]) -> Mapping[str, bool | None]:
        self.asked += [(destination.name, one) for one in wanted]
        return {one.sop_instance_uid: self.answer for one in wanted}


@pytest.mark.usefixtures("answered")
def test_destinations_are_asked_for_what_they_acknowledged(database: Database, settings: Settings) -> None:
    archive, asked = Archive(True), Asked()

    found = list(ask_destinations(database, settings, asked, ask=archive))

    assert found == []
    assert (asked.held, asked.missing, asked.unknown) == (len(archive.asked), 0, 0)
    assert {name for name, _ in archive.asked} == {"pacs"}
    assert all(one.study_instance_uid and one.series_instance_uid for _, one in archive.asked)


@pytest.mark.usefixtures("answered")
def test_what_a_destination_lost_is_found(database: Database, settings: Settings) -> None:
    archive, asked = Archive(False), Asked()

    found = list(ask_destinations(database, settings, asked, ask=archive))

    assert [one.kind for one in found] == [Kind.NOT_AT_DESTINATION] * len(archive.asked)
    assert asked.missing == len(archive.asked) > 0
    assert found[0].where == f"delivery 1 to pacs (UID {archive.asked[0][1].sop_instance_uid})"


@pytest.mark.usefixtures("answered")
def test_a_destination_that_cannot_say_proves_nothing(database: Database, settings: Settings) -> None:
    asked = Asked()

    assert list(ask_destinations(database, settings, asked, ask=Archive(None))) == []
    assert asked.unknown > 0


@pytest.mark.usefixtures("answered")
def test_a_destination_that_is_not_to_be_queried_is_not(database: Database, settings: Settings) -> None:
    destinations = tuple(one.model_copy(update={"query": False}) for one in settings.destinations)
    archive = Archive(False)

    found = list(
        ask_destinations(database, settings.model_copy(update={"destinations": destinations}), Asked(), ask=archive)
    )

    assert (found, archive.asked) == ([], [])


@pytest.mark.usefixtures("answered")
def test_deliveries_are_asked_about_in_pages(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.verification._QUESTION", 1)
    archive = Archive(True)

    list(ask_destinations(database, settings, Asked(), ask=archive))

    uids = [one.sop_instance_uid for _, one in archive.asked]
    assert len(uids) == len(set(uids)) > 1
