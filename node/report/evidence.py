"""Which source images a report refers to, and whose patient and study attributes it carries.

highdicom wants complete and valid headers; hospital images are neither. What it is given here is rebuilt from the
four UIDs that a reference needs, so no fault of a source value can stop a report.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog
from pydicom.dataset import Dataset

from inference.findings import Findings, ImageReference, Status
from node.identity import significant
from node.report import wording
from node.report.context import ReportContext
from node.report.errors import ReportError
from node.report.identifiers import is_own_object
from node.report.patient_study import UNREADABLE

log = structlog.get_logger(__name__)

_REFERENCE = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
# Type 2 attributes that highdicom reads from the first evidence image without asking whether they are there
_READ_UNASKED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceImages:
    """The headers of a case as a report sees them.

    `source` is the header whose patient and study attributes the report carries. `evidence` are the headers of
    all instances that the report refers to: those of the report's study, and the used ones of other studies.
    """

    source: Dataset
    study_instance_uid: str
    evidence: tuple[Dataset, ...]
    headers: Mapping[str, Dataset]  # by SOP Instance UID

    @property
    def patient_count(self) -> int:
        """Under how many identities the images came."""
        return len({_patient(header) for header in self.headers.values()})

    def header(self, image: ImageReference) -> Dataset:
        try:
            return self.headers[image.sop_instance_uid]
        except KeyError:
            raise ReportError(
                f"findings name image {image.sop_instance_uid}, whose header was not given; pass all images of the case"
            ) from None


def source_images(findings: Findings, images: Mapping[str, Dataset], context: ReportContext) -> SourceImages:
    """Choose study, source and evidence.

    The study is the one with most eligible series; among equals the latest, then the greatest UID, so that a
    retry chooses the same.

    Raises
    ------
    ReportError
        neither an image nor `context.identity` says which study it is.
    """
    foreign = {uid: one for uid, one in images.items() if not is_own_object(_text(one, "Manufacturer"))}
    headers = {uid: header for uid, header in foreign.items() if referable(header)}
    if not headers:
        return _without_images(images, context)
    study = _study(findings, headers.values())
    source = _source(findings, headers, study)
    used = {image.sop_instance_uid for series in findings.series_used for image in series.images}
    used |= {lesion.image.sop_instance_uid for lesion in findings.lesions}
    # PS3.3 C.17.2.3: all instances of the requested procedure that the creator knows; of other studies, what was used
    members = [header for header in headers.values() if header.SOPInstanceUID in used or _in_study(header, study)]
    if findings.status is Status.NOT_ANALYSED:
        members = [header for header in members if _patient(header) == _patient(source)]
    return SourceImages(
        source=source, study_instance_uid=study, evidence=tuple(sorted(members, key=_order)), headers=headers
    )


def identity_note(findings: Findings, sources: SourceImages, context: ReportContext) -> str:
    """One sentence where a person released images of several patient identities as one; else empty."""
    several = context.released and sources.patient_count > 1 and findings.status is not Status.NOT_ANALYSED
    return wording.several_patients(sources.patient_count) if several else ""


def reference_only(header: Dataset, *, is_first: bool = True) -> Dataset:
    """What highdicom may see of an image: four UIDs, and of the first one empty patient and study attributes, which
    are filled in later."""
    reference = Dataset()
    for keyword in _REFERENCE:
        setattr(reference, keyword, str(header[keyword].value))
    for keyword in _READ_UNASKED if is_first else ():
        setattr(reference, keyword, "")
    return reference


def referable(header: Dataset) -> bool:
    """Whether a report can refer to the image: the four UIDs of a reference are there."""
    return all(header.get(keyword) for keyword in _REFERENCE)


def _without_images(images: Mapping[str, Dataset], context: ReportContext) -> SourceImages:
    candidates = [*images.values(), *([] if context.identity is None else [context.identity])]
    source = next((header for header in candidates if header.get("StudyInstanceUID")), None)
    if source is None:
        raise ReportError(
            "no header of the case has a Study Instance UID; "
            "give ReportContext.identity from what was stored on receipt"
        )
    log.warning("report_without_image_references")
    return SourceImages(source=source, study_instance_uid=str(source.StudyInstanceUID), evidence=(), headers={})


def _study(findings: Findings, headers: Iterable[Dataset]) -> str:
    latest: dict[str, tuple[str, str]] = {}
    for header in headers:
        uid = str(header.StudyInstanceUID)
        latest[uid] = max(latest.get(uid, ("", "")), (_text(header, "StudyDate"), _text(header, "StudyTime")))
    eligible = [series.study_instance_uid for series in findings.series_used]
    return max(latest, key=lambda uid: (eligible.count(uid), latest[uid], uid))


def _source(findings: Findings, headers: Mapping[str, Dataset], study: str) -> Dataset:
    for series in findings.series_used:
        for image in series.images:
            header = headers.get(image.sop_instance_uid)
            if header is not None and _in_study(header, study):
                return header
    return min((header for header in headers.values() if _in_study(header, study)), key=_order)


def _in_study(header: Dataset, study: str) -> bool:
    return str(header.StudyInstanceUID) == study


def _patient(header: Dataset) -> tuple[str, str]:
    return _text(header, "PatientID"), _text(header, "IssuerOfPatientID")


def _order(header: Dataset) -> tuple[str, str, int, str]:
    number = _text(header, "InstanceNumber")
    return (
        str(header.StudyInstanceUID),
        str(header.SeriesInstanceUID),
        int(number) if number.isdecimal() else 0,
        str(header.SOPInstanceUID),
    )


def _text(header: Dataset, keyword: str) -> str:
    """The value as text; empty when absent or when it cannot be converted at all (e.g. "***" as a number)."""
    try:
        value = header.get(keyword, "")
    except UNREADABLE:
        return ""
    return "" if value is None else significant(str(value))
