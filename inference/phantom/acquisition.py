"""The scanner: timings, image planes, coil, noise, resolution and storage as whole numbers."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from inference.findings import SequenceKind
from inference.phantom.grid import Float32, SliceGrid
from inference.phantom.tissue import FatSuppression, Sequence

_POSE_SHIFT_MM: Final = 1.0  # standard deviation; clipped at two of them
_POSE_TURN_DEG: Final = 0.8
_STORED_MAXIMUM: Final = 4095  # 12 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStyle:
    """What differs between scanners, and not between the patients of one."""

    snr: float  # marrow on T1 to noise
    resolution: float  # acquired over reconstructed matrix, phase direction
    coil_depth_mm: float  # fall-off of the surface coil
    coil_length_mm: float
    bias: float  # smooth shading, standard deviation of its logarithm
    fat_suppression: FatSuppression
    residual_fat: float
    stored_scale: float  # stored value of signal 1 near the coil, before the 12-bit clip
    thickness_mm: float
    gap: float


def draw_style(rng: np.random.Generator) -> SiteStyle:
    """Ranges of the phantom specification, item 5."""
    stir = rng.random() < 0.4
    return SiteStyle(
        snr=float(rng.uniform(18.0, 38.0)),
        resolution=float(rng.uniform(0.75, 0.95)),
        coil_depth_mm=float(rng.uniform(100.0, 180.0)),
        coil_length_mm=float(rng.uniform(150.0, 230.0)),
        bias=float(rng.uniform(0.03, 0.12)),
        fat_suppression=FatSuppression.STIR if stir else FatSuppression.SATURATION,
        residual_fat=float(rng.uniform(0.05, 0.14)),
        stored_scale=float(rng.uniform(900.0, 2600.0)),
        thickness_mm=float(rng.choice((4.0, 4.0, 4.5))),
        gap=float(rng.uniform(0.0, 0.1)),
    )


def draw_sequences(rng: np.random.Generator, style: SiteStyle) -> tuple[Sequence, Sequence, Sequence]:
    """T1, T2 and fat-suppressed T2 with timings in whole ms."""

    def between(low: float, high: float) -> float:
        return float(np.rint(rng.uniform(low, high)))

    t1 = Sequence(kind=SequenceKind.T1, tr_ms=between(400, 600), te_ms=between(9, 15))
    t2 = Sequence(kind=SequenceKind.T2, tr_ms=between(2800, 4000), te_ms=between(90, 115))
    stir = style.fat_suppression is FatSuppression.STIR
    suppressed = Sequence(
        kind=SequenceKind.T2FS,
        tr_ms=between(3200, 4200),
        te_ms=between(70, 95),
        # Fat crosses zero near ln 2 times its T1 of 316 ms.
        ti_ms=between(205, 222) if stir else None,
        fat_suppression=style.fat_suppression,
        residual_fat=1.0 if stir else style.residual_fat,
    )
    return t1, t2, suppressed


def sagittal_grid(rng: np.random.Generator, *, shape: tuple[int, int, int], fov_mm: float, step_mm: float) -> SliceGrid:
    """A sagittal stack with a small pose of its own; rows run to the back, columns to the feet."""
    turn = np.clip(rng.normal(0.0, _POSE_TURN_DEG, 3), -2.0 * _POSE_TURN_DEG, 2.0 * _POSE_TURN_DEG)
    shift = np.clip(rng.normal(0.0, _POSE_SHIFT_MM, 3), -2.0 * _POSE_SHIFT_MM, 2.0 * _POSE_SHIFT_MM)
    centre = np.array([0.0, -12.0, 0.0]) + shift
    axes = _rotation(np.deg2rad(turn)) @ np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]).T
    return plane_grid(row=axes[:, 0], column=axes[:, 1], centre_mm=centre, shape=shape, spacing_mm=(step_mm, fov_mm))


def plane_grid(
    *,
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    centre_mm: NDArray[np.float64],
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float],
) -> SliceGrid:
    """Slices along the normal row x column, centred on `centre_mm`; `spacing_mm` is (slice step, field of view).

    `row` is the direction in which the column index grows (PS3.3 C.7.6.2.1.1), `column` the other.
    """
    step, fov = spacing_mm
    pixel = fov / shape[2]
    affine = np.eye(4)
    affine[:3, 0] = np.cross(row, column) * step
    affine[:3, 1] = column * pixel
    affine[:3, 2] = row * pixel
    affine[:3, 3] = centre_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return SliceGrid(affine, shape)


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: NDArray[np.float64] = about_z @ about_y @ about_x
    return rotation


def acquire(rng: np.random.Generator, signal: Float32, grid: SliceGrid, style: SiteStyle) -> NDArray[np.uint16]:
    """Noise-free signal (Z, Y, X) -> stored pixels: shading, complex noise, k-space crop, magnitude, 12 bits."""
    shaded = signal * _shading(rng, grid, style)
    # Marrow on T1 is about .43: the noise level follows from it and serves all series of the site.
    noise = np.float32(0.43 / style.snr)
    raw = np.empty(signal.shape, dtype=np.complex64)
    raw.real = shaded + noise * rng.standard_normal(signal.shape, dtype=np.float32)
    raw.imag = noise * rng.standard_normal(signal.shape, dtype=np.float32)
    frequencies = scipy.fft.fft2(raw, axes=(1, 2), overwrite_x=True)
    frequencies *= _k_space_window(signal.shape[1], style.resolution)[None, :, None]
    frequencies *= _k_space_window(signal.shape[2], 1.0)[None, None, :]
    magnitude = np.abs(scipy.fft.ifft2(frequencies, axes=(1, 2), overwrite_x=True))
    stored: NDArray[np.uint16] = np.clip(np.rint(magnitude * style.stored_scale), 0, _STORED_MAXIMUM).astype(np.uint16)
    return stored


def _shading(rng: np.random.Generator, grid: SliceGrid, style: SiteStyle) -> Float32:
    """Surface coil at the back, times a smooth bias; 1 near the spine."""
    region = grid.whole()
    coil = np.exp(-np.abs(region.a - np.float32(80.0)) / np.float32(style.coil_depth_mm))
    coil *= np.float32(np.exp(75.0 / style.coil_depth_mm))
    coil *= np.exp(-0.5 * (region.h / np.float32(style.coil_length_mm)) ** 2)
    a, b, c = rng.normal(0.0, style.bias, 3)
    phase = rng.uniform(0.0, 2.0 * np.pi, 3)
    rate = 2.0 * np.pi / 400.0
    bias = (
        a * np.sin(rate * region.a[:1] + phase[0])
        + b * np.sin(rate * region.h[:1] + phase[1])
        + c * np.sin(rate * (region.a[:1] + region.h[:1]) + phase[2])
    )
    shading: Float32 = (coil * np.exp(bias)).astype(np.float32)
    return shading


def _k_space_window(size: int, part: float) -> Float32:
    """Keep the central `part` of the frequencies, rolled off over the last tenth (milder ringing)."""
    frequency = np.abs(np.fft.fftfreq(size)) * 2.0
    rolled = np.clip((part - frequency) / (0.1 * part), 0.0, 1.0)
    window: Float32 = (0.15 * (frequency <= part) + 0.85 * rolled).astype(np.float32)
    return window
