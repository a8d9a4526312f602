"""From an eligible series to one array with its place in the patient. mm, LPS."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from inference.errors import PixelError
from inference.findings import ImageReference
from inference.heads import DAMAGED, is_disk_error
from inference.selection import EligibleSeries
from inference.stacks import SliceHead

MAXIMUM_VOXELS: Final = 2**28  # of one series: 1 GiB as float32; the largest spine series seen is 200 x 512 x 512
PERCENTILES: Final = (0.5, 99.5)  # of the series, where its own window cannot be used
# What decoders raise on damaged or foreign streams
_UNDECODABLE: Final = (*DAMAGED, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A series as one array that cannot part from its geometry."""

    pixels: NDArray[np.float32]  # (Z, Y, X) modality values: stored x slope + intercept
    affine_lps: NDArray[np.float64]  # (4, 4): voxel (k, j, i, 1) -> LPS mm of the voxel's centre
    series: EligibleSeries
    padding: NDArray[np.bool_] | None = None  # (Z, Y, X) True where the scanner filled up; None when nowhere
    inverted: bool = False  # MONOCHROME1: the lowest value is shown white


def load_volume(series: EligibleSeries) -> Volume:
    """Decodes all slices of a series; each file is read once and each frame decoded once.

    Slices need not be evenly spaced: the affine's step along k is the mean one.

    Raises
    ------
    PixelError
        a slice cannot be decoded, or its pixels do not fit what the series promised; names instance and syntax.
    OSError
        a file cannot be read; a retry may help.
    """
    first = series.slices[0]
    shape = (len(series.slices), first.rows, first.columns)
    if shape[0] * shape[1] * shape[2] > MAXIMUM_VOXELS:
        raise PixelError(f"series {series.series_instance_uid}: {shape} voxels, at most {MAXIMUM_VOXELS} are read")
    pixels = np.empty(shape, dtype=np.float32)
    padding = np.zeros(shape, dtype=np.bool_)
    inverted: set[bool] = set()
    for file, places in _by_file(series.slices).items():
        decoded = _decode_file(file, [series.slices[k] for k in places])
        inverted.add(decoded.inverted)
        for k, values, filled in zip(places, decoded.values, decoded.padding, strict=True):
            pixels[k], padding[k] = values, filled
    if len(inverted) > 1:
        raise PixelError(f"series {series.series_instance_uid}: MONOCHROME1 and MONOCHROME2 are mixed")
    return Volume(
        pixels=pixels,
        affine_lps=affine_lps(series.slices),
        series=series,
        padding=padding if padding.any() and not padding.all() else None,
        inverted=inverted == {True},
    )


def affine_lps(slices: Sequence[SliceHead]) -> NDArray[np.float64]:
    """(4, 4): voxel indices (k, j, i, 1) -> LPS mm of the voxel's centre; k slice, j row, i column.

    A single slice gets a step of 1 mm along its normal. Source: PS3.3 C.7.6.2.1.1 (equation C.7.6.2.1-1).
    """
    first, last = slices[0], slices[-1]
    along_row, along_column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    between_rows_mm, between_columns_mm = first.pixel_spacing_mm
    origin = np.array(first.position_mm)
    affine = np.eye(4)
    if len(slices) > 1:
        affine[:3, 0] = (np.array(last.position_mm) - origin) / (len(slices) - 1)
    else:
        affine[:3, 0] = np.cross(along_row, along_column)
    affine[:3, 1] = along_column * between_rows_mm
    affine[:3, 2] = along_row * between_columns_mm
    affine[:3, 3] = origin
    return affine


def window_to_uint8(volume: Volume, limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """(Z, Y, X) gray values 0..255, one scale for the whole series. MONOCHROME1 comes out inverted.

    `limits`: the `gray_limits` of the volume, where they are known already.
    """
    low, high = limits or gray_limits(volume)
    gray = (volume.pixels - np.float32(low)) * np.float32(255.0 / (high - low))
    scaled: NDArray[np.uint8] = np.clip(np.rint(gray), 0, 255).astype(np.uint8)
    return np.invert(scaled) if volume.inverted else scaled


def gray_limits(volume: Volume) -> tuple[float, float]:
    """The modality values that become 0 and 255.

    The DICOM window of the series, `low = (2c - w) / 2 + 0.5`, `high = (2c + w) / 2 + 0.5`, when every slice has
    the same one (of several its first) and it overlaps the series' values; else percentiles 0.5 and 99.5 of the series.
    Padding takes no part in the percentiles. Source: WFF, intensity.
    """
    values = volume.pixels if volume.padding is None else volume.pixels[~volume.padding]
    darkest, brightest = (float(value) for value in np.percentile(values, PERCENTILES))
    windows = {image.window for image in volume.series.slices}
    window = windows.pop() if len(windows) == 1 else None
    if window is not None:
        centre, width = window
        low, high = (2 * centre - width) / 2 + 0.5, (2 * centre + width) / 2 + 0.5
        if high > low and low < brightest and high > darkest:
            return low, high
    return darkest, brightest if brightest > darkest else darkest + 1.0


def _by_file(slices: Sequence[SliceHead]) -> dict[Path, list[int]]:
    """file -> places k of its slices in the stack, in the order of its frames."""
    places: dict[Path, list[int]] = {}
    for k, image in enumerate(slices):
        places.setdefault(image.file, []).append(k)
    for inside in places.values():
        inside.sort(key=lambda k: slices[k].image.frame_number or 1)
    return places


@dataclass(frozen=True, slots=True)
class _Decoded:
    values: list[NDArray[np.float32]]  # (Y, X) modality values, one per wanted frame
    padding: list[NDArray[np.bool_]]
    inverted: bool


def _decode_file(file: Path, slices: Sequence[SliceHead]) -> _Decoded:
    """The wanted frames of one file; whatever is wrong with its content becomes a PixelError."""
    uid, syntax = slices[0].image.sop_instance_uid, "unknown"
    try:
        dataset = dcmread(file)
        syntax = str(dataset.file_meta.get("TransferSyntaxUID", "unknown"))
        _check_claims(dataset, slices[0])
        indices = [(image.image.frame_number or 1) - 1 for image in slices]
        values, padding = [], []
        for image, stored in zip(slices, iter_pixels(dataset, indices=indices, raw=True), strict=True):
            slope, intercept = rescale(dataset, image.image)
            with np.errstate(over="ignore"):  # looked at in the next line
                modality_values = (stored * np.float64(slope) + np.float64(intercept)).astype(np.float32)
            if not np.isfinite(modality_values).all():
                raise PixelError(f"instance {uid}: RescaleSlope {slope} takes the values out of all bounds")
            values.append(modality_values)
            padding.append(_padding(dataset, stored))
        return _Decoded(values, padding, dataset.get("PhotometricInterpretation") == "MONOCHROME1")
    except _UNDECODABLE as error:
        if is_disk_error(error):
            raise
        raise PixelError(
            f"instance {uid}, transfer syntax {syntax}: pixels cannot be decoded ({type(error).__name__})"
        ) from error


def _check_claims(dataset: Dataset, image: SliceHead) -> None:
    """The file must still be what selection saw; sizes are checked before a decoder allocates them."""
    uid = image.image.sop_instance_uid
    seen = (dataset.get("SOPInstanceUID"), dataset.get("Rows"), dataset.get("Columns"))
    if seen != (uid, image.rows, image.columns):
        raise PixelError(f"instance {uid}: the file holds {seen}, expected {(uid, image.rows, image.columns)}")
    if "PixelData" not in dataset:
        raise PixelError(f"instance {uid}: has no PixelData")
    if dataset.get("SamplesPerPixel", 1) != 1:
        raise PixelError(f"instance {uid}: colour is not supported")


def rescale(dataset: Dataset, image: ImageReference) -> tuple[float, float]:
    """Slope and intercept: of the frame, of all frames, of the instance, in this order; absent is 1 and 0."""
    for source in _rescale_sources(dataset, image.frame_number):
        if source.get("RescaleSlope") is not None:
            slope, intercept = float(source.RescaleSlope), float(source.get("RescaleIntercept") or 0.0)
            if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0.0:
                raise PixelError(f"instance {image.sop_instance_uid}: RescaleSlope {slope}, intercept {intercept}")
            return slope, intercept
    return 1.0, 0.0


def _rescale_sources(dataset: Dataset, frame_number: int | None) -> Iterator[Dataset]:
    if frame_number is not None:
        groups = [
            *(dataset.get("PerFrameFunctionalGroupsSequence") or [])[frame_number - 1 : frame_number],
            *(dataset.get("SharedFunctionalGroupsSequence") or [])[:1],
        ]
        for group in groups:
            yield from (group.get("PixelValueTransformationSequence") or [])[:1]
    yield dataset


def _padding(dataset: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """True where the scanner filled up. Source: PS3.3 C.7.5.1.1.2 (PixelPaddingValue and its range limit)."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(stored.shape, dtype=np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [_as_stored(end, stored) for end in (value, limit if isinstance(limit, int) else value)]
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def _as_stored(value: int, stored: NDArray[Any]) -> int:
    """The padding value may be written with the wrong sign type: 63536 where -2000 is meant."""
    bits = 8 * stored.dtype.itemsize
    if stored.dtype.kind == "i" and value >= 1 << (bits - 1):
        return value - (1 << bits)
    return value % (1 << bits) if stored.dtype.kind == "u" and value < 0 else value
