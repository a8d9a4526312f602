"""Structured reports: header and outline of a document of TID 1500 (PS3.16)."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.boxes import MEASUREMENT_GROUP
from node.report.check.content import content_faults, key
from node.report.check.equipment import observer_faults
from node.report.check.evidence import completeness_faults, evidence_faults
from node.report.check.groups import group_faults
from node.report.check.reading import ReadDataset, first, items, name, named, nested, text
from node.report.check.received import ReceivedReport
from node.report.check.sites import site_faults
from node.report.check.verdict import verdict_faults

_TEMPLATES: Final = frozenset({"1410", "1500"})
_AT_THE_ROOT: Final = {
    ("121049", "DCM"): "language",
    key(codes.PROCEDURE_REPORTED): "procedure reported",
    key(codes.QUALITATIVE_EVALUATIONS): "qualitative evaluations",
}
_IN_THE_EVALUATIONS: Final = {
    key(codes.RUN_SUMMARY): "run summary",
    key(codes.IMPRESSION): "impression",
    key(codes.OVERALL_ASSESSMENT): "overall assessment",
    key(codes.INTENDED_USE): "intended use",
    key(codes.TRAINING_DATA): "training data",
    key(codes.VALIDATION_DATA): "validation data",
    ("111001", "DCM"): "algorithm name",
    ("111003", "DCM"): "algorithm version",
}
_RULES: Final = (
    observer_faults,
    evidence_faults,
    completeness_faults,
    content_faults,
    group_faults,
    site_faults,
    verdict_faults,
)


def document_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    yield from _header(dataset)
    yield from _outline(dataset)
    for rule in _RULES:
        yield from rule(dataset, report)


def _header(dataset: ReadDataset) -> Iterable[str]:
    template = first(dataset, "ContentTemplateSequence")
    if (text(template, "TemplateIdentifier"), text(template, "MappingResource")) != ("1500", "DCMR"):
        yield "TemplateIdentifier is not 1500 of DCMR"
    for _, item in nested(dataset):
        claimed = text(item, "TemplateIdentifier")
        if claimed and claimed not in _TEMPLATES:
            yield f"claims template {claimed}, which the node does not write"
    if (text(dataset, "VerificationFlag"), text(dataset, "PreliminaryFlag")) != ("UNVERIFIED", "PRELIMINARY"):
        yield "claims to be verified or final"


def _outline(dataset: ReadDataset) -> Iterable[str]:
    groups = len(named(dataset, MEASUREMENT_GROUP))
    title = codes.IMAGING_MEASUREMENT_REPORT if groups else codes.ONCOLOGY_MEASUREMENT_REPORT
    if name(dataset) != key(title):
        yield f"has {groups} boxes, but the title {name(dataset)[0]}"
    yield from _missing(dataset, _AT_THE_ROOT)
    for container in named(dataset, key(codes.QUALITATIVE_EVALUATIONS)):
        yield from _missing(container, _IN_THE_EVALUATIONS)
    measurements = named(dataset, key(codes.IMAGING_MEASUREMENTS))
    if len(measurements) != (1 if groups else 0):
        yield f"has {groups} boxes in {len(measurements)} containers of measurements"


def _missing(parent: ReadDataset, wanted: dict[tuple[str, str], str]) -> Iterable[str]:
    counts = Counter(name(item) for item in items(parent, "ContentSequence"))
    for concept, words in wanted.items():
        if counts[concept] != 1:
            yield f"has {counts[concept]} of: {words}"
