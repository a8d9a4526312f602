"""Retention by the site's settings: at night by age, and at any time when the disk fills.

Only what has arrived everywhere goes before its time. Dead letters wait for a person as long as `keep_days` says, and
so does what was delivered to nobody.
"""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from config.settings import DestinationSettings, Settings
from storage import commitment_reports, commitments, quarantine
from storage.database import Database
from storage.errors import StorageError
from storage.files import FileStore
from storage.orphans import Why, mend, no_pause
from storage.retention import Freed, purge, rehearse, units
from storage.retention_rules import Terms
from storage.stored_files import SETTLING_S

log = structlog.get_logger(__name__)

_SETTLING: Final = timedelta(seconds=SETTLING_S)
_COMMITMENTS: Final = 500  # forgotten in one transaction

DiskUse = Callable[[], tuple[int, int]]  # bytes in use, bytes in all


def disk_use(files: FileStore) -> tuple[int, int]:
    """Bytes in use on the disk of the store, and in all, as `df` counts them: what only root may use is left out."""
    try:
        disk = os.statvfs(files.root)
    except OSError as error:
        raise StorageError(f"file store {files.root}: {error}") from error
    used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    return used, used + disk.f_bavail * disk.f_frsize


def remove_aged(
    database: Database, files: FileStore, settings: Settings, *, each_step: Callable[[], None] = no_pause
) -> Freed:
    """Remove what was settled `keep_days` ago, the quarantine of `quarantine_days` ago, and files without a row.

    Storage commitments that were settled `keep_days` ago are forgotten as well.

    `each_step` is called between two transactions, and may raise to break off. Raises StorageError.
    """
    terms = aged(database, settings)
    freed = Freed()
    for unit in units(database, terms):
        each_step()
        freed += purge(database, files, unit, terms)
    too_old = database.now() - timedelta(days=settings.retention.quarantine_days)
    refused = quarantine.drop_older(database, files, too_old)
    forgotten = _forget_commitments(database, terms.settled_before, each_step)
    strays = mend(database, files, each_page=each_step)
    if freed != Freed() or refused or forgotten or strays:
        _tell(
            "retention_removed_aged",
            freed,
            quarantined=refused,
            commitments=forgotten,
            files_without_row=strays.get(Why.ORPHAN, 0),
        )
    return freed


def remove_for_space(
    database: Database,
    files: FileStore,
    settings: Settings,
    *,
    use: DiskUse | None = None,
    each_step: Callable[[], None] = no_pause,
) -> Freed:
    """When the disk is fuller than `high_watermark`: remove delivered objects until it is down to `low_watermark`."""
    look_at_disk = use if use is not None else lambda: disk_use(files)
    if _share(look_at_disk()) <= settings.retention.high_watermark:
        return Freed()
    terms = for_space(database, settings)
    freed = Freed()
    for unit in units(database, terms):
        each_step()
        freed += purge(database, files, unit, terms)
        if _share(look_at_disk()) <= settings.retention.low_watermark:
            break
    _tell("retention_removed_for_space", freed, disk_share=round(_share(look_at_disk()), 4))
    return freed


def rehearse_aged(database: Database, files: FileStore, settings: Settings) -> Freed:
    """What `remove_aged` would take from instances and reports now."""
    terms = aged(database, settings)
    return sum((rehearse(database, files, unit) for unit in units(database, terms)), Freed())


def rehearse_for_space(
    database: Database, files: FileStore, settings: Settings, *, use: DiskUse | None = None
) -> Freed:
    """What `remove_for_space` would take now."""
    used, total = use() if use is not None else disk_use(files)
    if _share((used, total)) <= settings.retention.high_watermark:
        return Freed()
    freed = Freed()
    for unit in units(database, for_space(database, settings)):
        freed += rehearse(database, files, unit)
        if _share((used - freed.byte_count, total)) <= settings.retention.low_watermark:
            break
    return freed


def aged(database: Database, settings: Settings) -> Terms:
    """The terms on which age alone is enough."""
    keep = max(timedelta(days=settings.retention.keep_days), _SETTLING)
    return _terms(
        database, settings, keep, only_delivered=False, reason=f"older than {settings.retention.keep_days:g} d"
    )


def for_space(database: Database, settings: Settings) -> Terms:
    """The terms on which objects go before their time."""
    return _terms(database, settings, _SETTLING, only_delivered=True, reason="the disk was nearly full")


def _terms(database: Database, settings: Settings, keep: timedelta, *, only_delivered: bool, reason: str) -> Terms:
    return Terms(
        settled_before=database.now() - keep,
        committing=frozenset(
            one.name
            for one in settings.destinations
            if isinstance(one, DestinationSettings) and one.commitment is not None
        ),
        only_delivered=only_delivered,
        reason=reason,
    )


def _forget_commitments(database: Database, before: datetime, each_step: Callable[[], None]) -> int:
    forgotten = 0
    for prune in (commitments.prune, commitment_reports.prune):
        pruned = _COMMITMENTS
        while pruned == _COMMITMENTS:
            each_step()
            with database.transaction() as session:
                pruned = prune(session, before=before, limit=_COMMITMENTS)
            forgotten += pruned
    return forgotten


def _share(use: tuple[int, int]) -> float:
    used, total = use
    return used / total if total else 0.0


def _tell(event: str, freed: Freed, **more: object) -> None:
    """One line. Nothing freed from a full disk is an operator's business."""
    level = log.warning if event == "retention_removed_for_space" and not freed.byte_count else log.info
    level(
        event,
        cases=freed.cases,
        instances=freed.instances,
        report_objects=freed.report_objects,
        byte_count=freed.byte_count,
        **more,
    )
