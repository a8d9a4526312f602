"""Key Object Selection (PS3.3 A.35.4, TID 2010): the images of its study with a box, with the verdict of the report."""

from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.boxes import said_boxes
from node.report.check.content import content_faults, key
from node.report.check.equipment import observer_faults
from node.report.check.evidence import evidence_faults
from node.report.check.reading import NOTHING, ReadDataset, first, items, name, named, text
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers
from node.report.check.verdict import summary_faults

_REFERENCES: Final = frozenset({"COMPOSITE", "IMAGE", "WAVEFORM"})


def key_object_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    template = first(dataset, "ContentTemplateSequence")
    if (text(template, "TemplateIdentifier"), text(template, "MappingResource")) != ("2010", "DCMR"):
        yield "TemplateIdentifier is not 2010 of DCMR"
    if name(dataset) != key(codes.OF_INTEREST) or text(dataset, "ValueType") != "CONTAINER":
        yield f"has another title than {codes.OF_INTEREST.meaning}"
    descriptions = named(dataset, key(codes.KEY_OBJECT_DESCRIPTION))
    if len(descriptions) != 1:
        yield "has no description, or several"
    for description in descriptions:
        yield from summary_faults(text(description, "TextValue"), report)
    selected = [item for item in items(dataset, "ContentSequence") if text(item, "ValueType") in _REFERENCES]
    if not selected:
        yield "selects nothing"
    for item in selected:
        if len(items(item, "ReferencedSOPSequence")) != 1:
            yield "selects an object without referring to it"
        if items(item, "ConceptNameCodeSequence"):
            yield "gives a selected object a name, which TID 2010 forbids"
    yield from _selection(dataset, selected, report)
    for rule in (observer_faults, content_faults, evidence_faults):
        yield from rule(dataset, report)


def _selection(dataset: ReadDataset, selected: Iterable[ReadDataset], report: ReceivedReport) -> Iterable[str]:
    """It selects every image of its own study with a box, and no other."""
    chosen = {
        (text(reference, "ReferencedSOPInstanceUID"), frame)
        for item in selected
        for reference in items(item, "ReferencedSOPSequence")
        for frame in frame_numbers(reference) or [1]
    }
    boxed = {(box.sop_instance_uid, box.frame) for box in said_boxes(report)}
    study = text(dataset, "StudyInstanceUID")
    for uid, _ in sorted(chosen - boxed):
        yield f"selects {uid}, on which there is no box"
    for uid, _ in sorted(boxed - chosen):
        if text(report.images.get(uid, NOTHING), "StudyInstanceUID") == study:
            yield f"leaves out {uid}, on which there is a box"
