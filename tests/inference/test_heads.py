import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from inference.heads import MAXIMUM_FRAMES, read_head
from tests.inference.mr_images import enhanced_mr, mr_slice, save, stored_pixels
from tests.real_data import real_data


def test_a_classic_image_gives_its_tags_and_geometry(tmp_path: Path) -> None:
    path = save(mr_slice(3, WindowCenter="500", WindowWidth="900", PatientAge="045Y"), tmp_path / "a.dcm")

    head = read_head(path)

    (frame,) = head.frames
    assert head.unreadable is None
    assert (head.file, head.rows, head.columns, head.patient_age) == (path, 30, 24, "045Y")
    assert (frame.position_mm, frame.frame_number, frame.window) == ((8.0, -120.0, 150.0), None, (500.0, 900.0))
    assert (frame.acquisition.repetition_time_ms, frame.acquisition.echo_time_ms) == (3200.0, 100.0)
    assert ("BodyPartExamined", "LSPINE") in head.words


@pytest.mark.parametrize(
    ("centre", "width"),
    [
        ("100", "0"),
        ("100", None),
        (None, None),
        ("nan", "10"),
        ("100", "inf"),
        (["100", "200"], ["0", "60"]),
        (["nan", "200"], ["50", "60"]),
        (["100", "200"], "50"),  # no pairs
    ],
)
def test_a_window_that_is_absent_or_unusable_is_none(tmp_path: Path, centre: object, width: object) -> None:
    path = save(mr_slice(0, WindowCenter=centre, WindowWidth=width), tmp_path / "a.dcm")

    assert read_head(path).frames[0].window is None


def test_of_several_windows_the_first_counts_whatever_the_others_are(tmp_path: Path) -> None:
    path = save(mr_slice(0, WindowCenter=["100", "200", "nan"], WindowWidth=["50", "0", "60"]), tmp_path / "a.dcm")

    assert read_head(path).frames[0].window == (100.0, 50.0)


def test_a_sigmoid_window_is_not_taken_for_a_linear_one(tmp_path: Path) -> None:
    path = save(mr_slice(0, WindowCenter="100", WindowWidth="50", VOILUTFunction="SIGMOID"), tmp_path / "a.dcm")

    assert read_head(path).frames[0].window is None


def test_one_value_that_is_no_number_reads_as_absent(tmp_path: Path) -> None:
    path = save(mr_slice(0, EchoTime="77.25"), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"77.25", b"*****"))

    head = read_head(path)

    assert head.unreadable is None
    assert head.frames[0].acquisition.echo_time_ms is None
    assert head.frames[0].acquisition.repetition_time_ms == 3200.0


def test_an_enhanced_image_gives_one_frame_head_per_frame(tmp_path: Path) -> None:
    path = save(enhanced_mr(np.stack([stored_pixels(k) for k in range(5)])), tmp_path / "a.dcm")

    frames = read_head(path).frames

    assert [frame.frame_number for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.position_mm[0] for frame in frames if frame.position_mm] == [20.0, 16.0, 12.0, 8.0, 4.0]
    assert {frame.acquisition.echo_time_ms for frame in frames} == {100.0}
    assert {frame.acquisition.repetition_time_ms for frame in frames} == {3000.0}
    assert {frame.pixel_spacing_mm for frame in frames} == {(10.0, 10.0)}


def test_fat_suppression_and_inversion_of_enhanced_mr_read_as_the_classic_codes(tmp_path: Path) -> None:
    dataset = enhanced_mr(np.stack([stored_pixels(0)]))
    modifier = dataset.SharedFunctionalGroupsSequence[0].MRModifierSequence[0]
    modifier.InversionRecovery = "YES"
    modifier.InversionTimes = [150.0]
    modifier.SpectrallySelectedSuppression = "FAT"

    acquisition = read_head(save(dataset, tmp_path / "a.dcm")).frames[0].acquisition

    assert acquisition.scanning_sequence == ("IR",)
    assert acquisition.scan_options == ("FS",)
    assert acquisition.inversion_time_ms == 150.0


def test_fat_suppression_is_read_from_the_pulse_sequence_of_enhanced_mr(tmp_path: Path) -> None:
    """Where the standard has it: PS3.3 C.8.13.4."""
    dataset = enhanced_mr(np.stack([stored_pixels(0)]))
    dataset.SpectrallySelectedSuppression = "FAT"

    acquisition = read_head(save(dataset, tmp_path / "a.dcm")).frames[0].acquisition

    assert acquisition.scan_options == ("FS",)


@pytest.mark.parametrize("claimed", [4, MAXIMUM_FRAMES + 1, 2**31 - 1])
def test_a_frame_count_that_the_groups_do_not_bear_out_is_unreadable_with_its_uids(
    tmp_path: Path, claimed: int
) -> None:
    dataset = enhanced_mr(np.stack([stored_pixels(0)] * 3))
    dataset.NumberOfFrames = claimed

    head = read_head(save(dataset, tmp_path / "a.dcm"))

    assert head.unreadable is not None
    assert head.series_instance_uid == "1.2.826.0.2.1"
    assert head.frames == ()


def test_an_image_without_uids_is_unreadable_and_says_which(tmp_path: Path) -> None:
    path = save(mr_slice(0, SeriesInstanceUID=None), tmp_path / "a.dcm")

    assert "SeriesInstanceUID" in (read_head(path).unreadable or "")


def test_a_uid_made_of_other_bytes_is_no_uid(tmp_path: Path) -> None:
    path = save(mr_slice(0, SeriesInstanceUID="1.2.826.0.2.77"), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.826.0.2.77", b"Example^Anna^\x01"))

    head = read_head(path)

    assert head.series_instance_uid == ""
    assert "SeriesInstanceUID" in (head.unreadable or "")


def test_text_where_a_code_belongs_is_not_taken_over(tmp_path: Path) -> None:
    path = save(mr_slice(0, ScanOptions="FAT_SAT_ABCDEFGH"), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"FAT_SAT_ABCDEFGH", b"Example, Anna M."))

    assert read_head(path).frames[0].acquisition.scan_options == ()


@pytest.mark.parametrize("content", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM\xff\xff\xff"])
def test_a_file_that_is_no_dicom_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(content)

    assert read_head(path).unreadable is not None


def test_deep_nesting_is_unreadable_instead_of_a_recursion_error(tmp_path: Path) -> None:
    path = save(mr_slice(0), tmp_path / "a.dcm")
    item = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"  # (0040,0275), undefined length
    path.write_bytes(_up_to_pixels(path) + item * 5000)

    assert read_head(path).unreadable is not None


def _up_to_pixels(path: Path) -> bytes:
    """The file up to group 0040, which comes before the pixels."""
    content = path.read_bytes()
    return content[: content.index(b"\xe0\x7f\x10\x00")]


def test_a_disk_error_is_not_taken_for_a_damaged_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_head(tmp_path / "absent.dcm")


def test_no_cut_and_no_flipped_byte_makes_read_head_raise(tmp_path: Path) -> None:
    source = save(enhanced_mr(np.stack([stored_pixels(k) for k in range(3)])), tmp_path / "source.dcm")
    content = source.read_bytes()[:3000]
    randomness = random.Random(20)  # noqa: S311 - faults, no secret
    path = tmp_path / "a.dcm"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom describes each fault
        for _ in range(400):
            mutated = bytearray(content[: randomness.randrange(132, len(content))])
            for _ in range(randomness.randrange(0, 4)):
                mutated[randomness.randrange(132, len(mutated))] = randomness.randrange(256)
            path.write_bytes(mutated)

            assert read_head(path).file == path


def test_every_file_of_the_broken_collection_gets_a_head() -> None:
    files = [path for path in real_data("odd-and-malformed-pydicom").rglob("*") if path.is_file()]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        heads = [read_head(path) for path in files]

    assert len(heads) == len(files)
    assert sum(head.unreadable is None for head in heads) >= 20


def test_a_classic_image_with_functional_groups_besides_is_read_as_classic() -> None:
    path = next(iter(sorted(real_data("spine-hitachi-airis-vento-lumbar/stir_sag").iterdir())))

    head = read_head(path)

    assert "SharedFunctionalGroupsSequence" in dcmread(path, stop_before_pixels=True)
    assert [frame.frame_number for frame in head.frames] == [None]
    assert head.frames[0].acquisition.inversion_time_ms == 110.0
    assert not head.frames[0].acquisition.contrast_agent


def test_what_is_read_never_includes_name_or_number_of_the_patient(tmp_path: Path) -> None:
    dataset: Dataset = mr_slice(0, PatientName="Example^Anna", PatientID="4711-0815", PatientBirthDate="19610203")

    text = repr(read_head(save(dataset, tmp_path / "a.dcm")))

    assert not any(secret in text for secret in ("Example", "4711-0815", "19610203"))


def test_a_file_named_otherwise_is_read_all_the_same(tmp_path: Path) -> None:
    path = save(mr_slice(0), tmp_path / "a.dcm")
    shutil.move(path, tmp_path / "IM000 1")

    assert read_head(tmp_path / "IM000 1").unreadable is None
