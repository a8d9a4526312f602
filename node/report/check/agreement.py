"""The structured report against the findings it was made from: nothing lost, nothing added, nothing changed."""

from collections.abc import Iterable
from typing import Final

from config import codes
from inference.findings import Findings, Lesion, Status, Verdict
from node.report.check.boxes import MEASUREMENT_GROUP, SaidBox, said_boxes, same_corners
from node.report.check.content import as_number, key
from node.report.check.reading import NOTHING, ReadDataset, code, items, name, named, text
from node.report.check.received import ReceivedReport

_VERDICT: Final = {Verdict.BENIGN: key(codes.BENIGN), Verdict.MALIGNANT: key(codes.MALIGNANT)}
_ROUNDING: Final = 0.006  # percentages have two decimals


def agreement_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    findings = report.findings
    if findings is None:
        return
    groups = named(dataset, MEASUREMENT_GROUP)
    if len(groups) != len(findings.lesions):
        yield f"has {len(groups)} boxes for {len(findings.lesions)} lesions"
    boxes = list(said_boxes(report))
    for number, lesion in enumerate(findings.lesions, start=1):
        yield from (f"lesion {number} of the findings {fault}" for fault in _lesion(lesion, boxes))
    yield from _patient(dataset, findings)
    yield from _sequences(dataset, findings)


def _lesion(lesion: Lesion, boxes: list[SaidBox]) -> Iterable[str]:
    box = lesion.box
    corners = (box.x0, box.y0, box.x1, box.y1)
    place = (lesion.image.sop_instance_uid, lesion.image.frame_number or 1)
    alike = [one for one in boxes if (one.sop_instance_uid, one.frame) == place and same_corners(one.corners, corners)]
    if lesion.tracking_uid and len(alike) > 1:
        alike = [one for one in alike if one.tracking_uid == lesion.tracking_uid]
    if len(alike) != 1:
        yield "has no box of its own where it was found"
        return
    (said,) = alike
    if lesion.tracking_uid and said.tracking_uid != lesion.tracking_uid:
        yield "is tracked under another UID"
    if _assessed(said.group, codes.ASSESSMENT_CATEGORY) != _VERDICT[lesion.verdict]:
        yield "is called by another class"
    for concept, fraction in (
        (codes.PROBABILITY_OF_CANCER, lesion.probability_malignant),
        (codes.CERTAINTY_OF_FINDING, lesion.score),
    ):
        if not _is_percentage(said.group, concept, fraction):
            yield f"has another value of: {concept.meaning}"


def _patient(dataset: ReadDataset, findings: Findings) -> Iterable[str]:
    container = next(iter(named(dataset, key(codes.QUALITATIVE_EVALUATIONS))), NOTHING)
    decision = findings.decision
    if findings.status is Status.NOT_ANALYSED:
        expected = key(codes.NOT_ANALYSED)
    else:
        expected = _VERDICT[decision.verdict] if decision else key(codes.NO_LESION_DETECTED)
    if _assessed(container, codes.OVERALL_ASSESSMENT) != expected:
        yield "states another verdict than the findings"
    if decision and not _is_percentage(container, codes.PROBABILITY_OF_CANCER, decision.probability_malignant):
        yield "states another probability than the findings"


def _sequences(dataset: ReadDataset, findings: Findings) -> Iterable[str]:
    results = named(dataset, key(codes.SEQUENCE_RESULT))
    series = [text(item, "UID") for one in results for item in named(one, key(codes.SERIES_INSTANCE_UID))]
    if series != [vote.series_instance_uid for vote in findings.sequences]:
        yield "states the results of other sequences than the findings"
        return
    for vote, result in zip(findings.sequences, results, strict=True):
        expected = _VERDICT[vote.verdict] if vote.verdict else key(codes.INDETERMINATE)
        if _assessed(result, codes.ASSESSMENT_CATEGORY) != expected:
            yield f"states another result of series {vote.series_instance_uid} than the findings"


def _child(parent: ReadDataset, concept: codes.Code) -> ReadDataset:
    return next((item for item in items(parent, "ContentSequence") if name(item) == key(concept)), NOTHING)


def _assessed(parent: ReadDataset, concept: codes.Code) -> tuple[str, str]:
    return code(_child(parent, concept), "ConceptCodeSequence")[:2]


def _is_percentage(parent: ReadDataset, concept: codes.Code, fraction: float) -> bool:
    said = as_number(_child(parent, concept))
    return said is not None and abs(said - 100 * fraction) <= _ROUNDING
