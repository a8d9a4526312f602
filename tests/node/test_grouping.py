"""Instances find their case, and cases find their end, on a real database."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import GroupingSettings, RouteSettings, Settings
from node.completeness import completeness
from node.doubts import contradictions
from node.grouping import complete_cases, place_new_instances, reconsider_unrouted
from node.identity import Identity, conflicts
from storage import cases
from storage.cases import Claim
from storage.database import Database
from storage.schema import CaseRow, CaseState, DeliveryRow, InstanceRow
from tests.node.conftest import Clock, Receive

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"


@dataclass
class Node:
    """The steps of grouping, and a look at what they left."""

    database: Database
    settings: Settings
    clock: Clock

    def place(self) -> int:
        return place_new_instances(self.database, self.settings)

    def complete(self) -> int:
        return complete_cases(self.database, self.settings)

    def cases(self) -> list[CaseRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(CaseRow).order_by(CaseRow.id)))

    def only_case(self) -> CaseRow:
        (case,) = self.cases()
        return case

    def instances(self) -> list[InstanceRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(InstanceRow).order_by(InstanceRow.id)))

    def forwarded_to(self) -> list[str]:
        with self.database.reading() as session:
            return list(session.scalars(select(DeliveryRow.destination).order_by(DeliveryRow.id)))

    def decide(self, decision: Callable[..., None], number: int = 0) -> None:
        with self.database.transaction() as session:
            decision(session, session.get_one(CaseRow, self.cases()[number].id), "a person said so", self.clock())

    def claim(self) -> Claim:
        """Take the ready case, as a worker does."""
        with self.database.transaction() as session:
            claim = cases.claim(session, owner="w", now=self.clock(), lease_s=60, maximum_attempts=3)
        assert claim is not None
        return claim

    def answer(self, claim: Claim | None = None) -> None:
        """Report the claimed case, or the one that is ready."""
        claim = claim or self.claim()
        with self.database.transaction() as session:
            cases.report(session, claim, findings={}, objects=[], destinations=[], failed_reason=None, now=self.clock())

    def collect_and_claim(self) -> Claim:
        """Place what was received, wait until it is complete, take it."""
        self.place()
        self.clock.pass_s(30)
        self.complete()
        return self.claim()

    def states(self) -> list[tuple[str, int]]:
        return [(case.state, case.revision) for case in self.cases()]


@pytest.fixture
def node(database: Database, settings: Settings, clock: Clock) -> Node:
    return Node(database, settings, clock)


def with_route(settings: Settings, **changes: object) -> Settings:
    route = settings.routes[0].model_copy(update=changes)
    return settings.model_copy(update={"routes": (route,)})


def test_images_of_one_patient_and_day_make_one_case(node: Node, receive: Receive) -> None:
    receive()
    receive(study_instance_uid="2.25.3002", series_instance_uid="2.25.2002")

    assert node.place() == 2
    assert node.only_case().state == CaseState.COLLECTING
    assert [row.case_id for row in node.instances()] == [node.only_case().id] * 2


def test_two_patients_make_two_cases(node: Node, receive: Receive) -> None:
    receive()
    receive(patient_id="P2", study_instance_uid="2.25.3002", series_instance_uid="2.25.2002")

    node.place()

    assert [case.state for case in node.cases()] == [CaseState.COLLECTING] * 2


def test_more_than_one_batch_is_placed_in_one_run(
    node: Node, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.grouping._PAGE", 2)
    for _ in range(5):
        receive()

    assert node.place() == 5


def test_an_object_no_pipeline_reads_is_set_aside_with_its_reason(node: Node, receive: Receive) -> None:
    receive(sop_class_uid=COMPREHENSIVE_3D_SR)

    node.place()

    (row,) = node.instances()
    assert (row.placement, row.placement_reason) == ("set_aside", "no pipeline reads Comprehensive 3D SR Storage")
    assert node.cases() == []


def test_a_report_of_the_node_that_comes_back_is_known_by_its_uid(node: Node, receive: Receive) -> None:
    receive()
    node.place()
    node.clock.pass_s(30)
    node.complete()
    with node.database.transaction() as session:
        claim = cases.claim(session, owner="w", now=node.clock(), lease_s=60, maximum_attempts=3)
        assert claim is not None
        made = cases.NewReportObject(
            kind="summary",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            sop_instance_uid="2.25.5005",
            series_instance_uid="2.25.6",
            study_instance_uid="2.25.3001",
            file="reports/00/x.dcm",
            content_sha256="ab" * 32,
        )
        cases.report(session, claim, findings={}, objects=[made], destinations=[], failed_reason=None, now=node.clock())
    node.settings = with_route(node.settings, forward_originals_to=("pacs",))

    receive(sop_instance_uid="2.25.5005")
    node.place()

    assert node.instances()[-1].placement_reason == "own object that came back"
    assert node.forwarded_to() == []
    assert node.only_case().revision == 1


def test_originals_are_forwarded_once_when_they_are_placed(node: Node, receive: Receive) -> None:
    node.settings = with_route(node.settings, forward_originals_to=("pacs", "archive"))
    receive()

    node.place()
    node.place()

    assert node.forwarded_to() == ["pacs", "archive"]


def test_an_instance_of_a_running_case_waits_and_begins_the_next_revision(node: Node, receive: Receive) -> None:
    receive()
    node.place()
    node.clock.pass_s(30)
    node.complete()
    with node.database.transaction() as session:
        claim = cases.claim(session, owner="w", now=node.clock(), lease_s=60, maximum_attempts=3)
    assert claim is not None
    receive()

    assert node.place() == 0
    with node.database.transaction() as session:
        cases.report(session, claim, findings={}, objects=[], destinations=[], failed_reason=None, now=node.clock())

    assert node.place() == 1
    assert (node.only_case().state, node.only_case().revision) == (CaseState.COLLECTING, 2)


def test_a_second_content_under_a_known_uid_is_not_analysed(node: Node, receive: Receive) -> None:
    receive(sop_instance_uid="2.25.77")
    receive(sop_instance_uid="2.25.77")

    node.place()

    assert [row.placement for row in node.instances()] == ["in_case", "other_content"]
    assert node.instances()[1].placement_reason.endswith("same identity")
    assert node.only_case().state == CaseState.COLLECTING


def test_a_second_content_that_names_another_patient_holds_the_case(node: Node, receive: Receive) -> None:
    receive(sop_instance_uid="2.25.77")
    node.place()
    receive(sop_instance_uid="2.25.77", patient_id="P2", patient_name="Roe^Richard")

    node.place()

    assert node.only_case().state == CaseState.HELD
    assert "study ..3001 came under more than one PatientID" in node.only_case().reason


def test_one_patient_id_with_two_birth_dates_is_held_with_the_reason(node: Node, receive: Receive) -> None:
    receive()
    receive(study_instance_uid="2.25.3002", series_instance_uid="2.25.2002", patient_birth_date="19700101")

    node.place()

    assert node.only_case().state == CaseState.HELD
    assert node.only_case().reason == "PatientBirthDate differs between studies ..3001 and ..3002"


def test_one_study_under_two_patient_ids_holds_both_cases(node: Node, receive: Receive) -> None:
    receive()
    node.place()
    receive(patient_id="P2")

    node.place()

    assert [case.state for case in node.cases()] == [CaseState.HELD] * 2
    assert all("more than one PatientID" in case.reason for case in node.cases())


def test_a_held_case_is_never_complete(node: Node, receive: Receive) -> None:
    receive()
    receive(patient_birth_date="19700101")
    node.place()
    node.clock.pass_s(1000)

    assert node.complete() == 0
    assert node.only_case().state == CaseState.HELD


def test_a_released_case_goes_on_and_a_late_image_without_new_conflict_does_not_hold_it(
    node: Node, receive: Receive
) -> None:
    receive()
    receive(patient_birth_date="19700101")
    node.place()

    node.decide(cases.release)
    receive()
    node.place()
    node.clock.pass_s(30)

    assert node.complete() == 1
    assert node.only_case().state == CaseState.READY


def test_a_released_case_is_held_again_by_a_new_conflict(node: Node, receive: Receive) -> None:
    receive()
    receive(patient_birth_date="19700101")
    node.place()
    node.decide(cases.release)

    receive(patient_sex="M")
    node.place()

    assert node.only_case().state == CaseState.HELD
    assert node.only_case().reason == "PatientSex differs within study ..3001"


def test_a_rejected_case_is_held_again_when_an_image_arrives(node: Node, receive: Receive) -> None:
    receive()
    receive(patient_birth_date="19700101")
    node.place()
    node.decide(cases.reject)
    node.answer()

    receive()
    node.place()

    assert node.only_case().state == CaseState.HELD


def test_contradictions_of_a_case_can_be_read_at_any_time(node: Node, receive: Receive) -> None:
    receive()
    receive(patient_sex="M")
    node.place()

    with node.database.reading() as session:
        found = contradictions(session, session.get_one(CaseRow, node.only_case().id))

    assert found == {"PatientSex differs within study ..3001"}


def test_a_quiet_case_without_gap_becomes_ready_with_the_reason(node: Node, receive: Receive) -> None:
    receive()
    node.place()
    node.clock.pass_s(29)
    assert node.complete() == 0

    node.clock.pass_s(1)

    assert node.complete() == 1
    assert (node.only_case().state, node.only_case().reason) == (CaseState.READY, "quiet 30 s, no gap")


def test_a_case_with_a_missing_slice_waits_longer(node: Node, receive: Receive) -> None:
    for x in (0.0, 4.0, 12.0, 16.0):
        receive(position_mm=(x, 0.0, 0.0))
    node.place()
    node.clock.pass_s(119)
    assert node.complete() == 0

    node.clock.pass_s(1)
    node.complete()

    assert node.only_case().reason == "quiet 120 s, missing slices: 1 in series ..2001"


def test_the_expected_number_of_images_completes_at_once(node: Node, receive: Receive) -> None:
    node.settings = node.settings.model_copy(update={"grouping": GroupingSettings(expected_instances=2)})
    receive()
    receive()
    node.place()

    assert node.complete() == 1


def test_a_case_is_not_complete_while_its_images_wait_for_grouping(node: Node, receive: Receive) -> None:
    receive()
    node.place()
    node.clock.pass_s(30)
    receive()

    assert node.complete() == 0


def test_images_without_route_are_taken_up_when_a_route_is_added(node: Node, receive: Receive) -> None:
    receive(calling_ae_title="MR9")
    receive(calling_ae_title="MR8")
    node.place()
    assert node.cases() == []

    node.settings = with_route(node.settings, callers=("MR9",))

    assert reconsider_unrouted(node.database, node.settings) == 1
    assert node.place() == 1
    assert [row.placement for row in node.instances()] == ["in_case", "set_aside"]


def test_without_a_new_route_nothing_is_taken_up(node: Node, receive: Receive) -> None:
    receive(calling_ae_title="MR9")
    node.place()

    assert reconsider_unrouted(node.database, node.settings) == 0


def test_a_route_that_only_forwards_makes_no_case(node: Node, receive: Receive) -> None:
    relay = RouteSettings(name="relay", pipeline="none", forward_originals_to=("archive",))
    node.settings = node.settings.model_copy(update={"routes": (relay,)})
    receive()

    node.place()

    assert node.cases() == []
    assert node.forwarded_to() == ["archive"]


SECOND_PATIENT: dict[str, Any] = {
    "patient_id": "P2",
    "patient_name": "Roe^Richard",
    "patient_birth_date": "19330303",
    "study_instance_uid": "2.25.3002",
    "series_instance_uid": "2.25.2002",
}


def test_one_case_whose_end_cannot_be_told_does_not_keep_the_others_from_theirs(
    node: Node, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_for_p1(instances: Sequence[InstanceRow], **known: Any) -> str | None:
        if instances[0].patient_id == "P1":
            raise OverflowError("poison")
        return completeness(instances, **known)

    monkeypatch.setattr("node.grouping.completeness", fails_for_p1)
    receive()
    receive(**SECOND_PATIENT)
    node.place()
    node.clock.pass_s(30)

    assert node.complete() == 1
    assert node.states() == [("collecting", 1), ("ready", 1)]


def test_one_instance_that_cannot_be_placed_does_not_keep_the_others_from_their_case(
    node: Node, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_all = cases.place_all

    def fails_for_p1(session: Session, instances: Sequence[InstanceRow], **where: Any) -> CaseRow | None:
        if any(instance.patient_id == "P1" for instance in instances):
            raise OverflowError("poison")
        return place_all(session, instances, **where)

    monkeypatch.setattr("node.grouping.cases.place_all", fails_for_p1)
    receive()
    receive(**SECOND_PATIENT)

    assert node.place() == 1
    assert [row.placement for row in node.instances()] == ["new", "in_case"]


def test_an_image_whose_identity_could_not_be_compared_is_in_no_case_until_it_can(
    node: Node, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(identities: Iterable[Identity]) -> frozenset[str]:
        raise OverflowError("poison")

    receive()
    monkeypatch.setattr("node.doubts.conflicts", fails)
    assert node.place() == 0
    assert [row.placement for row in node.instances()] == ["new"]

    monkeypatch.setattr("node.doubts.conflicts", conflicts)

    assert node.place() == 1
    assert node.states() == [("collecting", 1)]


def test_late_images_of_a_running_case_do_not_hide_the_next_patient(
    node: Node, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.grouping._PAGE", 2)
    receive()
    node.collect_and_claim()
    for _ in range(5):
        receive()
    receive(**SECOND_PATIENT)

    assert node.place() == 1
    assert [case.state for case in node.cases()] == [CaseState.RUNNING, CaseState.COLLECTING]


@pytest.mark.parametrize("placeholder", ["0", "ANON"])
def test_two_studies_under_a_placeholder_without_birth_date_are_two_cases(
    node: Node, receive: Receive, placeholder: str
) -> None:
    receive(patient_id=placeholder, patient_birth_date="")
    receive(patient_id=placeholder, patient_birth_date="", study_instance_uid="2.25.3002", series_instance_uid="2.25.9")

    node.place()

    assert len(node.cases()) == 2


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize("changes", [{"study_date": ""}, {"study_date": "20261103"}, {"patient_birth_date": ""}])
def test_a_study_is_one_case_also_when_its_series_differ_in_their_dates(
    node: Node, receive: Receive, changes: dict[str, str], in_one_batch: bool
) -> None:
    receive()
    if not in_one_batch:
        node.place()
    receive(series_instance_uid="2.25.2002", **changes)

    node.place()

    assert node.states() == [("collecting", 1)]


def test_another_patient_under_known_sop_instance_uids_holds_the_first_case_and_says_so(
    node: Node, receive: Receive
) -> None:
    receive(sop_instance_uid="2.25.77")
    node.place()
    receive(sop_instance_uid="2.25.77", **SECOND_PATIENT)

    node.place()

    assert node.only_case().state == CaseState.HELD
    assert node.only_case().reason == node.instances()[1].placement_reason
    differ = "differ in PatientID, PatientBirthDate, PatientName, StudyInstanceUID"
    assert node.only_case().reason == f"second content of a known SOP Instance UID; its two contents {differ}"


def test_a_collision_with_a_running_case_holds_it_after_its_answer(node: Node, receive: Receive) -> None:
    receive(sop_instance_uid="2.25.77")
    claim = node.collect_and_claim()
    receive(sop_instance_uid="2.25.77", **SECOND_PATIENT)
    node.place()
    assert node.states() == [("running", 1)]

    node.answer(claim)
    node.place()

    assert node.states() == [("held", 2)]


def test_a_study_that_comes_under_another_patient_after_the_answer_holds_both_cases(
    node: Node, receive: Receive
) -> None:
    receive()
    node.answer(node.collect_and_claim())
    receive(patient_id="P2")

    node.place()

    assert node.states() == [("held", 2), ("held", 1)]


def test_a_study_of_a_running_case_under_another_patient_waits_and_then_holds_both_cases(
    node: Node, receive: Receive
) -> None:
    receive()
    claim = node.collect_and_claim()
    receive(patient_id="P2")
    assert node.place() == 0

    node.answer(claim)

    assert node.place() == 1
    assert node.states() == [("held", 2), ("held", 1)]


def test_a_released_case_that_was_answered_before_is_answered_anew(node: Node, receive: Receive) -> None:
    receive()
    node.answer(node.collect_and_claim())
    receive(patient_id="P2")
    node.place()

    node.decide(cases.release)
    node.complete()
    claim = node.claim()

    assert (claim.revision, claim.attempt, claim.give_up_reason) == (2, 1, None)


def test_a_late_image_of_one_case_does_not_undo_what_a_person_decided_on_the_other(
    node: Node, receive: Receive
) -> None:
    receive()
    receive(patient_id="P2")
    node.place()
    node.decide(cases.reject, 0)
    node.decide(cases.reject, 1)
    node.answer()
    node.answer()

    receive(patient_id="P2")
    node.place()

    assert node.states() == [("reported", 1), ("held", 2)]


def test_a_second_content_is_forwarded_as_any_original(node: Node, receive: Receive) -> None:
    node.settings = with_route(node.settings, forward_originals_to=("pacs", "archive"))
    receive(sop_instance_uid="2.25.77")
    node.place()
    receive(sop_instance_uid="2.25.77")

    node.place()
    node.place()

    assert node.forwarded_to() == ["pacs", "archive"] * 2


def test_a_second_content_whose_first_retention_removed_is_forwarded_and_counts_as_examined(
    node: Node, receive: Receive
) -> None:
    node.settings = with_route(node.settings, forward_originals_to=("pacs",))
    receive(sop_instance_uid="2.25.77")
    receive(sop_instance_uid="2.25.77")
    with node.database.transaction() as session:
        session.delete(session.get_one(InstanceRow, 1))

    node.place()

    (second,) = node.instances()
    assert second.placement_reason.endswith("the first one was removed by retention")
    assert node.forwarded_to() == ["pacs"]


def test_a_second_content_is_not_forwarded_to_the_peer_it_came_from(node: Node, receive: Receive) -> None:
    node.settings = with_route(node.settings, callers=("PACS",), forward_originals_to=("pacs",))
    receive(sop_instance_uid="2.25.77", calling_ae_title="PACS")
    receive(sop_instance_uid="2.25.77", calling_ae_title="PACS")

    node.place()

    assert node.forwarded_to() == []


def test_a_second_content_that_the_node_made_is_not_forwarded(node: Node, receive: Receive) -> None:
    node.settings = with_route(node.settings, forward_originals_to=("pacs",))
    receive(sop_instance_uid="2.25.77")
    receive(sop_instance_uid="2.25.77", manufacturer="SpineNode")

    node.place()

    assert node.forwarded_to() == ["pacs"]


def test_one_instance_that_cannot_be_set_aside_does_not_keep_the_others_waiting(
    node: Node, receive: Receive, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_aside = cases.set_aside

    def fails_for_p1(session: Session, instances: Sequence[InstanceRow], *why: Any) -> None:
        if any(instance.patient_id == "P1" for instance in instances):
            raise OverflowError("poison")
        set_aside(session, instances, *why)

    monkeypatch.setattr("node.grouping.cases.set_aside", fails_for_p1)
    receive(manufacturer="SpineNode")
    receive(manufacturer="SpineNode", **SECOND_PATIENT)

    assert node.place() == 1
    assert [row.placement for row in node.instances()] == ["new", "set_aside"]
