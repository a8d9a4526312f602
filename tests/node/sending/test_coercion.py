"""A coerced attribute has its new value, and nothing else of the object has changed by a byte."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from node.errors import CannotUnderstand, InputRejected
from node.outgoing import read_outgoing
from node.sending.coercion import coerced_file
from node.sending.element_walk import Encoding, elements
from tests.node.network.objects import encoded, mr_image, shared_files
from tests.real_data import needs_shared_data

IMPLICIT, EXPLICIT = str(ImplicitVRLittleEndian), str(ExplicitVRLittleEndian)


def rich_image(**changes: object) -> Dataset:
    """An image with private elements, sequences of known and unknown length, and odd corners."""
    dataset = mr_image(1, **changes)
    inner = Dataset()
    inner.InstitutionName = "inside a sequence"
    inner.ReferencedSOPInstanceUID = "1.2.3"
    dataset.ReferencedImageSequence = Sequence([inner, Dataset()])
    dataset["ReferencedImageSequence"].is_undefined_length = True
    dataset.ProcedureCodeSequence = Sequence([inner])
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(1, "LO", "private text")
    block.add_new(2, "OB", b"\x01\x02\x03\x04")
    return dataset


def coerced(data_set: bytes, folder: Path, syntax: str, **values: str) -> bytes:
    path = folder / "original"
    path.write_bytes(b"meta" + data_set)
    with coerced_file(path, 4, syntax, values) as changed:
        content = changed.read_bytes()
    assert path.read_bytes() == b"meta" + data_set
    assert content[:4] == b"meta"
    return content[4:]


def parts(data_set: bytes, syntax: str) -> dict[int, bytes]:
    """The bytes of each top-level element, in order."""
    encoding = Encoding(is_implicit=syntax == IMPLICIT, is_big=syntax == ExplicitVRBigEndian)
    return {one.tag: data_set[one.start : one.end] for one in elements(BytesIO(data_set), encoding)}


def parsed(data_set: bytes, syntax: str) -> Dataset:
    from pynetdicom.dsutils import decode

    return decode(BytesIO(data_set), syntax == IMPLICIT, syntax != ExplicitVRBigEndian)


def big_endian(dataset: Dataset) -> bytes:
    file = BytesIO()
    dcmwrite(file, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    return file.getvalue()


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, str(ExplicitVRBigEndian)])
def test_only_the_named_elements_and_the_length_of_their_group_change(tmp_path: Path, syntax: str) -> None:
    image = rich_image(InstitutionName="Before")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    head = b"\x04\x00\x00\x00" if syntax == IMPLICIT else b"UL" + struct.pack(f"{order}H", 4)
    group_length = struct.pack(f"{order}HH", 8, 0) + head + struct.pack(f"{order}L", 4711)  # no library writes it
    before = group_length + (big_endian(image) if syntax == ExplicitVRBigEndian else encoded(image, syntax))

    after = coerced(before, tmp_path, syntax, InstitutionName="A longer name", StationName="MR 1")

    old, new = parts(before, syntax), parts(after, syntax)
    assert list(new) == sorted(new)
    assert {tag for tag in new if old.get(tag) != new[tag]} == {0x00080000, 0x00080080, 0x00081010}
    assert {tag: content for tag, content in old.items() if tag not in (0x00080000, 0x00080080)}.items() <= new.items()
    dataset = parsed(after, syntax)
    assert (dataset.InstitutionName, dataset.StationName) == ("A longer name", "MR 1")
    assert dataset[0x00080000].value == 4711 + len(after) - len(before)
    assert dataset.ReferencedImageSequence[0].InstitutionName == "inside a sequence"


def test_an_absent_attribute_of_another_group_is_added_in_tag_order(tmp_path: Path) -> None:
    before = encoded(mr_image(1))

    after = coerced(before, tmp_path, EXPLICIT, RequestingService="Neuro", ImageComments="passed on")

    assert list(parts(after, EXPLICIT)) == sorted({*parts(before, EXPLICIT), 0x00321033, 0x00204000})
    assert len(after) - len(before) == (8 + 6) + (8 + 10)


def test_a_deflated_data_set_stays_the_same_but_for_the_change(tmp_path: Path) -> None:
    syntax = str(DeflatedExplicitVRLittleEndian)

    after = coerced(encoded(rich_image(), syntax), tmp_path, syntax, InstitutionName="Ours")

    inflated = zlib.decompress(after, -zlib.MAX_WBITS)
    assert inflated == coerced(encoded(rich_image(), EXPLICIT), tmp_path, EXPLICIT, InstitutionName="Ours")


@pytest.mark.parametrize(
    ("terms", "value"),
    [
        ("ISO_IR 100", "Universitätsklinik"),
        ("ISO_IR 192", "大学病院 Zürich"),
        ("ISO_IR 144", "Больница"),
        (["", "ISO 2022 IR 87"], "大学病院"),
        (None, "Plain"),
    ],
)
def test_a_value_is_written_in_the_character_set_of_the_object(
    tmp_path: Path, terms: str | list[str] | None, value: str
) -> None:
    image = mr_image(1, PatientName="A^B")
    if terms is not None:
        image.SpecificCharacterSet = terms

    after = coerced(encoded(image), tmp_path, EXPLICIT, InstitutionName=value, OperatorsName=f"{value}^X")

    assert (parsed(after, EXPLICIT).InstitutionName, parsed(after, EXPLICIT).OperatorsName) == (value, f"{value}^X")


@pytest.mark.parametrize("terms", [None, "ISO_IR 6", "ISO_IR 100", "ISO_IR 99999"])
def test_a_value_that_the_character_set_lacks_is_refused(tmp_path: Path, terms: str | None) -> None:
    image = mr_image(1)
    if terms is not None:
        image.SpecificCharacterSet = terms

    with pytest.raises(InputRejected, match="cannot be coerced"):
        coerced(encoded(image), tmp_path, EXPLICIT, InstitutionName="大学病院")


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\x08\x00\x80\x00LO\x08\x00shor",
        b"\x08\x00\x80\x00\x01\x02\x04\x00abcd",
        encoded(mr_image(1)) + b"\x08\x00\x80\x00LO\x04\x00late",
        encoded(mr_image(1))[:-1],
        b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff"
        + b"\xfe\xff\x00\xe0\xff\xff\xff\xff\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" * 80,
    ],
)
def test_a_broken_data_set_is_refused_and_not_sent_uncoerced(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises(InputRejected, match="cannot be coerced"):
        coerced(broken, tmp_path, EXPLICIT, InstitutionName="Ours")


def test_compressed_pixels_stay_as_they_are(tmp_path: Path) -> None:
    from pydicom.encaps import encapsulate

    image = mr_image(1)
    image.PixelData = encapsulate([b"one fragment", b"another one!"])
    image["PixelData"].is_undefined_length = True
    image["PixelData"].VR = "OB"
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = JPEG2000Lossless
    file = BytesIO()
    dcmwrite(file, image, implicit_vr=False, little_endian=True)
    before = file.getvalue()
    before = before[before.index(b"\x08\x00\x16\x00") :]

    after = coerced(before, tmp_path, JPEG2000Lossless, InstitutionName="Ours")

    assert parts(after, EXPLICIT)[0x7FE00010] == parts(before, EXPLICIT)[0x7FE00010]


@needs_shared_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_files_keep_every_other_element_and_their_pixels(tmp_path: Path) -> None:
    done = 0
    for path in shared_files("mr-siemens-9-transfer-syntaxes", "spine-hitachi-airis-vento-lumbar", "charsets-pydicom"):
        try:
            outgoing = read_outgoing(path)
            values = {"InstitutionName": "Ours"}
            with coerced_file(path, outgoing.data_set_offset, outgoing.transfer_syntax_uid, values) as changed:
                before, after = dcmread(path, force=True), dcmread(changed, force=True)
        except (CannotUnderstand, InputRejected):
            continue
        assert after.InstitutionName == "Ours"
        assert {one.tag for one in after} - {one.tag for one in before} <= {0x00080080}
        if "PixelData" in before:
            assert np.array_equal(np.frombuffer(before.PixelData, "u1"), np.frombuffer(after.PixelData, "u1"))
        for one in before:
            if one.tag not in (0x00080080, 0x00080000):
                assert after[one.tag] == one
        done += 1
    assert done > 80
