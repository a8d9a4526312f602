"""The fast scan and pydicom always agree; where the scan is not sure it says so."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from node.errors import CannotUnderstand
from node.head_scan import NeedsMore, Undecided, scan_head
from node.instance_head import HeadRules, ReceivedHead, read_received_head
from node.outgoing import read_outgoing
from tests.node.network.objects import EXPLICIT, encoded, mr_image, shared_files, shared_name
from tests.real_data import NO_SHARED_DATA

RULES = HeadRules()
IMPLICIT, BIG_ENDIAN = str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian)
UNDECIDED = "undecided"


def scanned(data: bytes, syntax: str, rules: HeadRules = RULES) -> ReceivedHead | str:
    """The head, the words of the refusal, or that it is left to pydicom."""
    try:
        return scan_head(data, syntax, whole=True, rules=rules)
    except Undecided:
        return UNDECIDED
    except CannotUnderstand as error:
        return str(error)


def parsed(data: bytes, syntax: str) -> ReceivedHead | str:
    try:
        return read_received_head(data, syntax)
    except CannotUnderstand as error:
        return str(error)


REAL_FILES = [pytest.param(path, id=shared_name(path)) for path in shared_files()] or [
    pytest.param(Path(), marks=pytest.mark.skip(reason=NO_SHARED_DATA))
]


@pytest.mark.parametrize("path", REAL_FILES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_head_of_a_real_file_is_the_one_that_pydicom_reads(path: Path) -> None:
    try:
        file = read_outgoing(path)
    except CannotUnderstand:
        pytest.skip("no DICOM object")
    data = path.read_bytes()[file.data_set_offset :]
    if file.transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        pytest.skip("deflated data sets are pydicom's")

    by_scan = scanned(data, file.transfer_syntax_uid)

    assert by_scan in (UNDECIDED, parsed(data, file.transfer_syntax_uid))


def test_usual_images_are_decided_by_the_scan() -> None:
    images = shared_files("spine-hitachi-airis-vento-lumbar", "neg-mr-siemens-sag-brain-4-patient-positions")
    for path in images:
        file = read_outgoing(path)
        assert scanned(path.read_bytes()[file.data_set_offset :], file.transfer_syntax_uid) != UNDECIDED


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_each_encoding_is_decided_by_the_scan(syntax: str) -> None:
    data = encoded(mr_image(3, PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 100"), syntax)

    head = scanned(data, syntax)

    assert isinstance(head, ReceivedHead)
    assert head == parsed(data, syntax)
    assert head.patient_name == "Müller^Jörg"


def text(alphabet: str) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=16)


@st.composite
def data_sets(draw: st.DrawFn) -> Dataset:
    """Images with sequences, private elements and odd values before and behind what is needed."""
    image = mr_image(draw(st.integers(1, 99)))
    image.SpecificCharacterSet = draw(st.sampled_from(["", "ISO_IR 100", "ISO_IR 192", "ISO_IR 144"]))
    image.PatientID = draw(text("ABC 019^=\\"))
    image.Manufacturer = draw(text("xyz. "))
    image.StudyDate = draw(st.sampled_from(["20260102", "", "2026.01.02"]))
    for keyword in draw(
        st.sets(st.sampled_from(["ImagePositionPatient", "Modality", "PatientName", "StudyInstanceUID"]))
    ):
        delattr(image, keyword)
    for tag in draw(st.sets(st.sampled_from([0x00081140, 0x00091010, 0x00101002, 0x00400275, 0x52009229]), max_size=4)):
        image.add_new(tag, "SQ", draw(sequences(draw(st.integers(1, 4)))))
        image[tag].is_undefined_length = draw(st.booleans())
    image.add_new(0x00091001, "OB", draw(st.binary(max_size=8)) * 2)
    return image


def sequences(depth: int) -> st.SearchStrategy[DicomSequence]:
    def nest(items: list[tuple[bool, Dataset]]) -> DicomSequence:
        for undefined, item in items:
            item.is_undefined_length_sequence_item = undefined
        return DicomSequence([item for _, item in items])

    leaf = st.builds(_item, st.just(None) if depth <= 1 else sequences(depth - 1), st.booleans())
    return st.lists(st.tuples(st.booleans(), leaf), max_size=2).map(nest)


def _item(inner: DicomSequence | None, undefined: bool) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    if inner is not None:
        item.ReferencedSeriesSequence = inner
        item["ReferencedSeriesSequence"].is_undefined_length = undefined
    return item


@given(data_sets(), st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]))
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_head_of_any_data_set_is_the_one_that_pydicom_reads(image: Dataset, syntax: str) -> None:
    data = encoded(image, syntax)

    assert scanned(data, syntax) in (UNDECIDED, parsed(data, syntax))


@given(data_sets(), st.integers(0, 3000))
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_beginning_gives_the_same_head_or_asks_for_more(image: Dataset, length: int) -> None:
    data = encoded(image)

    try:
        head: ReceivedHead | str = scan_head(data[:length], EXPLICIT, whole=length >= len(data), rules=RULES)
    except (NeedsMore, Undecided):
        return
    except CannotUnderstand as error:
        head = str(error)
    assert head == parsed(data, EXPLICIT)


@pytest.mark.parametrize("vr", [b"ST", b"LT", b"SH"])
def test_a_character_set_of_another_vr_is_left_to_the_parser(vr: bytes) -> None:
    data = encoded(mr_image(SpecificCharacterSet=["ISO 2022 IR 13", "ISO 2022 IR 87"], PatientName="Yamada^Tarou"))
    at = data.index(b"\x08\x00\x05\x00CS") + 4

    assert scanned(data, EXPLICIT) != UNDECIDED
    assert scanned(data[:at] + vr + data[at + 2 :], EXPLICIT) == UNDECIDED


@given(st.data())
@settings(max_examples=300, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_bytes_give_a_head_a_refusal_or_a_doubt(data: st.DataObject) -> None:
    good = encoded(mr_image())[:700]
    start, cut = data.draw(st.integers(0, len(good))), data.draw(st.integers(0, 40))
    broken = good[:start] + data.draw(st.binary(max_size=40)) + good[start + cut :]

    assert isinstance(scanned(broken, data.draw(st.sampled_from([EXPLICIT, IMPLICIT, BIG_ENDIAN]))), ReceivedHead | str)


def test_elements_out_of_order_are_left_to_pydicom() -> None:
    first, second = Dataset(), mr_image()
    first.PatientID = "1"

    assert scanned(encoded(first) + encoded(second), EXPLICIT) == UNDECIDED


def test_a_plane_in_functional_groups_is_left_to_pydicom() -> None:
    image = mr_image(SOPClassUID=EnhancedMRImageStorage, ImagePositionPatient=None)
    image.PerFrameFunctionalGroupsSequence = DicomSequence([Dataset()])

    assert scanned(encoded(image), EXPLICIT) == UNDECIDED


@pytest.mark.parametrize(("depth", "allowed"), [(32, True), (33, False)])
def test_sequences_nest_as_deep_as_the_rules_allow(depth: int, allowed: bool) -> None:
    begin = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff" + struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    image = mr_image()
    identity, rest = Dataset(), Dataset()
    for element in image:
        (identity if element.tag.group == 8 else rest).add(element)

    head = scanned(encoded(identity) + begin * depth + end * depth + encoded(rest), EXPLICIT, HeadRules())

    assert isinstance(head, ReceivedHead) is allowed
    assert allowed or "nested" in str(head)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_million_empty_items_are_refused_as_pydicom_would(syntax: str) -> None:
    sequence = b"\x08\x00\x40\x11" + (b"SQ\0\0" if syntax == EXPLICIT else b"") + b"\xff" * 4
    items = (b"\xfe\xff\x00\xe0" + bytes(4)) * (1 << 20)
    data = sequence + items + b"\xfe\xff\xdd\xe0" + bytes(4)

    by_scan = scanned(data, syntax)

    assert "items and elements" in str(by_scan)
    assert by_scan == parsed(data, syntax)
