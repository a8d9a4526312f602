"""Who made the object: one contributing equipment per component, and the same names wherever they stand.

Source: IHE AIR, Section 6.5.3.1 and Table 6.5.3.1-1.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from config import codes
from node.report.check.content import key
from node.report.check.reading import ReadDataset, code, first, items, name, named, text, texts
from node.report.check.received import ReceivedReport

_COMPLETE: Final = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID")
# Concept name in the content tree, attribute of its value, attribute of the equipment that it equals
_OF_THE_WHOLE: Final = (
    (("121014", "DCM"), "TextValue", "Manufacturer"),
    (("121015", "DCM"), "TextValue", "ManufacturerModelName"),
    (("121012", "DCM"), "UID", "DeviceUID"),
    (("122405", "DCM"), "TextValue", "Manufacturer"),
    (("111001", "DCM"), "TextValue", "ManufacturerModelName"),
    (("111003", "DCM"), "TextValue", "SoftwareVersions"),
)
_OF_A_SEGMENT: Final = (
    ("AlgorithmName", "ManufacturerModelName"),
    ("AlgorithmVersion", "SoftwareVersions"),
    ("AlgorithmSource", "Manufacturer"),
)
_OBSERVER: Final = {
    ("121005", "DCM"): "observer type",
    ("121012", "DCM"): "device observer UID",
    ("121013", "DCM"): "device observer name",
    ("121014", "DCM"): "device observer manufacturer",
    ("121015", "DCM"): "device observer model name",
}
_PARAMETERS: Final = ("111002", "DCM")
_LONGEST_NAME: Final = 64  # VR LO: longer names and versions are cut


def equipment_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    equipment = items(dataset, "ContributingEquipmentSequence")
    for item in equipment:
        if missing := [keyword for keyword in _COMPLETE if not text(item, keyword)]:
            yield f"a contributing equipment lacks {', '.join(missing)}"
        if code(item, "PurposeOfReferenceCodeSequence")[:2] != key(codes.PROCESSING_EQUIPMENT):
            yield "a contributing equipment has another purpose than processing"
    for keyword in ("ManufacturerModelName", "DeviceUID"):
        if len({text(item, keyword) for item in equipment}) < len(equipment):
            yield f"two contributing equipments have the same {keyword}"
    whole = [item for item in equipment if text(item, "DeviceUID") == text(dataset, "DeviceUID")]
    if len(whole) != 1:
        yield "the equipment of the series is not among the contributing equipment"
        return
    for fault_of in (_of_the_series, _of_the_content):
        yield from fault_of(dataset, whole[0])
    yield from _components(dataset, equipment, report)


def observer_faults(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    """Of a document: it names the device that made it (TID 1004)."""
    counts = Counter(name(item) for item in items(dataset, "ContentSequence"))
    for concept, words in _OBSERVER.items():
        if counts[concept] != 1:
            yield f"has {counts[concept]} of: {words}"


def _of_the_series(dataset: ReadDataset, whole: ReadDataset) -> Iterable[str]:
    for keyword in ("Manufacturer", "ManufacturerModelName"):
        if text(dataset, keyword) != text(whole, keyword):
            yield f"{keyword} of the series and of the contributing equipment differ"
    if text(whole, "SoftwareVersions") not in texts(dataset, "SoftwareVersions"):
        yield "SoftwareVersions of the series and of the contributing equipment differ"


def _of_the_content(dataset: ReadDataset, whole: ReadDataset) -> Iterable[str]:
    """Content items, and the segments of a segmentation."""
    for segment in items(dataset, "SegmentSequence"):
        algorithm = first(segment, "SegmentationAlgorithmIdentificationSequence")
        for attribute, keyword in _OF_A_SEGMENT:
            if text(algorithm, attribute) != text(whole, keyword):
                yield f"{attribute} of a segment and {keyword} differ"
    said = dataset.by_name
    for concept, attribute, keyword in _OF_THE_WHOLE:
        for item in said.get(concept, []):
            if text(item, attribute) != text(whole, keyword):
                yield f"content item ({', '.join(concept)}) and {keyword} differ"


def _components(dataset: ReadDataset, equipment: list[ReadDataset], report: ReceivedReport) -> Iterable[str]:
    if report.findings is None:
        return
    bundle = report.findings.bundle
    if len(equipment) != 1 + len(bundle.components):
        yield f"names {len(equipment)} contributing equipments for {len(bundle.components)} components and their whole"
    models = [text(item, "ManufacturerModelName") for item in equipment]
    for component in bundle.components:
        if not any(model.endswith(component) or len(model) >= _LONGEST_NAME for model in models):
            yield f"component {component} is not among the contributing equipment"
    parameters = [text(item, "TextValue") for item in named(dataset, _PARAMETERS)]
    if parameters and not any(bundle.sha256 in one for one in parameters):
        yield "its algorithm parameters do not name the weights"
