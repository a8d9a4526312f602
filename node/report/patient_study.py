"""Patient and study attributes of a report object: copied from the source image, word for word.

A report must fall into the same patient and study as its images, in every archive. So identifiers are never
"repaired": a sex "U", a date "1960" or an over-long ID is written as it came. Only optional (Type 3) attributes
whose value has no meaning, such as an age "64", are dropped.
"""

import re
import struct
from collections.abc import Iterable
from datetime import timedelta, timezone, tzinfo
from typing import Final

import structlog
from pydicom import config as pydicom_config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, STR_VR, PersonName

log = structlog.get_logger(__name__)

# PS3.3 C.7.1.1, C.7.2.1: Type 2, present in every object, empty when unknown
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
# PS3.3 C.7.1.1 Patient, C.7.2.1 General Study, C.7.2.2 Patient Study: Type 3, copied where the source has them
_TYPE_3 = (
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthTime",
    "OtherPatientIDs",
    "OtherPatientNames",
    "OtherPatientIDsSequence",
    "EthnicGroup",
    "PatientComments",
    "QualityControlSubject",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "StudyDescription",
    "ProcedureCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianIdentificationSequence",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingServiceCodeSequence",
    "ReferencedStudySequence",
    "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "Occupation",
    "AdditionalPatientHistory",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "TimezoneOffsetFromUTC",
)
_OFFSET: Final = "TimezoneOffsetFromUTC"
# Type 3 values that must look like this, else they are dropped
_PATTERNS = {
    "PatientAge": re.compile(r"\d{3}[DWMY]"),  # PS3.5 6.2, VR AS
    _OFFSET: re.compile(r"[+-](0\d|1[0-4])[0-5]\d"),
    "PatientIdentityRemoved": re.compile("YES|NO"),
    "QualityControlSubject": re.compile("YES|NO"),
    # empty in many files, and a Type 3 attribute with nothing in it says nothing
    "PatientBirthTime": re.compile(r"[\d.:]+"),
}
# Descriptions that no archive matches by: cut to what their VR holds (PS3.5 6.2), where the source wrote more
_CUT = {"DeidentificationMethod": 64, "AdmittingDiagnosesDescription": 64, "EthnicGroup": 16, "Occupation": 16}
# What pydicom raises on values that it cannot read at all. OSError and EOFError: of a sequence cut short in memory
UNREADABLE: Final = (
    ValueError,
    TypeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    OSError,
    EOFError,
    struct.error,
)
_DEEPEST: Final = 8  # the deepest of PS3.3 has 4; writing hundreds takes for ever
# ISO 2022 escape sequences; pydicom leaves those of GB2312 (ISO 2022 IR 58) in the decoded text
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\$[()*+]?|[()*+\-])[@-Z]")


def copy_patient_and_study(source: Dataset, target: Dataset) -> None:
    """Replace patient and study attributes of `target` by those of `source`, decoded, ready for any encoding."""
    for keyword in (*_TYPE_2, *_TYPE_3):
        if keyword in target:
            del target[keyword]
    for keyword in _TYPE_2:
        target[keyword] = _copied(source, keyword) or _element(keyword, dictionary_VR(keyword), "")
    for keyword in _TYPE_3:
        element = _copied(source, keyword)
        if element is not None and _worth_keeping(keyword, element):
            target[keyword] = _cut(keyword, element)


def copy_elements(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    """Copy further attributes the same way, where the source has them."""
    for keyword in keywords:
        element = _copied(source, keyword)
        if element is not None and not element.is_empty:
            target[keyword] = element


def decoded_text(source: Dataset, keyword: str) -> str:
    """The text of an attribute as it is written into report objects; empty when absent."""
    element = _copied(source, keyword)
    if element is None or element.is_empty:
        return ""
    value = element.value
    return "\\".join(str(part) for part in value) if isinstance(value, MultiValue | list) else str(value)


def timezone_of(source: Dataset) -> tzinfo | None:
    """In which the times of the source are written; None where it does not say so, or says what no zone is."""
    offset = decoded_text(source, _OFFSET)
    if not _PATTERNS[_OFFSET].fullmatch(offset):
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    return timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes))


def decoded_items(source: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence as they are written into report objects; empty when absent or unreadable."""
    element = _copied(source, keyword)
    return [] if element is None else list(element.value)


def _worth_keeping(keyword: str, element: DataElement) -> bool:
    if element.is_empty:
        return False
    pattern = _PATTERNS.get(keyword)
    if pattern is None or pattern.fullmatch(str(element.value)):
        return True
    log.debug("source_attribute_dropped", attribute=keyword)
    return False


def _cut(keyword: str, element: DataElement) -> DataElement:
    longest = _CUT.get(keyword)
    if longest is None:
        return element
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    return _element(keyword, element.VR, [str(value)[:longest] for value in values])


def _copied(source: Dataset, keyword: str) -> DataElement | None:
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in source:
        return None
    try:
        return _rebuilt(source[tag], dictionary_VR(tag))
    except UNREADABLE as error:  # e.g. "***" as a weight
        log.warning("source_attribute_unreadable", attribute=keyword, error=type(error).__name__)
        return None


def _rebuilt(element: DataElement, vr: str, depth: int = 0) -> DataElement:
    """A new element from decoded text, so that nothing of the source's own encoding is left in it.

    `depth`: how many sequences it lies in.
    """
    if depth > _DEEPEST:
        raise ValueError(f"sequences in more than {_DEEPEST} sequences: no attribute of a patient or study has them")
    if "SQ" in (element.VR, vr):
        if vr != element.VR:
            raise TypeError(f"{element.VR} where {vr} belongs")
        return DataElement(element.tag, "SQ", [_rebuilt_item(item, depth + 1) for item in element.value])
    if element.is_empty:
        return DataElement(element.tag, vr, "")
    value = element.value
    if vr not in STR_VR:
        return DataElement(element.tag, vr, value)
    texts = [_clean(part) for part in value] if isinstance(value, MultiValue | list) else _clean(value)
    if vr not in CUSTOMIZABLE_CHARSET_VR:
        "".join(texts).encode("latin-1")  # a ValueError here, not when the object is written
    return _element(element.tag, vr, texts)


def _rebuilt_item(item: Dataset, depth: int) -> Dataset:
    rebuilt = Dataset()
    for element in item:
        if element.tag.is_private or element.keyword in ("", "SpecificCharacterSet"):
            continue  # our objects have one character set, and private text needs its creator
        if isinstance(element.value, bytes):
            rebuilt[element.tag] = DataElement(element.tag, element.VR, element.value)
        else:
            rebuilt[element.tag] = _rebuilt(element, element.VR, depth)
    return rebuilt


def _clean(value: object) -> str:
    if isinstance(value, bytes):  # a text attribute that was sent as UN
        value = value.decode("latin-1").rstrip("\0 ")
    return _ESCAPE_SEQUENCE.sub("", str(value))


def _element(tag: int | str, vr: str, value: object) -> DataElement:
    """An element whose value is not judged: it is the source's, not ours."""
    if vr == "PN" and isinstance(value, list):
        # A backslash in a name reads as two values; written back they are the same bytes
        value = MultiValue(lambda part: PersonName(str(part), validation_mode=pydicom_config.IGNORE), value)
    elif vr == "PN":
        value = PersonName(str(value), validation_mode=pydicom_config.IGNORE)
    return DataElement(tag, vr, value, validation_mode=pydicom_config.IGNORE)
