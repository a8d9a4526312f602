"""The last look at a report before it leaves: faults that no validator notices.

It writes each object, reads it back as its receiver would, and compares it with the source images, the findings and
the other objects. It shares no code with the builders, so that one mistake cannot hide in both.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Final, ParamSpec

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from config.reporting import RuleSettings
from inference.findings import Findings
from node.report.check.agreement import agreement_faults
from node.report.check.caveats import caveat_faults
from node.report.check.characters import character_faults
from node.report.check.document import document_faults
from node.report.check.equipment import equipment_faults
from node.report.check.identity import identity_faults
from node.report.check.key_objects import key_object_faults
from node.report.check.orders import predecessor_faults, request_faults
from node.report.check.overlays import overlay_faults
from node.report.check.pdf import pdf_faults
from node.report.check.picture import picture_faults, source_faults
from node.report.check.presentation_state import presentation_state_faults
from node.report.check.reading import UNREADABLE, ReadDataset, text
from node.report.check.received import UNWRITABLE, ReceivedReport, as_received
from node.report.check.references import reference_faults
from node.report.check.rules import rule_faults
from node.report.check.segmentation import segmentation_faults
from node.report.check.series import kind_faults, series_faults
from node.report.check.uids import uid_faults
from node.report.check.vocabulary import vocabulary_faults
from node.report.context import CheckedObject, PreviousReport, ReportKind, ReportObject
from node.report.errors import ReportCheckError

P = ParamSpec("P")
Rule = Callable[[ReadDataset, ReceivedReport], Iterable[str]]

_OF_EVERY_OBJECT: Final[tuple[Rule, ...]] = (
    kind_faults,
    series_faults,
    identity_faults,
    uid_faults,
    reference_faults,
    vocabulary_faults,
    equipment_faults,
    caveat_faults,
    request_faults,
    predecessor_faults,
    rule_faults,
)
_OF_SOP_CLASS: Final[Mapping[str, tuple[Rule, ...]]] = {
    Comprehensive3DSRStorage: (document_faults, agreement_faults),
    SecondaryCaptureImageStorage: (picture_faults,),
    MultiFrameTrueColorSecondaryCaptureImageStorage: (picture_faults,),
    GrayscaleSoftcopyPresentationStateStorage: (presentation_state_faults,),
    KeyObjectSelectionDocumentStorage: (key_object_faults,),
    SegmentationStorage: (segmentation_faults,),
    EncapsulatedPDFStorage: (pdf_faults,),
}
_OF_KIND: Final[Mapping[ReportKind, tuple[Rule, ...]]] = {
    "overlay": (source_faults, overlay_faults),
    "overlay_frames": (source_faults, overlay_faults),
}
_MOST_TOLD: Final = 20  # a message is kept with the case and read by people


def check_objects(
    objects: Sequence[ReportObject],
    images: Mapping[str, Dataset],
    source: Dataset,
    *,
    findings: Findings | None = None,
    one_patient: bool = True,
    predecessor: PreviousReport | None = None,
    rules: RuleSettings | None = None,
) -> list[CheckedObject]:
    """Check every object of one report, and all of them together; returns each with the file that was judged.

    `images` are the source headers by SOP Instance UID; `source` is the one whose patient and study the report took.
    `findings` are what the report was made from; without them only the form of the objects is judged.
    `one_patient`: no image of another patient may be referred to; False where a person released the case as one.
    `predecessor` is the structured report that this one replaces. `rules` say which attributes a verdict gives to
    every object; without them these are only compared with each other.

    Raises
    ------
    ReportCheckError
        names the object's kind and every fault, without patient data. Nothing else is raised, whatever the damage.
    """
    checked: list[CheckedObject] = []
    received: list[tuple[ReportKind, ReadDataset]] = []
    faults: list[str] = []
    for made in objects:
        meant = ReadDataset(made.dataset)
        try:
            content = _written(made.dataset)
            read = as_received(content)
        except UNWRITABLE as error:  # the message may quote a value
            faults.append(_named(made.kind, meant, f"cannot be written and read back: {type(error).__name__}"))
            continue
        checked.append(CheckedObject(kind=made.kind, dataset=made.dataset, content=content))
        received.append((made.kind, read))
        faults += (_named(made.kind, meant, fault) for fault in _guarded(character_faults, meant, read))
    headers = [ReadDataset(image) for image in images.values()]
    report = ReceivedReport(
        images={text(header, "SOPInstanceUID"): header for header in headers},
        source=ReadDataset(source),
        findings=findings,
        one_patient=one_patient,
        predecessor=predecessor,
        rules=rules,
        objects=received,
    )
    faults += _faults(report)
    if faults:
        raise ReportCheckError(_told(list(dict.fromkeys(faults))))
    return checked


def _written(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _faults(report: ReceivedReport) -> Iterator[str]:
    for kind, dataset in report.objects:
        for rule in _rules(kind, dataset):
            for fault in _guarded(rule, dataset, report):
                yield _named(kind, dataset, fault)


def _told(faults: Sequence[str]) -> str:
    more = [f"and {len(faults) - _MOST_TOLD} more"] if len(faults) > _MOST_TOLD else []
    return "; ".join([*faults[:_MOST_TOLD], *more])


def _rules(kind: ReportKind, dataset: ReadDataset) -> tuple[Rule, ...]:
    of_class = _OF_SOP_CLASS.get(text(dataset, "SOPClassUID"), (_unknown_class,))
    return (*_OF_EVERY_OBJECT, *of_class, *_OF_KIND.get(kind, ()))


def _unknown_class(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    yield f"SOP Class {text(dataset, 'SOPClassUID') or 'missing'} is none that the node makes"


def _guarded(rule: Callable[P, Iterable[str]], *given: P.args, **options: P.kwargs) -> Iterator[str]:
    """The faults that a rule finds; when a value is such that the rule cannot be applied, that is the fault."""
    try:
        yield from rule(*given, **options)
    except UNREADABLE as error:  # the message may quote a value
        yield f"cannot be judged: {type(error).__name__}"


def _named(kind: ReportKind, dataset: ReadDataset, fault: str) -> str:
    return f"{kind} {text(dataset, 'SOPInstanceUID') or 'without UID'}: {fault}"
