"""Key Object Selection (PS3.3 A.35.4, TID 2010): what it selects exists and is among its evidence."""

from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.content import content_faults, key
from node.report.check.equipment import observer_faults
from node.report.check.evidence import evidence_faults
from node.report.check.reading import ReadDataset, first, items, name, named, text
from node.report.check.received import ReceivedReport

_REFERENCES: Final = frozenset({"COMPOSITE", "IMAGE", "WAVEFORM"})


def key_object_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    template = first(dataset, "ContentTemplateSequence")
    if (text(template, "TemplateIdentifier"), text(template, "MappingResource")) != ("2010", "DCMR"):
        yield "TemplateIdentifier is not 2010 of DCMR"
    if name(dataset) != key(codes.OF_INTEREST) or text(dataset, "ValueType") != "CONTAINER":
        yield f"has another title than {codes.OF_INTEREST.meaning}"
    if len(named(dataset, key(codes.KEY_OBJECT_DESCRIPTION))) != 1:
        yield "has no description, or several"
    selected = [item for item in items(dataset, "ContentSequence") if text(item, "ValueType") in _REFERENCES]
    if not selected:
        yield "selects nothing"
    for item in selected:
        if len(items(item, "ReferencedSOPSequence")) != 1:
            yield "selects an object without referring to it"
        if items(item, "ConceptNameCodeSequence"):
            yield "gives a selected object a name, which TID 2010 forbids"
    for rule in (observer_faults, content_faults, evidence_faults):
        yield from rule(dataset, report)
