from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

import inference.volume
from inference.errors import PixelError
from inference.findings import ImageReference, SequenceKind
from inference.selection import EligibleSeries, SliceHead, read_head, select_series
from inference.stacks import stack_images
from inference.volume import Volume, affine_lps, load_volume, window_to_uint8
from tests.inference.mr_images import SAGITTAL, enhanced_mr, mr_slice, save, stack, stored_pixels
from tests.real_data import real_data


def series_of(slices: list[SliceHead]) -> EligibleSeries:
    return EligibleSeries(
        series_instance_uid="1.2",
        study_instance_uid="1.3",
        kind=SequenceKind.T2,
        kind_evidence="",
        slices=tuple(slices),
    )


def read_series(paths: list[Path]) -> EligibleSeries:
    images, _ = stack_images([read_head(path) for path in paths])
    return series_of([image.slice for image in images])


def eligible(paths: list[Path]) -> EligibleSeries:
    (series,) = select_series([read_head(path) for path in paths]).eligible
    return series


def place(position: tuple[float, float, float], orientation: tuple[float, ...] = SAGITTAL) -> SliceHead:
    return SliceHead(
        image=ImageReference(sop_class_uid="1", sop_instance_uid="2"),
        file=Path("x"),
        position_mm=position,
        orientation=orientation,
        pixel_spacing_mm=(0.5, 0.7),
        rows=4,
        columns=5,
        window=None,
    )


# --- pixels


def test_slices_come_out_in_spatial_order_with_their_own_pixels(tmp_path: Path) -> None:
    volume = load_volume(eligible(stack(tmp_path)))

    assert volume.pixels.dtype == np.float32
    assert np.array_equal(volume.pixels, np.stack([stored_pixels(k) for k in range(11)]).astype(np.float32))


def test_slope_and_intercept_of_each_slice_are_applied(tmp_path: Path) -> None:
    paths = stack(tmp_path, change=lambda k: {"RescaleSlope": f"{k + 1}", "RescaleIntercept": "-0"})

    volume = load_volume(eligible(paths))

    expected = np.stack([stored_pixels(k) * (k + 1.0) for k in range(11)])
    assert np.array_equal(volume.pixels, expected.astype(np.float32))


def test_signed_pixels_stay_negative(tmp_path: Path) -> None:
    signed = np.arange(-300, 420, dtype=np.int16).reshape(30, 24)

    volume = load_volume(eligible(stack(tmp_path, PixelRepresentation=1, PixelData=signed.tobytes())))

    assert np.array_equal(volume.pixels[0], signed.astype(np.float32))


def test_one_image_in_nine_encodings_gives_equal_pixels() -> None:
    paths = sorted(real_data("mr-siemens-9-transfer-syntaxes").glob("*.dcm"))

    volumes = [load_volume(read_series([path])).pixels for path in paths]

    syntaxes = {read_head(path).transfer_syntax_uid for path in paths}
    assert len(volumes) == 9
    assert len(syntaxes) == 7  # two of the codecs come from two encoders
    assert volumes[0].max() > 1000
    for volume in volumes[1:]:
        assert np.array_equal(volume, volumes[0])


def test_frames_of_one_file_are_decoded_with_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = enhanced_mr(np.stack([stored_pixels(k) for k in range(9)]))
    dataset.compress(RLELossless)
    series = eligible([save(dataset, tmp_path / "a.dcm")])
    reads: list[Path] = []
    monkeypatch.setattr(inference.volume, "dcmread", lambda path: (reads.append(path), dcmread(path))[1])

    volume = load_volume(series)

    assert len(reads) == 1
    assert volume.pixels[:, 0, 0].tolist() == [2000.0 * k + k for k in range(9)]


# --- broken pixels


def test_truncated_pixels_name_the_instance_and_the_syntax(tmp_path: Path) -> None:
    paths = stack(tmp_path, change=lambda k: {"PixelData": b"\0" * 100} if k == 5 else {})

    with pytest.raises(PixelError, match=r"1\.2\.826\.0\.1\.6, transfer syntax 1\.2\.840\.10008\.1\.2\.1"):
        load_volume(eligible(paths))


def test_a_stream_that_no_decoder_takes_is_a_pixel_error() -> None:
    path = real_data("neg-mr-nema-wg04-compressed") / "MR2_JPLY.dcm"

    with pytest.raises(PixelError, match=r"1\.2\.840\.10008\.1\.2\.4\.51"):
        load_volume(read_series([path]))


@pytest.mark.parametrize("slope", ["0", "9e99", "abc"])
def test_a_slope_that_is_no_slope_is_a_pixel_error(tmp_path: Path, slope: str) -> None:
    paths = stack(tmp_path, RescaleSlope="7.5", RescaleIntercept="0")
    series = eligible(paths)
    for path in paths:
        path.write_bytes(path.read_bytes().replace(b"7.5 ", slope.ljust(4).encode()[:4]))

    with pytest.raises(PixelError):
        load_volume(series)


def test_a_file_changed_since_selection_is_a_pixel_error(tmp_path: Path) -> None:
    paths = stack(tmp_path)
    series = eligible(paths)
    save(mr_slice(0, Rows=60), paths[0])

    with pytest.raises(PixelError, match="expected"):
        load_volume(series)


def test_claimed_sizes_are_refused_before_memory_is_taken() -> None:
    huge = [replace(place((float(k), 0.0, 0.0)), rows=65535, columns=65535) for k in range(11)]

    with pytest.raises(PixelError, match="at most"):
        load_volume(series_of(huge))


def test_a_missing_file_is_no_property_of_the_image(tmp_path: Path) -> None:
    paths = stack(tmp_path)
    series = eligible(paths)
    paths[3].unlink()

    with pytest.raises(FileNotFoundError):
        load_volume(series)


def test_the_message_tells_nothing_of_the_patient(tmp_path: Path) -> None:
    paths = stack(tmp_path, PatientName="Example^Anna", PatientID="4711", PixelData=b"\0" * 10)

    with pytest.raises(PixelError) as error:
        load_volume(eligible(paths))

    assert "Example" not in str(error.value)
    assert "4711" not in str(error.value)


# --- geometry


def test_the_affine_puts_each_corner_where_the_standard_says() -> None:
    slices = [place((10.0 + 4 * k, -20.0, 30.0)) for k in range(3)]

    affine = affine_lps(slices)

    for k, j, i in ((0, 0, 0), (2, 0, 0), (0, 3, 0), (0, 0, 4), (1, 2, 3)):
        # sagittal: columns run to the back (+y), rows run down (-z)
        expected = (10.0 + 4 * k, -20.0 + 0.7 * i, 30.0 - 0.5 * j)
        assert affine @ (k, j, i, 1) == pytest.approx([*expected, 1.0])


def test_an_oblique_sheared_stack_returns_from_mm_to_voxels() -> None:
    angle = np.radians(20)
    orientation = (-np.sin(angle), np.cos(angle), 0.0, 0.0, 0.0, -1.0)
    slices = [place((4.1 * k, 0.3 * k, -0.2 * k), tuple(map(float, orientation))) for k in range(7)]
    affine = affine_lps(slices)
    voxels = np.array([(k, j, i, 1.0) for k in range(7) for j in (0, 3) for i in (0, 4)])

    returned = (np.linalg.inv(affine) @ affine @ voxels.T).T

    assert np.allclose(returned, voxels)
    assert np.allclose(affine @ (6, 0, 0, 1), [*slices[-1].position_mm, 1.0])


def test_the_affine_of_a_real_series_meets_every_slice_within_a_tenth_of_a_mm() -> None:
    folder = real_data("spine-hitachi-airis-vento-lumbar/t2_sag")
    series = eligible(sorted(folder.iterdir()))

    affine = affine_lps(series.slices)

    for k, image in enumerate(series.slices):
        assert np.allclose((affine @ (k, 0, 0, 1))[:3], image.position_mm, atol=0.1)


# --- gray values


def volume_of(values: object, *, window: tuple[float, float] | None = None, **fields: object) -> Volume:
    pixels = np.asarray(values, dtype=np.float32)[np.newaxis]
    series = series_of([replace(place((0.0, 0.0, 0.0)), window=window, rows=1, columns=pixels.shape[2])])
    return Volume(pixels=pixels, affine_lps=np.eye(4), series=series, **fields)  # type: ignore[arg-type]


def test_the_window_maps_its_ends_to_black_and_white() -> None:
    # centre 100, width 50: low 75.5, high 125.5
    gray = window_to_uint8(volume_of([[0, 75.5, 100.5, 125.5, 900]], window=(100.0, 50.0)))

    assert gray.tolist() == [[[0, 0, 128, 255, 255]]]


def test_monochrome1_comes_out_inverted() -> None:
    gray = window_to_uint8(volume_of([[0, 75.5, 125.5]], window=(100.0, 50.0), inverted=True))

    assert gray.tolist() == [[[255, 255, 0]]]


def test_monochrome1_is_recognised_in_a_file(tmp_path: Path) -> None:
    volume = load_volume(eligible(stack(tmp_path, PhotometricInterpretation="MONOCHROME1")))

    assert volume.inverted
    assert window_to_uint8(volume)[0, 0, 0] == 255


def test_windows_that_differ_from_slice_to_slice_give_way_to_percentiles_of_the_series(tmp_path: Path) -> None:
    paths = stack(tmp_path, change=lambda k: {"WindowCenter": str(100 + k), "WindowWidth": "50"})

    gray = window_to_uint8(load_volume(eligible(paths)))

    values = np.stack([stored_pixels(k) for k in range(11)])
    low, high = np.percentile(values, (0.5, 99.5))
    expected = np.clip(np.rint((values - low) * 255 / (high - low)), 0, 255)
    assert np.abs(gray.astype(int) - expected).max() <= 1


def test_a_window_beside_all_values_gives_way_to_percentiles() -> None:
    gray = window_to_uint8(volume_of([np.arange(0, 1000)], window=(-5000.0, 100.0)))

    assert gray.min() == 0
    assert gray.max() == 255
    assert 120 < gray.mean() < 135


def test_padding_takes_no_part_in_the_percentiles(tmp_path: Path) -> None:
    signed = np.arange(0, 720, dtype=np.int16).reshape(30, 24)
    signed[:10] = -2000
    paths = stack(tmp_path, PixelRepresentation=1, PixelData=signed.tobytes())
    for path in paths:
        dataset = dcmread(path)
        dataset.add_new("PixelPaddingValue", "US", 63536)  # -2000 with the wrong sign type, as real files have it
        save(dataset, path)

    volume = load_volume(eligible(paths))
    gray = window_to_uint8(volume)

    assert volume.padding is not None
    assert volume.padding.sum() == 11 * 240
    assert gray[0, 10, 0] == 0
    assert int(gray[0, 20, 0]) == pytest.approx(127, abs=2)


def test_a_padding_value_that_covers_everything_is_not_believed(tmp_path: Path) -> None:
    paths = stack(tmp_path, PixelData=np.full((30, 24), 7, np.uint16).tobytes(), PixelPaddingValue=7)

    assert load_volume(eligible(paths)).padding is None


def test_a_flat_series_is_black_and_not_a_division_by_zero() -> None:
    assert window_to_uint8(volume_of([[5, 5, 5]])).tolist() == [[[0, 0, 0]]]


def test_the_real_series_use_the_gray_range_their_windows_promise() -> None:
    for folder in ("t1_sag", "t2_sag", "stir_sag"):
        gray = window_to_uint8(
            load_volume(eligible(sorted(real_data(f"spine-hitachi-airis-vento-lumbar/{folder}").iterdir())))
        )

        assert gray.shape == (11, 512, 512)
        assert gray.max() == 255
        assert 5 < gray.mean() < 60
