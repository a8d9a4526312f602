"""A ready case always gets an answer, at most once, whatever breaks on the way."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pydicom
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from config.settings import RouteSettings, Settings
from inference.case import Case
from inference.findings import (
    Box,
    BundleIdentity,
    Decision,
    Findings,
    ImageReference,
    Lesion,
    SequenceKind,
    SequenceVote,
    SeriesUsed,
    Status,
    Verdict,
)
from node.grouping import complete_cases, place_new_instances
from node.report import ReportObject, build
from node.report.captures.single import build_summary
from node.report.material import Material
from node.worker import FreshProcessNeeded, Worker
from storage import cases
from storage.database import Database
from storage.errors import StorageError, StorageFull
from storage.files import FileStore
from storage.schema import CaseResultRow, CaseRow, CaseState, DeliveryRow, ReportObjectRow
from tests.node.case_images import PATIENT_ID, PATIENT_NAME, mr_image, take_in
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
BOX = Box(x0=2, y0=2, x1=8, y1=8)
NO_LESION = Findings(status=Status.NO_LESION_DETECTED, bundle=BUNDLE)


@dataclass
class FakeEngine:
    """Answers with what each call is told to do: findings, or an error to raise."""

    script: list[Callable[[Case], Findings]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    identity: BundleIdentity = BUNDLE

    def run(self, case: Case) -> Findings:
        self.cases.append(case)
        step = self.script.pop(0) if self.script else lambda _case: NO_LESION
        return step(case)


def failing(error: Exception) -> Callable[[Case], Findings]:
    def step(_case: Case) -> Findings:
        raise error

    return step


@dataclass
class Site:
    """A worker with its memory, and a look at what it left."""

    database: Database
    files: FileStore
    settings: Settings
    clock: Clock
    engine: FakeEngine

    def worker(self, owner: str = "worker-1") -> Worker:
        return Worker(self.database, self.files, self.engine, settings=self.settings, owner=owner)

    def receive(self, *images: pydicom.Dataset) -> None:
        take_in(self.database, self.files, *images, clock=self.clock)

    def make_ready(self) -> None:
        place_new_instances(self.database, self.settings)
        self.clock.pass_s(200)
        complete_cases(self.database, self.settings)

    def case(self) -> CaseRow:
        with self.database.reading() as session:
            return session.scalars(select(CaseRow)).one()

    def findings(self) -> dict[str, object]:
        with self.database.reading() as session:
            return dict(session.scalars(select(CaseResultRow).order_by(CaseResultRow.id.desc())).first().findings)  # type: ignore[union-attr]

    def objects(self) -> list[pydicom.Dataset]:
        with self.database.reading() as session:
            rows = session.scalars(select(ReportObjectRow).order_by(ReportObjectRow.id)).all()
            return [pydicom.dcmread(self.files.path(row.file)) for row in rows]

    def deliveries(self) -> list[DeliveryRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(DeliveryRow)))


@pytest.fixture
def site(database: Database, files: FileStore, settings: Settings, clock: Clock) -> Site:
    return Site(database, files, settings, clock, FakeEngine())


@pytest.fixture
def ready_site(site: Site) -> Site:
    site.receive(*(mr_image(number) for number in (1, 2, 3)))
    site.make_ready()
    return site


def test_without_a_ready_case_nothing_is_done(site: Site) -> None:
    assert site.worker().run_once() is False


def test_the_engine_gets_every_image_of_the_case(ready_site: Site) -> None:
    ready_site.worker().run_once()

    (case,) = ready_site.engine.cases
    assert {str(pydicom.dcmread(file).SOPInstanceUID) for file in case.files} == {f"2.25.1000{n}" for n in (1, 2, 3)}


def test_findings_become_a_report_that_is_due_at_the_routes_destinations(ready_site: Site) -> None:
    assert ready_site.worker().run_once() is True

    assert ready_site.case().state == CaseState.REPORTED
    assert ready_site.findings()["status"] == "no_lesion_detected"
    objects = ready_site.objects()
    assert objects[0].Modality == "SR"
    assert {str(one.StudyInstanceUID) for one in objects} == {"2.25.2000"}
    assert [one.destination for one in ready_site.deliveries()] == ["pacs"] * len(objects)


def test_stage_times_are_stored_with_the_findings(ready_site: Site) -> None:
    ready_site.worker().run_once()

    timings = ready_site.findings()["timings_s"]
    assert isinstance(timings, dict)
    assert {"engine", "read headers", "build report", "write report", "attempt"} <= set(timings)


def test_a_failed_attempt_is_tried_again_later(ready_site: Site) -> None:
    ready_site.engine.script = [failing(RuntimeError("out of memory"))]
    worker = ready_site.worker()

    worker.run_once()

    assert ready_site.case().state == CaseState.READY
    assert "out of memory" in ready_site.case().reason
    assert worker.run_once() is False, "the delay has not passed"
    ready_site.clock.pass_s(ready_site.settings.worker.retry_base_s)
    assert worker.run_once() is True
    assert ready_site.case().state == CaseState.REPORTED


def test_the_delay_doubles_with_each_attempt(ready_site: Site) -> None:
    ready_site.engine.script = [failing(RuntimeError("one")), failing(RuntimeError("two"))]
    worker = ready_site.worker()
    worker.run_once()
    ready_site.clock.pass_s(5)

    worker.run_once()

    assert ready_site.case().available_at == ready_site.clock() + timedelta(seconds=10)


def test_used_up_attempts_end_in_a_not_analysed_report(ready_site: Site) -> None:
    ready_site.engine.script = [failing(RuntimeError("broken"))] * 3
    worker = ready_site.worker()
    for _ in range(3):
        worker.run_once()
        ready_site.clock.pass_s(400)

    worker.run_once()

    assert len(ready_site.engine.cases) == 3
    assert ready_site.case().state == CaseState.FAILED
    assert ready_site.findings()["status"] == "not_analysed"
    assert ready_site.findings()["reason"] == "model_failure"
    assert ready_site.objects()[0].Modality == "SR"
    assert ready_site.deliveries()


def test_a_case_that_a_person_rejected_runs_no_model(site: Site) -> None:
    site.receive(mr_image(1), mr_image(2, PatientBirthDate="19500101"))
    site.make_ready()
    assert site.case().state == CaseState.HELD
    with site.database.transaction() as session:
        cases.reject(session, session.get_one(CaseRow, site.case().id), "two persons", site.clock())

    site.worker().run_once()

    assert site.engine.cases == []
    assert site.case().state == CaseState.FAILED
    assert site.findings()["reason"] == "identity_conflict"
    assert site.objects()[0].Modality == "SR"


def test_a_worker_that_lost_its_lease_writes_nothing(ready_site: Site) -> None:
    def overtaken(_case: Case) -> Findings:
        ready_site.clock.pass_s(ready_site.settings.worker.lease_s + 1)
        assert ready_site.worker("worker-2").run_once() is True
        return NO_LESION

    ready_site.engine.script = [overtaken]

    with capture_logs() as logs:
        ready_site.worker("worker-1").run_once()

    assert [entry["event"] for entry in logs].count("case_reported") == 1
    assert "case_lost" in [entry["event"] for entry in logs]
    uids = [one.SOPInstanceUID for one in ready_site.objects()]
    assert len(uids) == len(set(uids))
    assert ready_site.case().state == CaseState.REPORTED


def test_a_second_attempt_makes_the_same_objects(ready_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict[str, str]] = []
    original = cases.report

    def dies_before_the_commit(
        session: object, claim: object, *, objects: list[cases.NewReportObject], **rest: object
    ) -> None:
        written.append({one.sop_instance_uid: one.content_sha256 for one in objects})
        if len(written) == 1:
            raise RuntimeError("the power went")
        original(session, claim, objects=objects, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(cases, "report", dies_before_the_commit)
    worker = ready_site.worker()
    worker.run_once()
    ready_site.clock.pass_s(60)

    worker.run_once()

    assert ready_site.case().state == CaseState.REPORTED
    assert written[0] == written[1]


def test_a_report_that_contradicts_its_images_is_replaced_by_not_analysed(ready_site: Site) -> None:
    ready_site.engine.script = [lambda _case: _findings_on("2.25.99")]

    ready_site.worker().run_once()

    assert ready_site.case().state == CaseState.FAILED
    assert ready_site.findings()["status"] == "not_analysed"
    assert ready_site.objects()[0].Modality == "SR"


def test_an_object_that_fails_the_check_is_not_sent_and_the_case_says_why(ready_site: Site) -> None:
    outside = Box(x0=-40, y0=2, x1=8, y1=8)
    ready_site.engine.script = [lambda _case: _findings_on("2.25.10001", box=outside)]

    ready_site.worker().run_once()

    case, objects = ready_site.case(), ready_site.objects()
    assert case.state == CaseState.FAILED
    assert "the report was refused: ReportCheckError: sr 2.25." in case.reason
    assert "lies outside its image" in case.reason
    assert not any(secret in case.reason for secret in (PATIENT_ID, *PATIENT_NAME.split("^"), "19700101"))
    assert [one.SeriesDescription.split(" - ")[1] for one in objects] == ["not analysed"] * len(objects)
    assert objects[0].Modality == "SR"
    assert "Malignant" not in objects[0].to_json()
    assert len(ready_site.deliveries()) == len(objects)
    with ready_site.database.reading() as session:
        delivered = {row.report_object_id for row in ready_site.deliveries()}
        assert delivered == set(session.scalars(select(ReportObjectRow.id)))


def test_a_companion_that_fails_every_check_does_not_silence_the_not_analysed_report(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(material: Material) -> list[ReportObject]:
        (summary,) = build_summary(material)
        summary.dataset.PixelData = b"\0\0"
        return [summary]

    monkeypatch.setitem(build._BUILD, "summary", damaged)

    ready_site.worker().run_once()

    assert ready_site.case().state == CaseState.FAILED
    assert "2 bytes of pixels" in ready_site.case().reason
    assert [one.Modality for one in ready_site.objects()] == ["SR"]
    assert ready_site.findings()["status"] == "not_analysed"


def test_unreadable_files_end_in_an_answer_and_not_in_a_loop(ready_site: Site) -> None:
    for file in ready_site.files.root.rglob("*.dcm"):
        file.write_bytes(b"not DICOM at all")
    ready_site.engine.script = [failing(ValueError("cannot read"))] * 3
    worker = ready_site.worker()

    for _ in range(4):
        worker.run_once()
        ready_site.clock.pass_s(400)

    assert ready_site.case().state == CaseState.FAILED
    assert ready_site.objects()[0].PatientID == PATIENT_ID
    assert worker.run_once() is False


def test_a_case_for_which_no_usual_report_can_be_made_is_answered_by_a_bare_one(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(*_arguments: object) -> None:
        raise KeyError("no report today")

    for name in ("node.worker.make_report", "node.answer.make_report"):
        monkeypatch.setattr(name, impossible)
    worker = ready_site.worker()

    for _ in range(4):
        worker.run_once()
        ready_site.clock.pass_s(400)

    assert ready_site.case().state == CaseState.FAILED
    (sr,) = ready_site.objects()
    assert (sr.Modality, sr.PatientID) == ("SR", PATIENT_ID)
    assert len(ready_site.deliveries()) == 1


def test_a_case_for_which_not_even_a_bare_report_can_be_made_ends_as_failed(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(*_arguments: object) -> None:
        raise KeyError("no report today")

    for name in ("node.worker.make_report", "node.answer.make_report", "node.answer.make_bare_report"):
        monkeypatch.setattr(name, impossible)
    worker = ready_site.worker()

    for _ in range(4):
        worker.run_once()
        ready_site.clock.pass_s(400)

    assert ready_site.case().state == CaseState.FAILED
    assert "no report could be made" in ready_site.case().reason
    assert ready_site.objects() == []


def test_an_answer_that_waited_for_a_worker_says_that_it_is_late(ready_site: Site) -> None:
    ready_site.clock.pass_s(10 * 3600)

    ready_site.worker().run_once()

    sr = ready_site.objects()[0]
    assert "Late answer" in sr.to_json()


def test_a_full_disk_postpones_the_last_word_instead_of_losing_it(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_site.engine.script = [failing(RuntimeError("broken"))] * 3
    worker = ready_site.worker()
    for _ in range(3):
        worker.run_once()
        ready_site.clock.pass_s(400)

    def full(*_arguments: object) -> str:
        raise StorageFull("no room; make room")

    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "write", full)
        worker.run_once()
    assert ready_site.case().state == CaseState.READY

    ready_site.clock.pass_s(400)
    worker.run_once()
    assert ready_site.case().state == CaseState.FAILED
    assert ready_site.objects()


def full_disk(*_arguments: object) -> str:
    raise StorageFull("file store /srv/secret/data: writing reports/x.dcm: No space left on device; make room")


def test_a_full_disk_uses_up_no_attempt_and_the_case_is_reported_once_there_is_room(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, waits = ready_site.worker(), []
    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "write", full_disk)
        for _ in range(2 * ready_site.settings.worker.maximum_attempts):
            assert worker.run_once() is True
            case = ready_site.case()
            assert (case.state, case.attempts) == (CaseState.READY, 0)
            assert "StorageFull" in case.reason
            assert "/srv" not in case.reason
            waits.append((case.available_at - ready_site.clock()).total_seconds())
            ready_site.clock.pass_s(60)

    worker.run_once()

    assert waits == [5, 10, 20, 40, 60, 60]
    assert ready_site.case().state == CaseState.REPORTED
    assert ready_site.findings()["status"] == "no_lesion_detected"


def test_a_database_that_refuses_the_answer_for_a_while_uses_up_no_attempt(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object, **_named: object) -> None:
        raise StorageError("database: OperationalError: connection lost")

    with monkeypatch.context() as patched:
        patched.setattr(cases, "report", away)
        ready_site.worker().run_once()

    assert (ready_site.case().state, ready_site.case().attempts) == (CaseState.READY, 0)


def test_the_last_word_tells_the_models_failure_and_not_the_full_disk_after_it(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_site.engine.script = [failing(RuntimeError("broken at /srv/models/net.pt"))] * 3
    worker = ready_site.worker()
    for _ in range(3):
        worker.run_once()
        ready_site.clock.pass_s(400)
    with monkeypatch.context() as patched:
        patched.setattr(FileStore, "write", full_disk)
        worker.run_once()
    ready_site.clock.pass_s(400)

    worker.run_once()

    assert ready_site.findings()["detail"] == "3 attempts failed; the last: RuntimeError: broken at [path]"


def test_a_broken_gpu_context_ends_the_process_after_the_case_is_given_back(ready_site: Site) -> None:
    ready_site.engine.script = [failing(RuntimeError("CUDA error: device-side assert triggered"))]

    with pytest.raises(FreshProcessNeeded):
        ready_site.worker().run_once()

    assert ready_site.case().state == CaseState.READY


def test_an_abandoned_case_is_ready_for_the_next_worker_at_once(ready_site: Site) -> None:
    worker = ready_site.worker()

    def stopped_meanwhile(_case: Case) -> Findings:
        worker.abandon()
        return NO_LESION

    ready_site.engine.script = [stopped_meanwhile]
    worker.run_once()

    assert ready_site.case().state == CaseState.READY
    assert ready_site.worker("worker-2").run_once() is True
    assert ready_site.case().state == CaseState.REPORTED


def test_a_late_image_gives_a_second_report_that_names_the_first(ready_site: Site) -> None:
    worker = ready_site.worker()
    worker.run_once()
    first = ready_site.objects()[0]
    ready_site.receive(mr_image(4))
    ready_site.make_ready()

    worker.run_once()

    reports = [one for one in ready_site.objects() if one.Modality == "SR"]
    assert ready_site.case().revision == 2
    assert len(reports) == 2
    assert first.SOPInstanceUID in str(reports[1].PredecessorDocumentsSequence)


def test_a_lesion_keeps_its_tracking_identity_in_the_report_that_a_late_image_brings(ready_site: Site) -> None:
    first, shifted = _findings_on("2.25.10002"), _findings_on("2.25.10002")
    moved = replace(shifted.lesions[0], box=Box(x0=2.6, y0=2.2, x1=8.4, y1=8), verdict=Verdict.BENIGN)
    new = replace(shifted.lesions[0], box=Box(x0=10, y0=10, x1=15, y1=15))
    ready_site.engine.script = [lambda _case: first, lambda _case: replace(shifted, lesions=(new, moved))]
    worker = ready_site.worker()
    worker.run_once()
    ready_site.receive(mr_image(4))
    ready_site.make_ready()

    worker.run_once()

    identities = [_tracked(one) for one in ready_site.objects() if one.Modality == "SR"]
    assert [[identifier for _, identifier in report] for report in identities] == [
        ["SpineNode lesion 1"],
        ["SpineNode lesion 2", "SpineNode lesion 1"],
    ]
    assert identities[1][1] == identities[0][0]
    assert identities[1][0][0] != identities[0][0][0]


def test_a_case_whose_route_was_renamed_goes_the_way_of_its_sender_now(ready_site: Site) -> None:
    renamed = RouteSettings(name="spine-2", callers=("SCANNER",), results_to=("archive",))
    ready_site.settings = ready_site.settings.model_copy(update={"routes": (renamed,)})

    ready_site.worker().run_once()

    assert ready_site.case().state == CaseState.REPORTED
    assert {one.destination for one in ready_site.deliveries()} == {"archive"}


@pytest.mark.parametrize(
    "routes",
    [(), (RouteSettings(name="relay", callers=("SCANNER",), pipeline="none", forward_originals_to=("archive",)),)],
    ids=["none", "one that only forwards"],
)
def test_a_case_that_no_route_takes_waits_with_the_reason_and_is_told_once(
    ready_site: Site, routes: tuple[RouteSettings, ...]
) -> None:
    before = ready_site.settings
    ready_site.settings = before.model_copy(update={"routes": routes})
    worker = ready_site.worker()

    with capture_logs() as logs:
        for _ in range(2 * before.worker.maximum_attempts):
            assert worker.run_once() is True
            ready_site.clock.pass_s(3600)

    case = ready_site.case()
    assert (case.state, case.attempts) == (CaseState.READY, 0)
    assert "route spine is gone" in case.reason
    assert [entry["event"] for entry in logs].count("route_gone") == 1
    assert ready_site.engine.cases == []
    ready_site.settings = before
    ready_site.worker().run_once()
    assert ready_site.case().state == CaseState.REPORTED


def sick_disk(*_arguments: object, **_named: object) -> pydicom.Dataset:
    raise OSError(errno.EIO, "Input/output error", "/srv/secret/data/instances/x.dcm")


def test_a_disk_that_cannot_be_read_for_a_while_does_not_cost_a_good_answer(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready_site.engine.script = [lambda _case: _findings_on("2.25.10001")] * 2
    with monkeypatch.context() as patched:
        patched.setattr("node.answer.dcmread", sick_disk)
        ready_site.worker().run_once()
    assert ready_site.case().state == CaseState.READY
    assert "/srv" not in ready_site.case().reason
    ready_site.clock.pass_s(400)

    ready_site.worker().run_once()

    assert ready_site.case().state == CaseState.REPORTED
    assert ready_site.findings()["status"] == "lesion_detected"


def test_a_case_that_is_given_up_ends_also_when_the_disk_cannot_be_read(
    ready_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.answer.dcmread", sick_disk)
    worker = ready_site.worker()
    for _ in range(4):
        worker.run_once()
        ready_site.clock.pass_s(400)

    with ready_site.database.reading() as session:
        kinds = list(session.scalars(select(ReportObjectRow.kind)))
    assert ready_site.case().state == CaseState.FAILED
    assert kinds == ["sr", "summary"]


def test_a_released_case_of_two_patient_ids_is_answered_and_says_so(site: Site) -> None:
    by_study = site.settings.grouping.model_copy(update={"group_by": "study"})
    site.settings = site.settings.model_copy(update={"grouping": by_study})
    site.receive(mr_image(1), mr_image(2, PatientID="PID-0815"), mr_image(3))
    site.make_ready()
    assert site.case().state == CaseState.HELD
    with site.database.transaction() as session:
        cases.release(session, session.get_one(CaseRow, site.case().id), "one person, two numbers", site.clock())
    site.make_ready()
    site.engine.script = [lambda _case: _findings_on("2.25.10002", used=("2.25.10001",))]

    site.worker().run_once()

    assert site.case().state == CaseState.REPORTED
    report = site.objects()[0]
    assert (report.PatientID, report.StudyInstanceUID) == (PATIENT_ID, "2.25.2000")
    assert "images under 2 patient identities" in report.to_json()


def test_no_log_line_of_a_case_identifies_the_patient(ready_site: Site) -> None:
    ready_site.engine.script = [failing(RuntimeError("broken"))]
    worker = ready_site.worker()

    with capture_logs() as logs:
        worker.run_once()
        ready_site.clock.pass_s(400)
        worker.run_once()

    text = repr([{key: value for key, value in entry.items() if key != "exc_info"} for entry in logs])
    assert "case_reported" in text
    for secret in (PATIENT_ID, *PATIENT_NAME.split("^"), "19700101"):
        assert secret not in text


def _tracked(report: pydicom.Dataset) -> list[tuple[str, str]]:
    """Tracking UID and identifier of each measurement group."""
    groups = [item for part in report.ContentSequence for item in part.get("ContentSequence", ())]
    found = []
    for group in groups:
        values = {item.ConceptNameCodeSequence[0].CodeValue: item for item in group.get("ContentSequence", ())}
        if "112040" in values:
            found.append((str(values["112040"].UID), str(values["112039"].TextValue)))
    return found


def _findings_on(sop_instance_uid: str, *, used: tuple[str, ...] = (), box: Box = BOX) -> Findings:
    """One lesion on this image; `used` are images that were analysed as well."""
    *others, image = (
        ImageReference(sop_class_uid="1.2.840.10008.5.1.4.1.1.4", sop_instance_uid=uid)
        for uid in (*used, sop_instance_uid)
    )
    lesion = Lesion(
        image=image,
        series_instance_uid="2.25.3000",
        box=box,
        verdict=Verdict.MALIGNANT,
        score=0.9,
        probability_malignant=0.9,
    )
    vote = SequenceVote(
        series_instance_uid="2.25.3000",
        kind=SequenceKind.T1,
        image_count=1,
        votes=(),
        classifier_probability=0.9,
        crop=box,
        mean_probability=0.9,
        verdict=Verdict.MALIGNANT,
        tie=False,
    )
    decision = Decision(verdict=Verdict.MALIGNANT, probability_malignant=0.9, vote_fraction_malignant=1.0, tie=False)
    used = SeriesUsed(
        series_instance_uid="2.25.3000",
        study_instance_uid="2.25.2000",
        kind=SequenceKind.T1,
        kind_evidence="TR 400 ms",
        images=(*others, image),
    )
    return replace(
        NO_LESION,
        status=Status.LESION_DETECTED,
        lesions=(lesion,),
        sequences=(vote,),
        decision=decision,
        series_used=(used,),
    )
