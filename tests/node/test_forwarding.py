"""Originals that wait for their case's answer leave with it, whatever it says, and never stay behind."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from config.settings import RouteSettings, Settings
from inference.case import Case
from inference.findings import BundleIdentity, Findings, Reason, Status
from node.grouping import complete_cases, place_new_instances
from node.worker import Worker
from storage import cases
from storage.database import Database
from storage.files import FileStore
from storage.schema import CaseRow, DeliveryRow, InstanceRow, Placement
from tests.node.case_images import mr_image, take_in
from tests.node.conftest import Clock

BUNDLE = BundleIdentity(
    pipeline="wff",
    name="fake",
    version="1",
    sha256="ab" * 32,
    trained_on="nothing",
    validated_on="nothing",
    phantom_trained=True,
)
NO_LESION = Findings(status=Status.NO_LESION_DETECTED, bundle=BUNDLE)
NO_SERIES = Findings(
    status=Status.NOT_ANALYSED, bundle=BUNDLE, reason=Reason.NO_ELIGIBLE_SERIES, detail="no sagittal series"
)


class Engine:
    identity = BUNDLE

    def __init__(self, answer: Findings | Exception = NO_LESION) -> None:
        self._answer = answer

    def run(self, case: Case) -> Findings:
        del case
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Site:
    """A node whose route forwards originals when their case is analysed."""

    def __init__(self, database: Database, files: FileStore, settings: Settings, clock: Clock) -> None:
        self.database, self.files, self.clock = database, files, clock
        self.settings = self.with_route(settings)

    @staticmethod
    def with_route(settings: Settings, **changes: Any) -> Settings:
        values = {"results_to": ("pacs",), "forward_originals_to": ("pacs", "archive"), "forward_when": "analysed"}
        route = RouteSettings(**{"name": "spine", "callers": ("SCANNER",), **values, **changes})
        return settings.model_copy(update={"routes": (route,)})

    def receive(self, *numbers: int, **changes: Any) -> None:
        take_in(self.database, self.files, *(mr_image(number, **changes) for number in numbers), clock=self.clock)
        place_new_instances(self.database, self.settings)

    def work(self, engine: Engine) -> None:
        self.clock.pass_s(200)
        complete_cases(self.database, self.settings)
        worker = Worker(self.database, self.files, engine, settings=self.settings, owner="worker")
        while worker.run_once():
            self.clock.pass_s(1000)

    def forwarded(self) -> list[tuple[int, str]]:
        originals = select(DeliveryRow.instance_id, DeliveryRow.destination).where(DeliveryRow.instance_id.is_not(None))
        with self.database.reading() as session:
            return sorted((number or 0, name) for number, name in session.execute(originals))

    def case(self) -> CaseRow:
        with self.database.reading() as session:
            return session.scalars(select(CaseRow)).one()

    def step(self, move: Callable[..., None], reason: str) -> None:
        with self.database.transaction() as session:
            move(session, session.scalars(select(CaseRow)).one(), reason, self.clock())


@pytest.fixture
def site(database: Database, files: FileStore, settings: Settings, clock: Clock) -> Site:
    return Site(database, files, settings, clock)


TO_BOTH = [(1, "archive"), (1, "pacs"), (2, "archive"), (2, "pacs")]


def test_originals_wait_until_their_case_is_answered(site: Site) -> None:
    site.receive(1, 2)
    before = site.forwarded()

    site.work(Engine())

    assert before == []
    assert site.forwarded() == TO_BOTH


@pytest.mark.parametrize("answer", [NO_SERIES, RuntimeError("out of memory")])
def test_a_case_that_cannot_be_analysed_lets_its_originals_go_as_well(site: Site, answer: Findings | Exception) -> None:
    site.receive(1, 2)

    site.work(Engine(answer))

    assert site.forwarded() == TO_BOTH


def test_the_originals_of_a_held_case_wait_for_the_person_and_leave_when_it_is_rejected(site: Site) -> None:
    site.receive(1, 2)
    site.step(cases.hold, "two birth dates")
    site.work(Engine())
    while_held = site.forwarded()

    site.step(cases.reject, "two patients")
    site.work(Engine())

    assert (while_held, site.case().state) == ([], "failed")
    assert site.forwarded() == TO_BOTH


def test_a_later_image_leaves_with_the_next_answer_and_the_earlier_ones_not_twice(site: Site) -> None:
    site.receive(1, 2)
    site.work(Engine())

    site.receive(3)
    before = site.forwarded()
    site.work(Engine())

    assert before == TO_BOTH
    assert site.forwarded() == [*TO_BOTH, (3, "archive"), (3, "pacs")]


def test_an_image_that_joins_no_case_leaves_at_once(site: Site) -> None:
    site.receive(1, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")

    with site.database.reading() as session:
        assert session.scalars(select(InstanceRow.placement)).one() == Placement.SET_ASIDE
    assert site.forwarded() == TO_BOTH[:2]


def test_a_route_that_waits_no_longer_leaves_no_original_behind(site: Site) -> None:
    site.receive(1, 2)
    site.settings = site.with_route(site.settings, forward_when="received")

    site.work(Engine())

    assert site.forwarded() == TO_BOTH


def test_an_answer_does_not_forward_again_what_left_on_arrival(site: Site) -> None:
    site.settings = site.with_route(site.settings, forward_when="received")
    site.receive(1, 2)
    on_arrival = site.forwarded()

    site.work(Engine())

    assert on_arrival == site.forwarded() == TO_BOTH
