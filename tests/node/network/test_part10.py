"""The file format around a data set: what is written is what others read, what is broken is told."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from node import part10
from node.errors import CannotUnderstand
from tests.node.network.objects import EXPLICIT, MR, dicom_file, encoded, mr_image
from tests.real_data import SHARED_DATA, needs_shared_data


def test_the_prefix_is_read_by_another_library_without_complaint() -> None:
    prefix = part10.file_prefix(
        sop_class_uid=MR, sop_instance_uid="2.25.11", transfer_syntax_uid=EXPLICIT, source_ae_title="ODD"
    )

    meta = pydicom.dcmread(BytesIO(prefix)).file_meta

    assert meta.MediaStorageSOPInstanceUID == "2.25.11"
    assert meta.SourceApplicationEntityTitle == "ODD"
    assert meta.FileMetaInformationGroupLength == len(prefix) - 132 - 12
    assert meta.FileMetaInformationVersion == b"\x00\x01"


def test_what_was_written_is_read_back_with_the_place_of_the_data_set(tmp_path: Path) -> None:
    data_set = encoded(mr_image())
    path = dicom_file(tmp_path / "image.dcm", data_set, sop_instance_uid="2.25.10001")

    meta = part10.read_file_meta(path)

    assert (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) == (MR, "2.25.10001", EXPLICIT)
    assert path.read_bytes()[meta.data_set_offset :] == data_set


@pytest.mark.parametrize("content", [b"", b"DICM", b"\0" * 128 + b"DICM", b"\0" * 400])
def test_a_file_without_meta_information_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.dcm"
    path.write_bytes(content)

    with pytest.raises(CannotUnderstand, match="file meta information"):
        part10.read_file_meta(path)


def test_meta_information_that_does_not_end_is_told(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "image.dcm", b"", sop_instance_uid="2.25.10001")
    path.write_bytes(path.read_bytes()[:170])

    with pytest.raises(CannotUnderstand, match="does not end"):
        part10.read_file_meta(path)


@needs_shared_data
def test_every_well_formed_real_file_splits_where_another_library_splits_it() -> None:
    from pynetdicom.dsutils import split_dataset

    files = sorted((SHARED_DATA / "neg-mr-nema-wg04-compressed").iterdir())

    assert [part10.read_file_meta(path).data_set_offset for path in files] == [split_dataset(path)[1] for path in files]
