"""The scanner: coil, chemical shift, ghosts, motion, noise, resolution, and storage as whole numbers."""

from enum import StrEnum
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from inference.findings import SequenceKind
from inference.phantom.grid import Float32, Region, SliceGrid
from inference.phantom.painting.scene_painting import Signal
from inference.phantom.scanner.artefacts import add_ghosts, move_lines, shifted
from inference.phantom.scanner.sites import PhaseAxis, SiteStyle
from inference.phantom.tissue import FatSuppression

_STORED_MAXIMUM: Final = 4095  # 12 bits
_MARROW_ON_T1: Final = 0.43  # signal that the SNR of a site refers to
_GHOST_RATE: Final = 0.2  # of series
_MOTION_RATE: Final = 0.1  # of series
# Averages of the later sequences make up for their weaker signal.
_NOISE: Final = {SequenceKind.T1: 1.0, SequenceKind.T2: 0.8, SequenceKind.T2FS: 0.6}
_BAND_EDGE_MM: Final = 9.0
_BAND_BEFORE_MM: Final = 52.0  # from the middle of the image to the saturation band


class Artefact(StrEnum):
    """What some series show and others do not."""

    GHOSTS = "ghosts"  # of blood and CSF
    MOTION = "motion"  # between lines of k-space


def draw_artefacts(rng: np.random.Generator) -> tuple[Artefact, ...]:
    """Which artefacts one series has."""
    chances = {Artefact.GHOSTS: _GHOST_RATE, Artefact.MOTION: _MOTION_RATE}
    return tuple(artefact for artefact, rate in chances.items() if rng.random() < rate)


def acquire(
    rng: np.random.Generator,
    signal: Signal,
    grid: SliceGrid,
    style: SiteStyle,
    kind: SequenceKind,
    artefacts: tuple[Artefact, ...] = (),
) -> NDArray[np.uint16]:
    """Noise-free signal (Z, Y, X) -> stored pixels."""
    spoiling, noisy = rng.spawn(2)  # an artefact leaves the noise as it is
    phase = 2 if style.phase_axis is PhaseAxis.ROW else 1
    image = _received(rng, signal, grid, style, kind)
    if Artefact.GHOSTS in artefacts:
        image = add_ghosts(spoiling, image, signal.pulsation, phase)
    frequencies = scipy.fft.fft2(image.astype(np.complex64), axes=(1, 2), overwrite_x=True)
    if Artefact.MOTION in artefacts:
        move_lines(spoiling, frequencies, phase)
    window = _k_space_window(grid, style, phase)
    noise = np.float32(_MARROW_ON_T1 * _NOISE[kind] / style.snr) / np.sqrt(np.mean(window**2))
    spread = noise * np.float32(np.sqrt(window.size))  # white noise of the image, seen in k-space
    frequencies.real += spread * noisy.standard_normal(frequencies.shape, dtype=np.float32)
    frequencies.imag += spread * noisy.standard_normal(frequencies.shape, dtype=np.float32)
    frequencies *= window
    magnitude = np.abs(scipy.fft.ifft2(frequencies, axes=(1, 2), overwrite_x=True))
    scaled = np.clip(np.rint(magnitude * np.float32(style.stored_scale)), 0, _STORED_MAXIMUM)
    stored: NDArray[np.uint16] = scaled.astype(np.uint16)
    border = round(style.border * stored.shape[1])
    if border:
        stored[:, :border] = stored[:, -border:] = 0
    return stored


def _received(
    rng: np.random.Generator, signal: Signal, grid: SliceGrid, style: SiteStyle, kind: SequenceKind
) -> Float32:
    """What reaches the receiver: water and fat apart by the chemical shift, under the coil's profile."""
    region = grid.whole()
    shift = round(style.chemical_shift_px * style.acquired_mm[1] / grid.pixel_mm)
    fat = shifted(signal.fat, shift, 1 if style.phase_axis is PhaseAxis.ROW else 2)
    if kind is SequenceKind.T2FS and style.fat_suppression is FatSuppression.SATURATION:
        fat = fat * np.exp(_smooth_field(rng, region, style.fat_unevenness, 260.0))
    image = (signal.water + fat) * _coil(region, style)
    image *= np.exp(_smooth_field(rng, region, style.bias, 400.0))
    if kind is not SequenceKind.T1 and style.saturation_band < 1.0:
        middle = float(region.a.mean())
        ahead = (np.float32(middle - _BAND_BEFORE_MM) - region.a) / np.float32(_BAND_EDGE_MM)
        image *= 1.0 - np.float32(1.0 - style.saturation_band) / (1.0 + np.exp(-ahead))
    received: Float32 = image.astype(np.float32, copy=False)
    return received


def _coil(region: Region, style: SiteStyle) -> Float32:
    """Surface coil at the back; about 1 near the spine."""
    back = float(region.a.max()) - 45.0
    middle = float(region.h.mean())
    profile = np.exp(-np.abs(region.a - np.float32(back)) / np.float32(style.coil_depth_mm))
    profile *= np.float32(np.exp(80.0 / style.coil_depth_mm))
    profile *= np.exp(-0.5 * ((region.h - np.float32(middle)) / np.float32(style.coil_length_mm)) ** 2)
    corrected: Float32 = profile ** np.float32(1.0 - style.coil_corrected)
    return corrected


def _smooth_field(rng: np.random.Generator, region: Region, deviation: float, period_mm: float) -> Float32:
    """A few slow waves over the slice, the same in every slice."""
    amplitudes, phases = rng.normal(0.0, deviation, 3), rng.uniform(0.0, 2.0 * np.pi, 3)
    rate = np.float32(2.0 * np.pi / period_mm)
    a, h = region.a[:1], region.h[:1]
    waves = (np.sin(rate * axis + np.float32(phase)) for axis, phase in zip((a, h, a + h), phases, strict=True))
    field: Float32 = np.sum([np.float32(s) * wave for s, wave in zip(amplitudes, waves, strict=True)], axis=0)
    return field.astype(np.float32, copy=False)


def _k_space_window(grid: SliceGrid, style: SiteStyle, phase: int) -> Float32:
    """The acquired part of k-space, (Y, X): what lies outside is filled with zeros."""
    along_phase, along_frequency = style.acquired_share(grid.pixel_mm)
    parts = (along_phase, along_frequency) if phase == 1 else (along_frequency, along_phase)
    rows, columns = (
        _axis_window(size, part, style.edge_filter) for size, part in zip(grid.shape[1:], parts, strict=True)
    )
    window: Float32 = rows[:, None] * columns[None, :]
    return window


def _axis_window(size: int, part: float, smooth: float) -> Float32:
    """Keep the central `part` of the frequencies; `smooth` rolls them off towards the edge (less ringing)."""
    frequency = np.abs(np.fft.fftfreq(size)) * 2.0
    rolled = np.cos(0.5 * np.pi * np.clip((frequency / part - 0.5) / 0.5, 0.0, 1.0)) ** 2
    window: Float32 = ((frequency <= part) * (1.0 - smooth + smooth * rolled)).astype(np.float32)
    return window
