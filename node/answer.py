"""From findings to report objects on disk: headers read, report built and checked, files written durably."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import structlog
from pydicom import Dataset, dcmread

from config.settings import ReportSettings
from inference.findings import BundleIdentity, Findings, Lesion, Reason, Status
from inference.findings_json import from_json
from inference.heads import DAMAGED, is_disk_error
from node.report import CheckedObject, ReportContext, build_report
from storage.case_claims import AnswerRefused
from storage.cases import Claim, NewReportObject
from storage.errors import LeaseLost, StorageError, StorageFull
from storage.files import FileStore, name_for
from storage.schema import CaseResultRow, InstanceRow, ReportObjectRow

log = structlog.get_logger(__name__)

AREA: Final = "reports"


class NotStored(Exception):
    """Disk or database did not take the answer: no word about the case or the model. The message names no path."""


@contextmanager
def storing(what: str) -> Iterator[None]:
    """Raises NotStored for a fault of storage inside the block that may pass; lost leases and refusals go through."""
    try:
        yield
    except (LeaseLost, AnswerRefused):
        raise
    except StorageFull as error:
        raise NotStored(f"no room left for {what} ({type(error).__name__})") from error
    except (StorageError, OSError) as error:
        raise NotStored(f"{what} cannot be used at present ({type(error).__name__})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One claimed case with its images, as they were when it was claimed."""

    claim: Claim
    instances: tuple[InstanceRow, ...]
    predecessor: ReportObjectRow | None  # the SR of the revision before, which this one's SR replaces
    released: bool = False  # a person decided that the case is one patient
    known_lesions: tuple[Lesion, ...] = ()  # of the revisions before, as each was seen last


@dataclass(slots=True)
class Stopwatch:
    """Seconds of each stage, in the order the stages began."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def known_lesions(results: Iterable[CaseResultRow]) -> tuple[Lesion, ...]:
    """Every tracked lesion of these results, the newest of which comes first, as it was seen last.

    Findings of another release that cannot be read are passed over.
    """
    known: dict[str, Lesion] = {}
    for result in results:
        try:
            findings = from_json(result.findings)
        except (ValueError, TypeError) as error:
            log.warning("earlier_findings_unreadable", revision=result.revision, error=type(error).__name__)
            continue
        for lesion in findings.lesions:
            known.setdefault(lesion.tracking_uid, lesion)
    return tuple(known.values())


def not_analysed(bundle: BundleIdentity, reason: Reason, detail: str) -> Findings:
    return Findings(status=Status.NOT_ANALYSED, bundle=bundle, reason=reason, detail=detail)


def make_report(
    findings: Findings, work: Work, files: FileStore, settings: ReportSettings, watch: Stopwatch
) -> list[NewReportObject]:
    """Build the report objects of a case and write their files.

    The same work gives the same objects: every time and UID in them comes from stored data. Raises ReportCheckError
    when an object contradicts its source, NotStored when a file cannot be written, OSError when one cannot be read:
    a retry may help. A case that is given up is answered from what can be read.
    """
    with watch.stage("read headers"):
        headers = _read_headers(work, files)
    return _make(findings, work, headers, files, settings, watch)


def make_bare_report(findings: Findings, work: Work, files: FileStore, watch: Stopwatch) -> list[NewReportObject]:
    """The structured report alone, from what was stored on receipt: neither a file nor a setting can spoil it.

    Raises NotStored when its file cannot be written.
    """
    return _make(findings, work, {}, files, ReportSettings(objects=()), watch)


def report_not_analysed(
    findings: Findings, work: Work, files: FileStore, settings: ReportSettings, watch: Stopwatch
) -> list[NewReportObject]:
    """The report without a result, whatever is wrong with the images or the settings.

    Where one of its companions does not pass, the structured report goes alone; where that does not either, or cannot
    be made, a bare one. Raises NotStored; OSError when files cannot be read for now and the case may be tried again.
    """
    alone = settings.model_copy(update={"objects": ()})
    for tried, effect in ((settings, "the structured report goes alone"), (alone, "a bare report goes")):
        try:
            return make_report(findings, work, files, tried, watch)
        except NotStored:
            raise
        except Exception as error:  # an answer is owed
            if is_disk_error(error) and work.claim.give_up_reason is None:
                raise
            log.exception("report_refused", effect=effect)
    return make_bare_report(findings, work, files, watch)


def _make(
    findings: Findings,
    work: Work,
    headers: Mapping[str, Dataset],
    files: FileStore,
    settings: ReportSettings,
    watch: Stopwatch,
) -> list[NewReportObject]:
    with watch.stage("build report"):
        objects = build_report(findings, headers, _context(work, headers, files, settings))
    with watch.stage("write report"):
        return [_write(one, files) for one in objects]


def _context(work: Work, headers: Mapping[str, Dataset], files: FileStore, settings: ReportSettings) -> ReportContext:
    return ReportContext(
        group_key=work.claim.group_key,
        revision=work.claim.revision,
        created_at=work.claim.state_since,
        settings=settings,
        files={row.sop_instance_uid: files.path(row.file) for row in work.instances},
        predecessor=work.predecessor,
        released=work.released,
        identity=_identity(work.instances[0]),  # the last resort when no header can be used
        waited_s=(work.claim.claimed_at - work.claim.last_instance_at).total_seconds(),
    )


def _read_headers(work: Work, files: FileStore) -> dict[str, Dataset]:
    """The readable headers by SOP Instance UID; a damaged file is left out and logged."""
    headers: dict[str, Dataset] = {}
    for row in work.instances:
        try:
            header = dcmread(files.path(row.file), stop_before_pixels=True)
            if "StudyInstanceUID" not in header:  # a file cut inside a sequence is read as an empty data set
                raise ValueError("the data set is empty or cut short")
            headers[row.sop_instance_uid] = header
        except DAMAGED as error:
            if is_disk_error(error) and work.claim.give_up_reason is None:
                raise
            log.warning("instance_unreadable", sop_instance_uid=row.sop_instance_uid, error=type(error).__name__)
    return headers


def _identity(instance: InstanceRow) -> Dataset:
    """Patient and study as they were received, for a case of which no file can be read any more."""
    dataset = Dataset()
    dataset.PatientID = instance.patient_id
    dataset.IssuerOfPatientID = instance.issuer_of_patient_id
    dataset.PatientName = instance.patient_name
    dataset.PatientBirthDate = instance.patient_birth_date
    dataset.PatientSex = instance.patient_sex
    dataset.StudyInstanceUID = instance.study_instance_uid
    dataset.StudyDate = instance.study_date
    return dataset


def _write(one: CheckedObject, files: FileStore) -> NewReportObject:
    content_sha256 = sha256(one.content).hexdigest()
    uid = str(one.dataset.SOPInstanceUID)
    with storing("the files of the report"):
        file = files.write(AREA, name_for(uid, content_sha256), [one.content])
    return NewReportObject(
        kind=one.kind,
        sop_class_uid=str(one.dataset.SOPClassUID),
        sop_instance_uid=uid,
        series_instance_uid=str(one.dataset.SeriesInstanceUID),
        study_instance_uid=str(one.dataset.StudyInstanceUID),
        file=file,
        content_sha256=content_sha256,
    )
