"""What is to be explained: a case that the node answered, or files of a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from sqlalchemy.orm import Session

from inference.case import Case
from inference.errors import ExplanationError
from inference.findings import Findings
from inference.findings_json import from_json
from inference.heads import DAMAGED, is_disk_error
from inference.pipeline import bundle_identity, load_pipeline
from inference.runtime import Runtime
from node.errors import NodeError
from node.identity import Identity, conflicts
from storage import cases
from storage.files import FileStore
from storage.schema import CaseRow

if TYPE_CHECKING:
    from inference.wff.explanation.case import ExplainedCase


_IDENTITY: Final = {
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer_of_patient_id",
    "PatientName": "patient_name",
    "PatientBirthDate": "patient_birth_date",
    "PatientSex": "patient_sex",
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    subject: str  # without patient data
    case: Case
    bundle: Path | None  # None: the demo bundle
    runtime: Runtime
    answered: Findings | None = None  # what the node sent, where it did


def of_files(folder: Path, bundle: Path | None, runtime: Runtime) -> Question:
    """All files below a folder. Raises NodeError where there is none, or where they cannot be of one patient."""
    files = tuple(sorted(file for file in folder.rglob("*") if file.is_file()))
    if not files:
        raise NodeError(f"{folder} holds no files: name a folder with the DICOM files of one patient")
    identities = {identity for file in files if (identity := _identity_of(file)) is not None}
    patients = len({identity.patient for identity in identities})
    if patients > 1:
        raise NodeError(f"{folder} holds images of {patients} patients: name a folder with the files of one")
    if doubts := sorted(conflicts(identities)):
        raise NodeError(f"{folder} holds images that cannot be of one person: {doubts[0]}; name a folder of one")
    case = Case(case_id="files", files=files)
    return Question(subject=f"{len(files)} files", case=case, bundle=bundle, runtime=runtime)


def _identity_of(file: Path) -> Identity | None:
    """What parts patients everywhere in the node; None: not a DICOM file that can be read."""
    try:
        head = dcmread(file, stop_before_pixels=True, specific_tags=list(_IDENTITY))
        return Identity(**{name: str(head.get(keyword, "")).strip() for keyword, name in _IDENTITY.items()})
    except DAMAGED as error:  # the pipeline tells of such files
        if is_disk_error(error):
            raise
        return None


def of_case(session: Session, case: CaseRow, files: FileStore, bundle: Path | None, runtime: Runtime) -> Question:
    """The newest revision, at the sizes that answered it, whatever `runtime` says of them.

    Raises NodeError where it is not answered, its images are gone, or the weights differ.
    """
    result = cases.result(session, case.id, case.revision)
    if result is None:
        raise NodeError(f"case {case.id} has no answer yet: it is {case.state}; `spinenode case show {case.id}`")
    findings = from_json(result.findings)
    if not findings.series_used:
        raise NodeError(f"case {case.id} was not analysed, so there is no decision to explain: {findings.detail}")
    identity = bundle_identity(bundle)
    if identity.sha256 != findings.bundle.sha256:
        raise NodeError(
            f"case {case.id} was answered by {findings.bundle.name} {findings.bundle.version} (sha256 "
            f"{findings.bundle.sha256[:12]}), and {identity.name} {identity.version} (sha256 {identity.sha256[:12]}) "
            "would explain it: name the weights that answered with --bundle"
        )
    paths = tuple(files.path(row.file) for row in cases.instances_of(session, case.id))
    if not all(path.exists() for path in paths) or not paths:
        raise NodeError(f"images of case {case.id} are gone: retention removed them; explain the files of the archive")
    return Question(
        subject=f"case {case.id}, revision {case.revision}",
        case=Case(case_id=str(case.id), files=paths),
        bundle=bundle,
        runtime=_as_answered(runtime, findings.parameters),
        answered=findings,
    )


def _as_answered(runtime: Runtime, parameters: Mapping[str, float]) -> Runtime:
    """An answer names a size where it is not the bundle's own."""
    image_size, proposals = (parameters.get(name) for name in ("image_size", "proposals"))
    return replace(
        runtime,
        image_size=None if image_size is None else int(image_size),
        proposals=None if proposals is None else int(proposals),
    )


def answer(question: Question, *, report: Callable[[str, int, int], None]) -> "ExplainedCase":
    """Run the networks again. Raises ExplanationError where the bundle is of another pipeline."""
    from inference.wff.explanation.case import explain_case
    from inference.wff.pipeline import WffPipeline

    pipeline = load_pipeline(question.bundle, runtime=question.runtime)
    if not isinstance(pipeline, WffPipeline):
        raise ExplanationError(f"{question.bundle} is for another pipeline than wff, which alone can be explained")
    return explain_case(pipeline, question.case, progress=report)
