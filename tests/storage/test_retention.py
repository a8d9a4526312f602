"""Retention removes what is delivered and old, whole, and never anything that somebody still needs."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.new_instance import NOT_EXAMINED
from storage.orphans import mend
from storage.retention import Freed, Unit, purge, rehearse, units
from storage.retention_rules import Terms
from storage.schema import (
    CaseRow,
    DeliveryRow,
    InstanceRow,
    Placement,
    PurgedInstanceRow,
    ReportObjectRow,
)
from storage.verify import verify
from tests.storage.conftest import Clock
from tests.storage.kept import Node, make_old

DAY_S = 86_400.0


@pytest.fixture
def node(database: Database, files: FileStore, recorder: InstanceRecorder, clock: Clock) -> Node:
    return Node(database, files, recorder, clock)


def terms(node: Node, **changes: object) -> Terms:
    values = {
        "settled_before": node.clock() - timedelta(days=30),
        "committing": frozenset[str](),
        "only_delivered": False,
        "reason": "older than 30 d",
    }
    return Terms(**(values | changes))  # type: ignore[arg-type]


def run(node: Node, **changes: object) -> Freed:
    """One run of retention over files that were written long ago."""
    make_old(node.files)
    on = terms(node, **changes)
    return sum((purge(node.database, node.files, unit, on) for unit in units(node.database, on)), Freed())


def tombstones(node: Node) -> list[PurgedInstanceRow]:
    with node.database.reading() as session:
        return list(session.scalars(select(PurgedInstanceRow).order_by(PurgedInstanceRow.id)))


def is_clean(node: Node) -> bool:
    return verify(node.database, node.files, read_contents=True) == []


def test_a_delivered_case_goes_with_its_files_and_leaves_tombstones(node: Node) -> None:
    node.done()
    rows = node.instances()
    node.clock.pass_s(31 * DAY_S)

    freed = run(node)

    assert (freed.cases, freed.instances, freed.report_objects) == (1, 2, 1)
    assert freed.byte_count > 0
    assert node.instances() == []
    assert node.stored() == set()
    assert [(one.sop_instance_uid, one.content_sha256, one.reason) for one in tombstones(node)] == [
        (row.sop_instance_uid, row.content_sha256, "older than 30 d") for row in rows
    ]
    assert is_clean(node)


def test_the_case_its_history_and_its_deliveries_remain(node: Node) -> None:
    claim = node.done()
    node.clock.pass_s(31 * DAY_S)

    run(node)

    assert node.case("group").state == "done"
    assert len(node.make.events(claim.case_id)) == 5
    with node.database.reading() as session:
        assert session.scalars(select(ReportObjectRow.purged_at)).one() is not None
        assert session.scalars(select(DeliveryRow.state)).one() == "sent"


def test_patient_attributes_go_with_the_rows(node: Node) -> None:
    node.done()
    node.clock.pass_s(31 * DAY_S)

    run(node)

    with node.database.reading() as session:
        left = " ".join(
            str(tuple(row))
            for table in (
                "instance",
                "case",
                "case_event",
                "case_result",
                "report_object",
                "purged_instance",
                "delivery",
            )
            for row in session.execute(text(f'SELECT * FROM "{table}"'))  # noqa: S608 - names of ours
        )
    assert "P1" not in left


def test_a_second_run_finds_nothing(node: Node) -> None:
    node.done()
    node.clock.pass_s(31 * DAY_S)
    run(node)

    assert run(node) == Freed()


def test_a_rehearsal_removes_nothing_and_tells_what_would_go(node: Node) -> None:
    node.done()
    node.clock.pass_s(31 * DAY_S)
    make_old(node.files)
    on = terms(node)
    stored = node.stored()

    told = sum((rehearse(node.database, node.files, unit) for unit in units(node.database, on)), Freed())

    assert node.stored() == stored
    assert told == run(node)


def test_an_instance_that_is_sent_again_afterwards_is_new(node: Node) -> None:
    node.done()
    uid = node.instances()[0].sop_instance_uid
    node.clock.pass_s(31 * DAY_S)
    run(node)

    row = node.receive_new(uid=uid, content="data set 1001")

    assert row.placement == Placement.NEW.value
    assert row.content_sha256 == tombstones(node)[0].content_sha256
    assert is_clean(node)


def test_oldest_cases_go_first(node: Node) -> None:
    for group in ("first", "second", "third"):
        node.done(group)
        node.clock.pass_s(60)
    node.clock.pass_s(31 * DAY_S)

    order = [unit.case_id for unit in units(node.database, terms(node))]

    assert order == [node.case(group).id for group in ("first", "second", "third")]


def test_pages_of_cases_and_of_instances_aside_are_gone_through(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.retention._CASES", 2)
    monkeypatch.setattr("storage.retention._INSTANCES", 2)
    for number in range(5):
        node.done(f"case {number}")  # answered at the same moment
        node.receive_aside()
    node.clock.pass_s(31 * DAY_S)

    freed = run(node)

    assert (freed.cases, freed.instances) == (5, 15)
    assert node.instances() == []


KEPT: dict[str, Callable[[Node], object]] = {
    "too young": lambda node: node.done(),
    "collecting": lambda node: (node.receive(), node.clock.pass_s(31 * DAY_S)),
    "ready or running": lambda node: (node.receive(), node.claim("group"), node.clock.pass_s(31 * DAY_S)),
    "held": lambda node: (node.receive(), node.hold("group"), node.clock.pass_s(31 * DAY_S)),
    "reported, on its way": lambda node: (node.receive(), node.report("group", "pacs"), node.clock.pass_s(31 * DAY_S)),
    "collecting again": lambda node: (node.done(), node.receive(), node.clock.pass_s(31 * DAY_S)),
    "being sent": lambda node: (
        node.receive(),
        node.report("group", "pacs", failed_reason="three attempts failed"),
        node.settle("sending"),
        node.clock.pass_s(31 * DAY_S),
    ),
    "an original on its way": lambda node: (
        node.done(),
        node.forward(node.instances()[0], "archive"),
        node.clock.pass_s(31 * DAY_S),
    ),
    "an original sent lately": lambda node: (
        node.done(),
        node.forward(node.instances()[0], "archive"),
        node.clock.pass_s(31 * DAY_S),
        node.settle("sent"),
    ),
    "a new image of its study": lambda node: (
        node.done(),
        node.receive_new(study=node.instances()[0].study_instance_uid),
        node.clock.pass_s(31 * DAY_S),
    ),
    "a second content that grouping has not seen": lambda node: (
        node.done(),
        node.receive_new(uid=node.instances()[0].sop_instance_uid, content="other bytes"),
        node.clock.pass_s(31 * DAY_S),
    ),
    "only forwarded, not sent": lambda node: (node.receive_aside("pacs"), node.clock.pass_s(31 * DAY_S)),
    "only forwarded, sent lately": lambda node: (
        node.receive_aside("pacs"),
        node.clock.pass_s(31 * DAY_S),
        node.settle("sent"),
    ),
    "only forwarded, too young": lambda node: (node.receive_aside("pacs"), node.settle("sent")),
    "not placed": lambda node: (node.receive_new(), node.clock.pass_s(31 * DAY_S)),
}


@pytest.mark.parametrize("arrange", KEPT.values(), ids=KEPT)
def test_what_is_needed_stays(node: Node, arrange: Callable[[Node], object]) -> None:
    arrange(node)
    before, stored = len(node.instances()), node.stored()

    freed = run(node)

    assert freed == Freed()
    assert (len(node.instances()), node.stored()) == (before, stored)


def test_what_is_sent_but_not_committed_stays_where_commitment_is_wanted(node: Node) -> None:
    node.done()
    node.receive_aside("pacs")
    node.settle("sent")
    node.clock.pass_s(31 * DAY_S)
    wanted = {"committing": frozenset({"pacs"})}

    assert run(node, **wanted) == Freed()
    node.settle("committed", state="sent")
    node.clock.pass_s(31 * DAY_S)
    assert run(node, **wanted).instances == 3


@pytest.mark.parametrize("only_delivered", [True, False])
def test_dead_letters_go_by_age_but_not_for_space(node: Node, only_delivered: bool) -> None:
    node.receive()
    node.report("group", "pacs")
    node.settle("dead")
    node.receive_aside("pacs")
    node.settle("dead")
    node.receive_aside()  # delivered to nobody
    node.clock.pass_s(31 * DAY_S)

    freed = run(node, only_delivered=only_delivered)

    assert freed.instances == (0 if only_delivered else 3)


def test_a_failed_case_goes_when_its_answer_is_delivered(node: Node) -> None:
    node.receive()
    node.report("group", "pacs", failed_reason="three attempts failed")
    node.settle("sent")
    node.clock.pass_s(31 * DAY_S)

    assert run(node).cases == 1


def test_second_contents_go_with_the_first(node: Node) -> None:
    node.done()
    second = node.receive_new(uid=node.instances()[0].sop_instance_uid, content="other bytes")
    assert second.placement_reason == NOT_EXAMINED, "as it is recorded"
    with node.database.transaction() as session:
        session.get_one(InstanceRow, second.id).placement_reason = "second content of a known UID; same identity"
    node.clock.pass_s(31 * DAY_S)

    assert run(node).instances == 3
    assert is_clean(node)


def test_a_second_content_does_not_go_before_the_first(node: Node) -> None:
    first = node.receive()
    second = node.receive_new(uid=first.sop_instance_uid, content="other bytes")
    with node.database.transaction() as session:
        session.get_one(InstanceRow, second.id).placement_reason = "second content of a known UID; same identity"
    node.hold("group")
    node.clock.pass_s(31 * DAY_S)

    assert run(node) == Freed()


def test_a_crash_between_rows_and_files_leaves_orphans_that_the_next_sweep_removes(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.done()
    node.clock.pass_s(31 * DAY_S)

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("storage.retention.remove_unchanged", crash)
        with pytest.raises(KeyboardInterrupt):
            run(node)
    assert len(node.stored()) == 3
    assert node.instances() == []

    mend(node.database, node.files)

    assert node.stored() == set()
    assert is_clean(node)


def test_a_crash_before_the_commit_changes_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.done()
    node.clock.pass_s(31 * DAY_S)
    stored = node.stored()

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("storage.retention.change", crash)
        with pytest.raises(KeyboardInterrupt):
            run(node)

    assert node.stored() == stored
    assert len(node.instances()) == 2
    assert tombstones(node) == []
    assert is_clean(node)


def test_an_instance_sent_again_while_its_old_file_goes_keeps_its_file(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.done()
    row = node.instances()[0]
    node.clock.pass_s(31 * DAY_S)
    from storage import retention

    remove = retention.remove_unchanged

    def sent_again_first(files: FileStore, seen: object) -> bool:
        if not node.instances():
            node.receive_new(uid=row.sop_instance_uid, content="data set 1001")
        return remove(files, seen)  # type: ignore[arg-type]

    monkeypatch.setattr("storage.retention.remove_unchanged", sent_again_first)

    run(node)

    assert [one.sop_instance_uid for one in node.instances()] == [row.sop_instance_uid]
    assert is_clean(node)


def test_a_file_that_is_young_is_left_to_the_next_sweep(node: Node) -> None:
    node.done()
    node.clock.pass_s(31 * DAY_S)
    on = terms(node)

    freed = purge(node.database, node.files, Unit(case_id=1), on)

    assert freed.instances == 2
    assert freed.byte_count == 0
    assert len(node.stored()) == 3, "a sender may have sent them again at this moment"


def test_what_changed_since_it_was_chosen_stays(node: Node) -> None:
    node.done()
    node.receive_aside("pacs")
    node.settle("dead")
    node.clock.pass_s(31 * DAY_S)
    make_old(node.files)
    on = terms(node)
    chosen = list(units(node.database, on))
    node.receive()  # the case collects again
    node.settle("pending", state="dead")  # a person asks for the dead letter

    freed = sum((purge(node.database, node.files, unit, on) for unit in chosen), Freed())

    assert len(chosen) == 2
    assert freed == Freed()


def test_only_one_process_removes_at_a_time(node: Node) -> None:
    if node.database.is_sqlite:
        pytest.skip("one transaction at a time anyway")
    node.done()
    node.clock.pass_s(31 * DAY_S)
    make_old(node.files)
    with node.database.transaction() as session:
        session.execute(text(f"SELECT pg_advisory_xact_lock({0x5350_494E_47})"))

        assert purge(node.database, node.files, Unit(case_id=1), terms(node)) == Freed()

    assert purge(node.database, node.files, Unit(case_id=1), terms(node)).cases == 1


Step = tuple[str, int, int]
GROUPS = ("a", "b")
STATES = ("pending", "sending", "sent", "committed", "dead")
DESTINATIONS = ("pacs", "archive")
steps = st.tuples(
    st.sampled_from([*["receive"] * 2, "new", "aside", "second", *["answer"] * 3, "forward", *["deliver"] * 3, "pass"]),
    st.integers(0, 9),
    st.integers(0, 9),
)


@pytest.fixture(scope="module")
def workshop(_sqlite_template: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of synced writes are not what this test is about."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        shutil.copy(_sqlite_template, Path(name) / "template.db")
        yield Path(name)


@settings(max_examples=40, deadline=None)
@given(history=st.lists(steps, min_size=8, max_size=30), committing=st.booleans(), for_space=st.booleans())
def test_whatever_happened_retention_takes_nothing_that_is_needed(
    workshop: Path, history: list[Step], committing: bool, for_space: bool
) -> None:
    clock, files = Clock(), FileStore(workshop / "files")
    for left in files.root.glob("*/*/*"):
        left.unlink()
    for left in workshop.glob("spinenode.db*"):
        left.unlink()
    database = Database(f"sqlite:///{shutil.copy(workshop / 'template.db', workshop / 'spinenode.db')}", clock=clock)
    recorder = InstanceRecorder(database)
    node = Node(database, files, recorder, clock)
    on = {"committing": frozenset({"pacs"} if committing else ()), "only_delivered": for_space}
    try:
        for step in history:
            take(node, step, on)
        clock.pass_s(40 * DAY_S)
        assert_retention_is_harmless(node, on)
    finally:
        recorder.close()
        database.dispose()


def take(node: Node, step: Step, on: dict[str, object]) -> None:
    what, one, other = step
    group = GROUPS[one % len(GROUPS)]
    rows = node.instances()
    destination = DESTINATIONS[other % len(DESTINATIONS)]
    if what == "receive":
        node.receive(group)
    elif what == "new":
        node.receive_new()
    elif what == "aside":
        node.receive_aside(*DESTINATIONS[: other % 3])
    elif what == "second" and rows:
        row = node.receive_new(uid=rows[one % len(rows)].sop_instance_uid, content=f"second {len(rows)}")
        _examine(node, row, *DESTINATIONS[: other % 3])
    elif what == "answer":
        _answer(node, group, destination if other % 3 else None, failed=one % 2 == 0)
    elif what == "forward" and rows:
        node.forward(rows[one % len(rows)], destination)
    elif what == "deliver":
        _deliver(node, one, STATES[other % len(STATES)])
    elif what == "pass":
        node.clock.pass_s((one + 1) * 5 * DAY_S)
        assert_retention_is_harmless(node, on)


def _examine(node: Node, second: InstanceRow, *destinations: str) -> None:
    """What grouping does with a second content, or has not done yet when it goes nowhere."""
    if destinations and second.placement == Placement.OTHER_CONTENT.value:
        with node.database.transaction() as session:
            session.get_one(InstanceRow, second.id).placement_reason = "second content of a known UID; same identity"
        node.forward(second, *destinations)


def _answer(node: Node, group: str, destination: str | None, *, failed: bool) -> None:
    with node.database.reading() as session:
        case = session.scalars(select(CaseRow).where(CaseRow.group_key == group)).one_or_none()
    if case is not None and case.state == "collecting":
        destinations = () if destination is None else (destination,)
        node.report(group, *destinations, failed_reason="attempts used up" if failed else None)
        node.finish()


def _deliver(node: Node, number: int, state: str) -> None:
    with node.database.reading() as session:
        live = DeliveryRow.state.in_(["pending", "sending", "sent", "dead"])
        statement = select(DeliveryRow.id).outerjoin(ReportObjectRow).where(live, ReportObjectRow.purged_at.is_(None))
        ids = list(session.scalars(statement.order_by(DeliveryRow.id)))
    if ids:
        node.settle(state, id=ids[number % len(ids)])


def assert_retention_is_harmless(node: Node, on: dict[str, object]) -> None:
    needed_files, needed_rows, known = needed(node, on)

    run(node, **on)

    rows = {row.id: row for row in node.instances()}
    assert needed_rows <= set(rows)
    assert needed_files <= node.stored()
    assert node.stored() >= {row.file for row in rows.values()}
    gone = {(row.sop_instance_uid, row.content_sha256) for row in known if row.id not in rows}
    assert gone <= {(one.sop_instance_uid, one.content_sha256) for one in tombstones(node)}
    assert is_clean(node)


def needed(node: Node, on: dict[str, object]) -> tuple[set[str], set[int], list[InstanceRow]]:
    """What must stay, said once more in other words: files, ids of instances; and all instances."""
    before = node.clock() - timedelta(days=30)
    with node.database.reading() as session:
        rows = list(session.scalars(select(InstanceRow)))
        cases = {case.id: case for case in session.scalars(select(CaseRow))}
        reports = {one.id: one for one in session.scalars(select(ReportObjectRow)) if one.purged_at is None}
        deliveries = list(session.scalars(select(DeliveryRow)))
    files: set[str] = set()
    ids: set[int] = set()
    for row in rows:
        case = cases.get(row.case_id or 0)
        is_open = case is not None and case.state not in ("done", "failed")
        if row.placement == "new" or row.received_at > before or row.placement_reason == NOT_EXAMINED or is_open:
            ids.add(row.id)
    for one in deliveries:
        unsettled = one.state in ("pending", "sending") or (
            one.state == "sent" and one.destination in on["committing"]  # type: ignore[operator]
        )
        if not unsettled and not (on["only_delivered"] and one.state == "dead"):
            continue
        if one.report_object_id is not None:
            files |= {reports[one.report_object_id].file} if one.report_object_id in reports else set()
        ids |= {row.id for row in rows if row.id == one.instance_id}
        ids |= {row.id for row in rows if one.case_id is not None and row.case_id == one.case_id}
    return files | {row.file for row in rows if row.id in ids}, ids, rows
