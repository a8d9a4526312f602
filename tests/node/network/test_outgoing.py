"""Files on their way out: unchanged where they can be, converted without loss where they must."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.errors import CannotUnderstand, InputRejected
from node.outgoing import in_syntax, read_outgoing
from tests.node.network.objects import (
    EXPLICIT,
    MR,
    dicom_file,
    encoded,
    mr_file,
    mr_image,
    shared_files,
)
from tests.node.network.peers import data_set_of
from tests.real_data import needs_shared_data

IMPLICIT = str(ImplicitVRLittleEndian)


def test_a_file_in_the_wanted_syntax_is_sent_itself(tmp_path: Path) -> None:
    image = mr_file(tmp_path)

    with in_syntax(read_outgoing(image), EXPLICIT) as path:
        assert path == image


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_file_without_meta_information_is_sent_with_its_bytes_unchanged(tmp_path: Path, syntax: str) -> None:
    image = tmp_path / "bare.dcm"
    image.write_bytes(encoded(mr_image(), syntax))

    outgoing = read_outgoing(image)

    assert (outgoing.sop_class_uid, outgoing.transfer_syntax_uid) == (MR, syntax)
    with in_syntax(outgoing, syntax) as path:
        assert data_set_of(path) == image.read_bytes()


def test_meta_information_that_tells_another_uid_is_put_right(tmp_path: Path) -> None:
    image = dicom_file(tmp_path / "image.dcm", encoded(mr_image()), sop_instance_uid="2.25.999")

    with in_syntax(read_outgoing(image), EXPLICIT) as path:
        assert pydicom.dcmread(path).file_meta.MediaStorageSOPInstanceUID == "2.25.10001"
        assert data_set_of(path) == data_set_of(image)


@pytest.mark.parametrize("content", [b"", b"no DICOM at all, but long enough to be read " * 10, b"\0" * 128 + b"DICM"])
def test_a_file_that_holds_no_object_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.dcm"
    path.write_bytes(content)

    with pytest.raises(CannotUnderstand):
        read_outgoing(path)


@pytest.mark.parametrize("target", [EXPLICIT, IMPLICIT])
@needs_shared_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pixels_and_identity_survive_the_conversion_from_every_encoding(target: str) -> None:
    for image in shared_files("mr-siemens-9-transfer-syntaxes"):
        original = pydicom.dcmread(image)

        with in_syntax(read_outgoing(image), target) as path:
            converted = pydicom.dcmread(path)

        assert converted.file_meta.TransferSyntaxUID == target
        assert converted.SOPInstanceUID == original.SOPInstanceUID
        assert converted.PatientName == original.PatientName
        assert np.array_equal(converted.pixel_array, original.pixel_array)


@needs_shared_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_big_endian_words_are_turned_round() -> None:
    images = [path for path in shared_files() if path.name == "MR_small_bigendian.dcm"]
    assert read_outgoing(images[0]).transfer_syntax_uid == ExplicitVRBigEndian

    with in_syntax(read_outgoing(images[0]), EXPLICIT) as path:
        converted = pydicom.dcmread(path)

    (little,) = [path for path in shared_files() if path.name == "MR_small.dcm"]
    assert converted.PixelData == pydicom.dcmread(little).PixelData


@needs_shared_data
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_encoding_without_decoder_is_told_with_what_to_do() -> None:
    image = next(path for path in shared_files("neg-mr-nema-wg04-compressed") if path.stem == "MR1_JPLY")

    with pytest.raises(InputRejected, match="let the peer accept"), in_syntax(read_outgoing(image), EXPLICIT):
        pass
