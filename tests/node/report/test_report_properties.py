"""Whatever stands in the patient and study attributes of the images, there is a report, and it names the same patient.

Headers are made of bytes, as files are: texts in the declared set or in another one, values that their VR does not
allow, values under another VR, empty and several values, items within items. SPINENODE_TEST_EXAMPLES asks for more.
"""

import os
import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR

from config.reporting import ObjectName
from config.settings import ReportSettings
from node.report import ReportObject, build_report
from tests.node.report.character_sets import SCRIPTS, element, read_with
from tests.node.report.report_sources import Study, context_of, findings_of

EXAMPLES: Final = int(os.environ.get("SPINENODE_TEST_EXAMPLES", "100"))
WITHOUT_PICTURES: Final[tuple[ObjectName, ...]] = ("key_objects", "presentation_states", "segmentations")

# Copied word for word, so that an archive finds the patient and the study
VERBATIM = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ReferringPhysicianName",
    "OtherPatientIDs",
    "AdmissionID",
)
OTHERS = (
    "PatientAge",
    "PatientBirthTime",
    "PatientWeight",
    "PatientSize",
    "PatientComments",
    "PatientIdentityRemoved",
    "QualityControlSubject",
    "EthnicGroup",
    "Occupation",
    "OtherPatientNames",
    "AdditionalPatientHistory",
    "AdmittingDiagnosesDescription",
    "DeidentificationMethod",
    "PhysiciansOfRecord",
    "TimezoneOffsetFromUTC",
    "Manufacturer",
    "InstanceNumber",
)
SEQUENCES = (
    "ProcedureCodeSequence",
    "OtherPatientIDsSequence",
    "IssuerOfPatientIDQualifiersSequence",
    "IssuerOfAccessionNumberSequence",
    "RequestAttributesSequence",
    "ReferencedStudySequence",
    "AdmittingDiagnosesCodeSequence",
    "ReferringPhysicianIdentificationSequence",
    "DeidentificationMethodCodeSequence",
)
IN_ITEMS = (
    "CodeValue",
    "CodingSchemeDesignator",
    "CodeMeaning",
    "PatientID",
    "IssuerOfPatientID",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "InstitutionName",
    "SpecificCharacterSet",
    "PixelSpacing",
)
WRONG = [b"", b"64", b"064Y", b"U", b"female", b"1960", b"19600000", b"1960.01.01", b"2024-03-05", b"10:10:10", b"***"]
WRONG += [
    b"\\",
    b"A\\B",
    b"^^^^^^",
    b"=",
    b"==",
    b"Doe^Jane=\\=",
    b"CET",
    b"+0930",
    b"1.02.03",
    b"\x1b$)A",
    b"\x1b(J",
    b"NaN",
]
CHARACTER_SETS = [
    *{script.terms for script in SCRIPTS.values() if script.terms},
    "ISO_IR 13",
    "utf-8",
    "\\\\",
    "GBK\\GBK",
]
TEXTS = [script.encoded(text) for script in SCRIPTS.values() for text in (script.name, script.text)]
# Under another VR a text is decoded in another way, or not at all; dates and codes are Latin-1 under any of these
TEXT_VRS = ("UN", "LO", "SH", "CS", "PN", "ST", "UT", "OB", "SQ", "US", "??")
OTHER_VRS = ("UN", "CS", "DA", "OB", "SQ", "US", "??")

values = st.one_of(
    st.sampled_from(WRONG),
    st.sampled_from(TEXTS),
    st.text(max_size=90).map(lambda text: text.encode("utf-8", errors="replace")),
    st.binary(max_size=90),
    st.lists(st.sampled_from(TEXTS), min_size=2, max_size=3).map(b"\\".join),
    st.sampled_from(TEXTS).map(lambda text: 40 * text),
)
vrs = {
    character_set_applies: st.one_of(st.none(), st.none(), st.none(), st.sampled_from(some))
    for character_set_applies, some in ((True, TEXT_VRS), (False, OTHER_VRS))
}
character_sets = st.one_of(st.none(), st.sampled_from(CHARACTER_SETS), st.text("ISO_IR 2\\078", max_size=20))


@st.composite
def elements(draw: st.DrawFn, keywords: tuple[str, ...]) -> bytes:
    found = draw(st.dictionaries(st.sampled_from(keywords), values, max_size=8))
    applies = {keyword: dictionary_VR(keyword) in CUSTOMIZABLE_CHARSET_VR for keyword in found}
    return b"".join(element(keyword, value, draw(vrs[applies[keyword]])) for keyword, value in found.items())


def item(content: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content


def sequence(keyword: str, contents: list[bytes]) -> bytes:
    return element(keyword, b"".join(map(item, contents)))


def sequences(inside: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(sequence, st.sampled_from(SEQUENCES), st.lists(inside, max_size=2))


nested = st.recursive(elements(IN_ITEMS), lambda inner: st.builds(bytes.__add__, inner, sequences(inner)), max_leaves=4)


@st.composite
def attributes(draw: st.DrawFn) -> tuple[bytes, bytes, frozenset[str]]:
    """What comes first in the header, what last, and what is missing."""
    declared = draw(character_sets)
    first = b"" if declared is None else element("SpecificCharacterSet", declared.encode("ascii"))
    last = draw(elements(VERBATIM)) + draw(elements(OTHERS)) + draw(st.just(b"") | sequences(nested))
    return first, last, draw(st.frozensets(st.sampled_from(VERBATIM)))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A traceback with all values of a data set takes seconds to print."""
    with structlog.testing.capture_logs(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about what these tests are about
        yield


@given(
    header=attributes(),
    verdict=st.sampled_from(["not_analysed", "not_analysed", "not_analysed", "malignant"]),
    character_set=st.sampled_from(["utf-8", "source"]),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_header_breaks_a_report(
    studies: dict[str, Study], header: tuple[bytes, bytes, frozenset[str]], verdict: str, character_set: str
) -> None:
    study = studies["classic"]
    images = {uid: damaged(image, *header) for uid, image in study.images.items()}
    wanted = ReportSettings(objects=WITHOUT_PICTURES, character_set=character_set)  # type: ignore[arg-type]

    objects = build_report(findings_of(study, verdict), images, context_of(study, settings=wanted))

    source = identity(images[min(images)])
    for made in objects:
        assert identity(reread(made)) == source


def damaged(image: Dataset, first: bytes, last: bytes, missing: frozenset[str]) -> Dataset:
    base = Dataset()
    base.file_meta = image.file_meta
    for one in image:
        if one.keyword not in missing:
            base[one.tag] = one
    return read_with(base, first, last)


def reread(made: ReportObject) -> Dataset:
    buffer = BytesIO()
    dcmwrite(buffer, made.dataset, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def identity(dataset: Dataset) -> dict[str, str]:
    """As pydicom reads it, without the escape sequences that it leaves in the text; what it cannot read is empty."""
    return {keyword: text(dataset, keyword) for keyword in VERBATIM}


def text(dataset: Dataset, keyword: str) -> str:
    try:
        value = dataset.get(keyword)
    except (OSError, ValueError, NotImplementedError):
        return ""
    if value is None or isinstance(value, Sequence):
        return ""
    if isinstance(value, bytes):
        value = value.decode("latin-1").rstrip("\0 ")
    parts = value if isinstance(value, MultiValue | list) else [value]
    return re.sub("\x1b[ -/]*[0-~]", "", "\\".join(map(str, parts)))
