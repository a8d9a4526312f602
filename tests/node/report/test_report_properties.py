"""Whatever stands in the patient and study attributes of the images, there is a report, and it names the same patient.

Headers are made of bytes, as files are: texts in the declared set or in another one, values that their VR does not
allow, values under another VR, empty and several values, items within items; and images of one series disagree. The
examples are the same in each run, until SPINENODE_TEST_EXAMPLES asks for a number of others.
"""

import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
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

from config.reporting import OBJECT_NAMES, ObjectName
from config.settings import ReportSettings
from inference.heads import DAMAGED, parse_head
from node.report import ReportCheckError, ReportObject, build_report
from node.report.kinds import KINDS
from tests.node.report.character_sets import SCRIPTS, element, read_with
from tests.node.report.report_sources import Study, context_of, findings_of

ASKED_FOR: Final = os.environ.get("SPINENODE_TEST_EXAMPLES")
EXAMPLES: Final = int(ASKED_FOR or "100")
WITHOUT_PICTURES: Final[tuple[ObjectName, ...]] = ("key_objects", "presentation_states", "segmentations")

WHOSE = ("PatientID", "IssuerOfPatientID")
# Copied word for word, so that an archive finds the patient and the study
VERBATIM = (
    *WHOSE,
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


@dataclass(frozen=True, slots=True)
class Header:
    """What comes first in the header of an image, what last, and what is missing."""

    first: bytes
    last: bytes
    missing: frozenset[str]

    def __add__(self, other: "Header") -> "Header":
        return Header(self.first + other.first, self.last + other.last, self.missing | other.missing)


@st.composite
def patients(draw: st.DrawFn) -> Header:
    """Whose image it is, and the character set that says what his number means."""
    declared = draw(character_sets)
    first = b"" if declared is None else element("SpecificCharacterSet", declared.encode("ascii"))
    return Header(first, draw(elements(WHOSE)), draw(st.frozensets(st.sampled_from(WHOSE))))


@st.composite
def attributes(draw: st.DrawFn) -> Header:
    last = draw(elements(VERBATIM[len(WHOSE) :])) + draw(elements(OTHERS)) + draw(st.just(b"") | sequences(nested))
    return Header(b"", last, draw(st.frozensets(st.sampled_from(VERBATIM[len(WHOSE) :]))))


@st.composite
def headers(draw: st.DrawFn) -> list[Header]:
    """One to three: the images take turns. Rarely they are of several patients."""
    some = draw(st.lists(attributes(), min_size=1, max_size=3))
    if draw(st.integers(0, 4)) == 0:
        return [draw(patients()) + one for one in some]
    patient = draw(patients())
    return [patient + one for one in some]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """pydicom warns about what these tests are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@given(
    drawn=headers(),
    verdict=st.sampled_from(["not_analysed", "negative", "malignant"]),
    located=st.sampled_from([True, True, True, False]),
    wanted=st.sampled_from([WITHOUT_PICTURES, WITHOUT_PICTURES, WITHOUT_PICTURES, OBJECT_NAMES]),
    character_set=st.sampled_from(["utf-8", "source"]),
)
@settings(
    max_examples=EXAMPLES,
    derandomize=ASKED_FOR is None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_no_header_breaks_a_report(
    studies: dict[str, Study],
    drawn: list[Header],
    verdict: str,
    located: bool,
    wanted: tuple[ObjectName, ...],
    character_set: str,
) -> None:
    study = studies["classic"]
    missing = frozenset() if located else frozenset({"FrameOfReferenceUID"})
    images = {
        uid: damaged(image, drawn[number % len(drawn)], missing)
        for number, (uid, image) in enumerate(study.images.items())
    }
    chosen = ReportSettings(objects=wanted, character_set=character_set)  # type: ignore[arg-type]
    several = len({patient_of(image) for image in images.values()}) > 1
    refused = ""

    with structlog.testing.capture_logs() as logs:
        try:
            objects = build_report(findings_of(study, verdict), images, context_of(study, settings=chosen))
        except ReportCheckError as error:
            refused = str(error)

    if refused or (several and verdict == "malignant"):  # lesions lie on images of each header
        assert several
        assert verdict != "not_analysed"
        assert "an image of another PatientID" in refused
        return
    not_made = {entry["object"] for entry in logs if entry["event"] == "report_object_not_made"}
    made, expected = {made.kind for made in objects}, kinds(wanted, verdict, located=located)
    if any(is_unreadable(image) for image in images.values()):  # then nobody can say where it lies, or show it
        assert made == expected - {kind for kind, one in KINDS.items() if one.setting in not_made}
        assert not_made <= {"segmentations", "overlay_frames"}
    else:
        assert made == expected
        assert not_made == ({"segmentations"} if verdict == "malignant" and not located else set())
    (said,) = {tuple(identity(reread(made)).items()) for made in objects}
    first_series = [images[image.sop_instance_uid] for image in study.references(0)]
    sources = (
        first_series if verdict == "not_analysed" else first_series[:1]
    )  # the lowest Instance Number, or the first
    assert said in [tuple(identity(source).items()) for source in sources]


def kinds(wanted: tuple[ObjectName, ...], verdict: str, *, located: bool) -> set[str]:
    """What has to be in the report: boxes only where there is a lesion, segmentations only where the images lie."""
    made = {kind for kind, one in KINDS.items() if one.setting is None or one.setting in wanted}
    if verdict != "malignant":
        return made & {"sr", "summary", "pdf"}
    return made if located else made - {"segmentation"}


def is_unreadable(image: Dataset) -> bool:
    try:
        parse_head(image, Path())
    except DAMAGED:
        return True
    return False


def patient_of(image: Dataset) -> tuple[str, ...]:
    return tuple(text(image, keyword) for keyword in WHOSE)


def damaged(image: Dataset, header: Header, missing: frozenset[str]) -> Dataset:
    base = Dataset()
    base.file_meta = image.file_meta
    for one in image:
        if one.keyword not in header.missing | missing:
            base[one.tag] = one
    return read_with(base, header.first, header.last)


def reread(made: ReportObject) -> Dataset:
    buffer = BytesIO()
    dcmwrite(buffer, made.dataset, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def identity(dataset: Dataset) -> dict[str, str]:
    """As pydicom reads it, without padding and the escape sequences that it leaves; what it cannot read is empty."""
    return {keyword: text(dataset, keyword) for keyword in VERBATIM}


def text(dataset: Dataset, keyword: str) -> str:
    try:
        value = dataset.get(keyword)
    except (OSError, ValueError, NotImplementedError):
        return ""
    if value is None or isinstance(value, Sequence):
        return ""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    parts = value if isinstance(value, MultiValue | list) else [value]
    return re.sub("\x1b[ -/]*[0-~]", "", "\\".join(map(str, parts))).rstrip("\0 ")
