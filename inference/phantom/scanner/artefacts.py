"""What spoils an image: chemical shift, ghosts of pulsation, motion between lines of k-space."""

import numpy as np
from numpy.typing import NDArray

from inference.phantom.grid import Float32


def shifted(image: Float32, pixels: int, axis: int) -> Float32:
    """Moved along an axis; what enters is a copy of the edge."""
    if pixels == 0:
        return image
    moved = np.roll(image, pixels, axis=axis)
    edge = [slice(None)] * image.ndim
    source = [slice(None)] * image.ndim
    edge[axis] = slice(0, pixels) if pixels > 0 else slice(pixels, None)
    source[axis] = slice(0, 1) if pixels > 0 else slice(-1, None)
    moved[tuple(edge)] = image[tuple(source)]
    return moved


def add_ghosts(rng: np.random.Generator, image: Float32, pulsation: Float32, phase_axis: int) -> Float32:
    """Faint copies of blood and CSF at equal distances along the phase axis; bright or dark, as their phase falls."""
    moving = image * pulsation
    strength, count = float(rng.uniform(0.08, 0.22)), int(rng.integers(3, 7))
    distance = image.shape[phase_axis] // count
    spoiled = image * (1.0 - np.float32(strength) * pulsation)
    for order in (1, -1, 2, -2):
        copy = np.roll(moving, order * distance, axis=phase_axis)
        spoiled += np.float32(strength / abs(order) * np.cos(float(rng.uniform(0.0, 2.0 * np.pi)))) * copy
    return spoiled


def move_lines(rng: np.random.Generator, frequencies: NDArray[np.complex64], phase_axis: int) -> None:
    """The patient moves a little for a while: some lines of k-space, in place, are those of a shifted patient."""
    size = frequencies.shape[phase_axis]
    line = np.fft.fftfreq(size)
    far = np.abs(line) > 0.04  # the middle of k-space is kept, or the whole image would be double
    start, length = rng.uniform(0.05, 0.35), rng.uniform(0.03, 0.12)
    moved = far & (np.abs(line) > start) & (np.abs(line) < start + length)
    shift = float(rng.uniform(1.0, 3.0)) * size / 256.0
    ramp = np.where(moved, np.exp(-2j * np.pi * line * shift), 1.0).astype(np.complex64)
    frequencies *= ramp[None, :, None] if phase_axis == 1 else ramp[None, None, :]
