"""What is to be explained: a case that the node answered, or files of a folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

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
from storage import cases
from storage.files import FileStore
from storage.schema import CaseRow

if TYPE_CHECKING:
    from inference.wff.explanation.case import ExplainedCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    subject: str  # without patient data
    case: Case
    bundle: Path | None  # None: the demo bundle
    runtime: Runtime
    answered: Findings | None = None  # what the node sent, where it did


def of_files(folder: Path, bundle: Path | None, runtime: Runtime) -> Question:
    """All files below a folder. Raises NodeError where there is none, or where they are of several patients."""
    files = tuple(sorted(file for file in folder.rglob("*") if file.is_file()))
    if not files:
        raise NodeError(f"{folder} holds no files: name a folder with the DICOM files of one patient")
    patients = len({patient for file in files if (patient := _patient_of(file)) is not None})
    if patients > 1:
        raise NodeError(f"{folder} holds images of {patients} patients: name a folder with the files of one")
    case = Case(case_id="files", files=files)
    return Question(subject=f"{len(files)} files", case=case, bundle=bundle, runtime=runtime)


def _patient_of(file: Path) -> tuple[str, str] | None:
    """PatientID and its issuer, which part patients everywhere in the node; None: not a DICOM file that can be read."""
    try:
        head = dcmread(file, stop_before_pixels=True, specific_tags=["PatientID", "IssuerOfPatientID"])
        return str(head.get("PatientID", "")).strip(), str(head.get("IssuerOfPatientID", "")).strip()
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
