"""The site's settings decide what goes when: by age at night, for space when the disk fills."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from config.settings import CommitmentSettings, RetentionSettings, Settings
from node.retention import aged, disk_use, for_space, rehearse_aged, rehearse_for_space, remove_aged, remove_for_space
from storage import cases, outbox
from storage.database import Database
from storage.files import FileStore
from storage.retention import Freed
from storage.schema import CommitmentReportRow, CommitmentReportState, DeliveryRow, InstanceRow, Placement
from storage.verify import verify
from tests.node.case_images import mr_image, take_in
from tests.node.conftest import Clock

DAY_S = 86_400.0
FULL = 1_000_000


@pytest.fixture
def forwarded(database: Database, files: FileStore, clock: Clock) -> None:
    """Three images that were only forwarded, and arrived."""
    take_in(database, files, *(mr_image(number) for number in (1, 2, 3)), clock=clock)
    with database.transaction() as session:
        for instance in session.scalars(select(InstanceRow)):
            cases.set_aside(session, [instance], Placement.SET_ASIDE, "route spine only forwards")
            outbox.forward(session, instance, ["pacs"], clock())
        for delivery in session.scalars(select(DeliveryRow)):
            delivery.state, delivery.sent_at = "sent", clock()
    make_old(files)


def make_old(files: FileStore) -> None:
    then = time.time() - 40 * DAY_S
    for path in files.root.glob("*/*/*"):
        os.utime(path, (then, then))


def count(database: Database) -> int:
    with database.reading() as session:
        return len(session.scalars(select(InstanceRow.id)).all())


def keeping(settings: Settings, **changes: float) -> Settings:
    return settings.model_copy(update={"retention": RetentionSettings(**changes)})


class Disk:
    """A disk whose use shrinks each time it is looked at."""

    def __init__(self, *shares: float) -> None:
        self._shares: Iterator[float] = iter(shares)
        self._last = 0.0

    def __call__(self) -> tuple[int, int]:
        self._last = next(self._shares, self._last)
        return int(self._last * FULL), FULL


@pytest.mark.usefixtures("forwarded")
def test_age_is_counted_in_days_of_the_settings(
    database: Database, files: FileStore, settings: Settings, clock: Clock
) -> None:
    clock.pass_s(4.9 * DAY_S)
    assert remove_aged(database, files, keeping(settings, keep_days=5)) == Freed()

    clock.pass_s(0.2 * DAY_S)
    freed = remove_aged(database, files, keeping(settings, keep_days=5))

    assert freed.instances == 3
    assert count(database) == 0
    assert verify(database, files, read_contents=True) == []


@pytest.mark.usefixtures("forwarded")
def test_what_has_just_come_stays_even_when_nothing_is_to_be_kept(
    database: Database, files: FileStore, settings: Settings, clock: Clock
) -> None:
    clock.pass_s(1800)

    assert remove_aged(database, files, keeping(settings, keep_days=0)) == Freed()


@pytest.mark.usefixtures("forwarded")
def test_a_disk_with_room_is_left_alone(database: Database, files: FileStore, settings: Settings, clock: Clock) -> None:
    clock.pass_s(DAY_S)

    freed = remove_for_space(database, files, settings, use=Disk(0.85))

    assert freed == Freed()
    assert count(database) == 3


@pytest.mark.usefixtures("forwarded")
def test_a_full_disk_takes_what_is_delivered_before_its_time_until_there_is_room(
    database: Database, files: FileStore, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.retention._INSTANCES", 1)
    clock.pass_s(DAY_S)

    freed = remove_for_space(database, files, settings, use=Disk(0.90, 0.80, 0.75))

    assert freed.instances == 2
    assert count(database) == 1


@pytest.mark.usefixtures("forwarded")
def test_a_full_disk_with_nothing_to_remove_is_told(
    database: Database, files: FileStore, settings: Settings, clock: Clock
) -> None:
    with capture_logs() as logs:
        freed = remove_for_space(database, files, settings, use=Disk(0.99))

    assert freed == Freed()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("retention_removed_for_space", "warning")]


@pytest.mark.usefixtures("forwarded")
def test_what_an_archive_has_not_committed_stays(
    database: Database, files: FileStore, settings: Settings, clock: Clock
) -> None:
    pacs, archive = settings.destinations
    committing = pacs.model_copy(update={"commitment": CommitmentSettings()})
    settings = settings.model_copy(update={"destinations": (committing, archive)})
    clock.pass_s(31 * DAY_S)

    assert aged(database, settings).committing == {"pacs"}
    assert remove_aged(database, files, settings) == Freed()
    assert remove_for_space(database, files, settings, use=Disk(0.99)) == Freed()


@pytest.mark.usefixtures("forwarded")
def test_rehearsals_tell_what_would_go_and_remove_nothing(
    database: Database, files: FileStore, settings: Settings, clock: Clock
) -> None:
    clock.pass_s(31 * DAY_S)

    by_age = rehearse_aged(database, files, settings)
    by_space = rehearse_for_space(database, files, settings, use=Disk(0.99))

    assert by_age.instances == by_space.instances == 3
    assert rehearse_for_space(database, files, settings, use=Disk(0.5)) == Freed()
    assert count(database) == 3
    assert remove_aged(database, files, settings) == by_age


@pytest.mark.usefixtures("forwarded")
def test_a_run_can_be_broken_off_between_two_steps(
    database: Database, files: FileStore, settings: Settings, clock: Clock
) -> None:
    clock.pass_s(31 * DAY_S)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        remove_aged(database, files, settings, each_step=stop)

    assert count(database) == 3


def test_for_space_only_what_is_delivered_goes_but_the_time_to_settle_is_kept(
    database: Database, settings: Settings, clock: Clock
) -> None:
    terms = for_space(database, settings)

    assert terms.only_delivered
    assert terms.settled_before == clock() - timedelta(hours=1)
    assert not aged(database, settings).only_delivered


def test_the_use_of_the_disk_is_a_share_of_what_this_process_may_fill(files: FileStore) -> None:
    used, total = disk_use(files)

    assert 0 < used < total
    assert total - used == pytest.approx(files.free_bytes(), rel=0.05)


def test_settled_commitments_are_forgotten_with_age(
    database: Database, files: FileStore, settings: Settings, clock: Clock
) -> None:
    def reported() -> CommitmentReportRow:
        return CommitmentReportRow(
            transaction_uid=f"2.25.{clock().timestamp():.0f}",
            calling_ae_title="SCANNER",
            address="127.0.0.1",
            instances=[],
            state=CommitmentReportState.REPORTED.value,
            requested_at=clock(),
            available_at=clock(),
        )

    with database.transaction() as session:
        session.add(reported())
    clock.pass_s(31 * DAY_S)
    with database.transaction() as session:
        session.add(reported())

    with capture_logs() as logs:
        remove_aged(database, files, settings)

    with database.reading() as session:
        assert session.scalars(select(CommitmentReportRow.requested_at)).all() == [clock()]
    assert [(entry["event"], entry["commitments"]) for entry in logs] == [("retention_removed_aged", 1)]
