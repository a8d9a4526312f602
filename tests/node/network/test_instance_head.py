"""Reading heads: identity is judged, patient data is only read."""

import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedMRImageStorage, ImplicitVRLittleEndian

from node import instance_head
from node.errors import CannotUnderstand
from node.instance_head import ReceivedHead, is_valid_uid, read_received_head
from tests.node.network.objects import EXPLICIT, PATIENT_NAME, encoded, mr_image


def head_of(**changes: object) -> ReceivedHead:
    return read_received_head(encoded(mr_image(**changes)), EXPLICIT)  # type: ignore[arg-type]


@pytest.mark.parametrize("syntax", [EXPLICIT, str(ImplicitVRLittleEndian), str(DeflatedExplicitVRLittleEndian)])
def test_a_head_is_the_same_in_each_encoding(syntax: str) -> None:
    head = read_received_head(encoded(mr_image(3), syntax), syntax)

    assert head == head_of(number=3)
    assert head.patient_name == PATIENT_NAME
    assert head.study_date == "20260102"
    assert head.position_mm == (3.0, -10.5, 20.0)


def test_absent_attributes_are_empty_and_an_absent_plane_is_none() -> None:
    head = head_of(
        PatientName=None, PatientID=None, StudyDate=None, ImagePositionPatient=None, ImageOrientationPatient=None
    )

    assert (head.patient_name, head.patient_id, head.study_date) == ("", "", "")
    assert head.position_mm is None
    assert head.orientation is None


@pytest.mark.parametrize(
    "value",
    [b"nan\\0\\0 ", b"1e308\\0\\0 ", b"0\\-100001\\0 ", b"1\\2 ", b"a\\b\\c ", b"inf\\0\\0 ", b"", b"\xff\xfe\\1\\2"],
)
def test_a_position_that_is_no_three_numbers_is_none_and_refuses_nothing(value: bytes) -> None:
    data_set = _with_raw(b"\x20\x00\x32\x00DS", value, keyword="ImagePositionPatient")

    assert read_received_head(data_set, EXPLICIT).position_mm is None


@pytest.mark.parametrize("value", [b"1e100\\0\\0\\0\\1\\0 ", b"0\\-1.2\\0\\0\\0\\1", b"0\\1\\0\\0\\0\\inf "])
def test_an_orientation_that_is_no_six_cosines_is_none_and_refuses_nothing(value: bytes) -> None:
    data_set = _with_raw(b"\x20\x00\x37\x00DS", value, keyword="ImageOrientationPatient")

    assert read_received_head(data_set, EXPLICIT).orientation is None


@pytest.mark.parametrize(
    ("charset", "value", "expected"),
    [
        (b"ISO_IR 100", "Müller^Jörg ".encode("latin-1"), "Müller^Jörg"),
        (b"ISO_IR 192", "Müller^Jörg".encode(), "Müller^Jörg"),
        (b"ISO_IR 192", b"M\xfcller^J\xf6rg ", "M\ufffdller^J\ufffdrg"),
        (b"NO SUCH SET ", b"Miller^Jo ", "Miller^Jo"),
        (b"\\\\", b"Miller^Jo ", "Miller^Jo"),
        (b"\xff\xff", b"Miller^Jo\0", "Miller^Jo"),
        (b"ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B ", "山田^太郎"),
        (b"ISO 2022 IR 87", b"\x1b$B", ""),
        (b"ISO 2022 IR 87", b"\x1b\x1b\xff^\x1b", None),
        (b"ISO_IR 6", b"  leading", "  leading"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_name_in_a_wrong_or_unknown_character_set_refuses_nothing(
    charset: bytes, value: bytes, expected: str | None
) -> None:
    data_set = _with_raw(b"\x10\x00\x10\x00PN", value, keyword="PatientName", charset=charset)

    name = read_received_head(data_set, EXPLICIT).patient_name

    assert expected is None or name == expected


def test_a_multi_frame_object_has_the_plane_of_its_first_frame() -> None:
    shared, first, second = Dataset(), Dataset(), Dataset()
    shared.PlaneOrientationSequence = _items(_plane(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
    first.PlanePositionSequence = _items(_plane(ImagePositionPatient=[1, 2, 3]))
    second.PlanePositionSequence = _items(_plane(ImagePositionPatient=[4, 5, 6]))

    head = head_of(
        SOPClassUID=EnhancedMRImageStorage,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        SharedFunctionalGroupsSequence=_items(shared),
        PerFrameFunctionalGroupsSequence=_items(first, second),
    )

    assert head.orientation == (1, 0, 0, 0, 1, 0)
    assert head.position_mm == (1, 2, 3)


def test_a_multi_frame_object_without_plane_is_taken_all_the_same() -> None:
    head = head_of(
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
        SharedFunctionalGroupsSequence=_items(),
        PerFrameFunctionalGroupsSequence=_items(Dataset()),
    )

    assert head.position_mm is None
    assert head.orientation is None


def test_the_message_of_a_refusal_never_quotes_the_value() -> None:
    data_set = _with_raw(b"\x20\x00\x0d\x00UI", PATIENT_NAME.encode(), keyword="StudyInstanceUID")

    with pytest.raises(CannotUnderstand) as refusal:
        read_received_head(data_set, EXPLICIT)

    assert "Study Instance UID (0020,000D)" in str(refusal.value)
    assert PATIENT_NAME not in str(refusal.value)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "2.25.0", "0.1", "1." * 31 + "22"])
def test_a_conformant_uid_is_valid(uid: str) -> None:
    assert is_valid_uid(uid)


@pytest.mark.parametrize(
    "uid", ["", ".", "1.", ".1", "1..2", "1.02", "1.2a", "1.2\n", "1.2 ", "1." * 32 + "1", "\u0661.\u0662"]
)
def test_a_malformed_uid_is_not_valid(uid: str) -> None:
    assert not is_valid_uid(uid)


@given(st.data())
@settings(max_examples=200, deadline=None)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_whatever_bytes_come_there_is_a_head_or_a_refusal(data: st.DataObject) -> None:
    good = encoded(mr_image())[:600]
    start = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 40))
    data_set = good[:start] + data.draw(st.binary(max_size=40)) + good[start + length :]
    read: Callable[[], object] = lambda: read_received_head(data_set, EXPLICIT)  # noqa: E731

    try:
        head = read()
    except CannotUnderstand:
        return
    assert isinstance(head, ReceivedHead)


def _plane(**attributes: object) -> Dataset:
    plane = Dataset()
    for keyword, value in attributes.items():
        setattr(plane, keyword, value)
    return plane


def _items(*datasets: Dataset) -> DicomSequence:
    return DicomSequence(list(datasets))


def _with_raw(tag_and_vr: bytes, value: bytes, *, keyword: str, charset: bytes = b"") -> bytes:
    """An MR data set in which one element has exactly these bytes, whatever its VR allows."""
    value += b" " * (len(value) % 2)
    wanted = tag_and_vr + len(value).to_bytes(2, "little") + value
    dataset = mr_image(1, **{keyword: None})
    before, after = Dataset(), Dataset()
    tag = int.from_bytes(tag_and_vr[:2], "little") << 16 | int.from_bytes(tag_and_vr[2:4], "little")
    for element in dataset:
        (before if element.tag < tag else after).add(element)
    charset += b" " * (len(charset) % 2)
    character_set = b"\x08\x00\x05\x00CS" + len(charset).to_bytes(2, "little") + charset
    return character_set + encoded(before) + wanted + encoded(after)


EMPTY_ITEM = b"\xfe\xff\x00\xe0" + bytes(4)
SEQUENCE_END = b"\xfe\xff\xdd\xe0" + bytes(4)
MOST_PEAK_BYTES = 256 << 20  # a million data sets of pydicom's take three times as much


def with_sequence(tag: bytes, items: bytes, *, undefined_length: bool = True) -> bytes:
    """An MR data set, in which one element is out of order, with this sequence in it."""
    length = b"\xff" * 4 if undefined_length else len(items).to_bytes(4, "little")
    sequence = tag + b"SQ\0\0" + length + items + (SEQUENCE_END if undefined_length else b"")
    before, after = Dataset(), Dataset()
    for element in mr_image(1, ImagePositionPatient=None, PixelData=None):
        (before if element.tag < int.from_bytes(tag[:2] * 2, "little") else after).add(element)
    return encoded(before) + sequence + encoded(after)


def deflated(data_set: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(data_set) + deflater.flush()


def test_a_million_empty_items_are_refused_before_they_take_the_memory_of_all() -> None:
    data_set = deflated(with_sequence(b"\x08\x00\x40\x11", EMPTY_ITEM * (1 << 20)))
    tracemalloc.start()

    try:
        with pytest.raises(CannotUnderstand, match="items and elements"):
            read_received_head(data_set, str(DeflatedExplicitVRLittleEndian))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < MOST_PEAK_BYTES


def test_a_value_that_is_larger_than_any_head_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_head, "_MAXIMUM_INFLATED_BYTES", 100_000)
    item = b"\xfe\xff\x00\xe0" + (100_012).to_bytes(4, "little")
    value = b"\x09\x00\x10\x10OB\0\0" + (100_000).to_bytes(4, "little") + bytes(100_000)

    with pytest.raises(CannotUnderstand, match="too many bytes"):
        read_received_head(with_sequence(b"\x08\x00\x40\x11", item + value), EXPLICIT)


@pytest.mark.parametrize("undefined_length", [False, True])
def test_of_any_number_of_frames_only_the_first_is_read(undefined_length: bool) -> None:
    first = Dataset()
    first.PlanePositionSequence = _items(_plane(ImagePositionPatient=[1, 2, 3]))
    position = encoded(first)
    frames = b"\xfe\xff\x00\xe0" + len(position).to_bytes(4, "little") + position + EMPTY_ITEM * 300_000
    pixels = b"\xe0\x7f\x10\x00OW\0\0" + (8).to_bytes(4, "little") + bytes(8)
    length = b"\xff" * 4 if undefined_length else len(frames).to_bytes(4, "little")
    head = encoded(mr_image(1, ImagePositionPatient=None, PixelData=None))

    read = read_received_head(
        head + b"\x00\x52\x30\x92SQ\0\0" + length + frames + SEQUENCE_END * undefined_length + pixels, EXPLICIT
    )

    assert read.position_mm == (1, 2, 3)


@pytest.mark.parametrize("undefined_length", [False, True])
def test_a_plane_in_shared_groups_of_a_million_items_is_of_the_first_or_refused(undefined_length: bool) -> None:
    shared = b"\x00\x52\x29\x92"
    data_set = with_sequence(shared, EMPTY_ITEM * (1 << 20), undefined_length=undefined_length)

    if not undefined_length:
        assert read_received_head(data_set, EXPLICIT).position_mm is None
    else:
        with pytest.raises(CannotUnderstand, match="items and elements"):
            read_received_head(data_set, EXPLICIT)
