"""What every object says about its model: for research use only, and that a phantom trained it, where one did."""

from collections.abc import Iterable, Iterator
from typing import Final

from node.report.check.reading import ReadDataset, items, nested, text
from node.report.check.received import ReceivedReport

RESEARCH_USE: Final = "research use"
NO_MEANING: Final = "no clinical meaning"  # of a model that was trained on a phantom
_FREE_TEXT: Final = (
    "ContentDescription",
    "DocumentTitle",
    "ImageComments",
    "SegmentDescription",
    "TextValue",
    "UnformattedTextValue",
)


def caveat_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    for item in items(dataset, "ContributingEquipmentSequence"):
        if RESEARCH_USE not in text(item, "ContributionDescription").lower():
            yield "a contributing equipment does not say that it is for research use"
    said = " ".join(_free_text(dataset)).lower()
    if RESEARCH_USE not in said:
        yield "does not say that it is for research use"
    if report.findings is not None and report.findings.bundle.phantom_trained and NO_MEANING not in said:
        yield "does not say that a phantom trained its model"


def _free_text(dataset: ReadDataset) -> Iterator[str]:
    for item in (dataset, *(item for _, item in nested(dataset))):
        yield from (text(item, keyword) for keyword in _FREE_TEXT)
