"""Every coded concept of an object: value, scheme and meaning as the vocabulary has them."""

from collections.abc import Iterable, Iterator
from typing import Final

from config import codes
from node.report.check.reading import ReadDataset, items, nested, text
from node.report.check.received import ReceivedReport

# What templates and highdicom's classes name by themselves (PS3.16 Annex D, TID 300, 1001, 1004, 1410, 2010, 4019)
_STRUCTURE: Final[dict[tuple[str, str], str]] = {
    ("111000", "DCM"): "Algorithm Family",
    ("111001", "DCM"): "Algorithm Name",
    ("111002", "DCM"): "Algorithm Parameters",
    ("111003", "DCM"): "Algorithm Version",
    ("111030", "DCM"): "Image Region",
    ("112039", "DCM"): "Tracking Identifier",
    ("112040", "DCM"): "Tracking Unique Identifier",
    ("121005", "DCM"): "Observer Type",
    ("121007", "DCM"): "Device",
    ("121012", "DCM"): "Device Observer UID",
    ("121013", "DCM"): "Device Observer Name",
    ("121014", "DCM"): "Device Observer Manufacturer",
    ("121015", "DCM"): "Device Observer Model Name",
    ("121049", "DCM"): "Language of Content Item and Descendants",
    ("121071", "DCM"): "Finding",
    ("122405", "DCM"): "Algorithm Manufacturer",
    ("125007", "DCM"): "Measurement Group",
    ("130400", "DCM"): "Geometric purpose of region",
    ("260753009", "SCT"): "Source",
    ("276214006", "SCT"): "Finding category",
    ("363698007", "SCT"): "Finding Site",
}
_OURS: Final = {
    (code.value, code.scheme): code.meaning for code in vars(codes).values() if isinstance(code, codes.Code)
}
VOCABULARY: Final = _STRUCTURE | _OURS
_OF_A_CODE: Final = ("CodeValue", "CodeMeaning")
# Copied from the source images word for word: its codes are not ours to judge
_OF_THE_SOURCE: Final = frozenset(
    {
        "AdmittingDiagnosesCodeSequence",
        "DeidentificationMethodCodeSequence",
        "IssuerOfAccessionNumberSequence",
        "IssuerOfAdmissionIDSequence",
        "IssuerOfPatientIDQualifiersSequence",
        "OtherPatientIDsSequence",
        "ProcedureCodeSequence",
        "ReferencedRequestSequence",
        "ReferencedStudySequence",
        "ReferringPhysicianIdentificationSequence",
        "RequestingServiceCodeSequence",
    }
)


def vocabulary_faults(dataset: ReadDataset, _report: ReceivedReport) -> Iterable[str]:
    told = set()
    private = False
    for fault_of in _codes(dataset):
        value, scheme, meaning = fault_of
        private |= scheme == codes.PRIVATE_SCHEME
        fault = _fault(value, scheme, meaning)
        if fault and fault not in told:
            told.add(fault)
            yield fault
    identified = {text(one, "CodingSchemeDesignator") for one in items(dataset, "CodingSchemeIdentificationSequence")}
    if private and codes.PRIVATE_SCHEME not in identified:
        yield f"Coding Scheme Identification does not name {codes.PRIVATE_SCHEME}"


def _codes(dataset: ReadDataset) -> Iterator[tuple[str, str, str]]:
    for keyword, item in nested(dataset, _OF_THE_SOURCE):
        if keyword.endswith("CodeSequence") or any(attribute in item for attribute in _OF_A_CODE):
            yield text(item, "CodeValue"), text(item, "CodingSchemeDesignator"), text(item, "CodeMeaning")


def _fault(value: str, scheme: str, meaning: str) -> str:
    expected = VOCABULARY.get((value, scheme))
    if expected is None:
        return f"code ({value}, {scheme}) is not in the vocabulary"
    return "" if meaning == expected else f"code ({value}, {scheme}) does not mean what the vocabulary says"
