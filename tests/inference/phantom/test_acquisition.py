"""The scanner does to a known signal what its site's style says."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.findings import SequenceKind
from inference.phantom.grid import Float32, SliceGrid
from inference.phantom.painting.scene_painting import Signal
from inference.phantom.scanner.acquisition import Artefact, acquire, draw_artefacts
from inference.phantom.scanner.sites import PhaseAxis, SiteStyle, site_style

SHAPE = (3, 128, 128)
EVEN = replace(
    site_style(0),
    snr=1e6,
    bias=0.0,
    coil_corrected=1.0,
    saturation_band=1.0,
    border=0.0,
    edge_filter=0.0,
    acquired_mm=(0.1, 0.1),
    chemical_shift_px=0,
    stored_scale=1000.0,
    phase_axis=PhaseAxis.ROW,
)


def grid() -> SliceGrid:
    affine = np.array([[-4.0, 0, 0, 4.0], [0, 0, 2.0, -128.0], [0, -2.0, 0, 128.0], [0, 0, 0, 1.0]])
    return SliceGrid(affine, SHAPE)


def square(value: float = 1.0) -> Float32:
    image = np.zeros(SHAPE, dtype=np.float32)
    image[:, 40:80, 50:90] = value
    return image


def scanned(style: SiteStyle, *, fat: bool = False, artefacts: tuple[Artefact, ...] = ()) -> NDArray[np.int64]:
    nothing = np.zeros(SHAPE, dtype=np.float32)
    signal = Signal(nothing if fat else square(), square() if fat else nothing, square())
    pixels = acquire(np.random.default_rng(3), signal, grid(), style, SequenceKind.T1, artefacts)
    return pixels.astype(np.int64)


def test_a_perfect_scanner_stores_the_signal_times_its_scale() -> None:
    assert scanned(EVEN) == pytest.approx(1000.0 * square(), abs=1.0)


def test_noise_is_the_sites_and_follows_rice() -> None:
    """Marrow on T1 is .43; in air the magnitude of complex noise has the mean sigma times sqrt(pi / 2)."""
    sigma = 1000.0 * 0.43 / 20.0

    image = scanned(replace(EVEN, snr=20.0))

    assert image[:, 45:75, 55:85].std() == pytest.approx(sigma, rel=0.1)
    assert image[:, :30, :30].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2.0), rel=0.1)


def test_a_coarse_acquisition_leaves_k_space_empty_outside() -> None:
    image = scanned(replace(EVEN, acquired_mm=(4.0, 2.5)))

    power = np.abs(np.fft.fft2(image[1]))
    frequency = np.abs(np.fft.fftfreq(SHAPE[1])) * 2.0
    assert power[:, frequency > 0.55].max() < 0.01 * power.max()  # phase, along a row: half of it acquired
    assert power[frequency > 0.85].max() < 0.01 * power.max()


def test_a_sharp_crop_rings_and_a_filtered_one_does_not() -> None:
    sharp = scanned(replace(EVEN, acquired_mm=(4.0, 4.0)))
    smooth = scanned(replace(EVEN, acquired_mm=(4.0, 4.0), edge_filter=1.0))

    inner = np.s_[:, 46:74, 56:84]
    assert sharp[inner].std() > 8.0
    assert smooth[inner].std() < 0.4 * sharp[inner].std()


def test_fat_is_shifted_along_the_frequency_axis_only() -> None:
    style = replace(EVEN, chemical_shift_px=1, acquired_mm=(0.1, 2.0))

    water, fat = scanned(style), scanned(style, fat=True)

    assert fat == pytest.approx(np.roll(water, 1, axis=1), abs=1)
    assert np.abs(fat - water).max() > 900


@pytest.mark.parametrize(("axis", "along"), [(PhaseAxis.ROW, 2), (PhaseAxis.COLUMN, 1)])
def test_ghosts_lie_along_the_phase_axis(axis: PhaseAxis, along: int) -> None:
    style = replace(EVEN, phase_axis=axis)

    ghosts = np.abs(scanned(style, artefacts=(Artefact.GHOSTS,)) - scanned(style))

    beside = ghosts[:, 40:80] if along == 2 else ghosts[:, :, 50:90]
    elsewhere = np.delete(ghosts, np.s_[40:80] if along == 2 else np.s_[50:90], axis=3 - along)
    assert beside.max() > 10
    assert elsewhere.max() <= 1


def test_motion_spoils_the_image_along_the_phase_axis() -> None:
    spoiled = np.abs(scanned(EVEN, artefacts=(Artefact.MOTION,)) - scanned(EVEN))

    assert spoiled[:, 40:80].max() > 20
    assert np.delete(spoiled, np.s_[40:80], axis=1).max() <= 1


def test_an_artefact_leaves_the_noise_as_it_is() -> None:
    style = replace(EVEN, snr=20.0)

    difference = scanned(style, artefacts=(Artefact.GHOSTS,)) - scanned(style)

    assert np.abs(difference[:, :30]).max() <= 1


def test_the_coil_fades_towards_the_front_and_vendors_may_correct_it() -> None:
    plain = Signal(np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32))
    profiles = []
    for corrected in (0.0, 0.8):
        style = replace(EVEN, coil_corrected=corrected, coil_depth_mm=120.0, stored_scale=500.0)
        image = acquire(np.random.default_rng(0), plain, grid(), style, SequenceKind.T1)
        profiles.append(image[1, 64, 10] / image[1, 64, 90])

    assert profiles[0] < 0.35
    assert profiles[0] < profiles[1] < 0.9


def test_the_saturation_band_darkens_the_front_on_t2_and_not_on_t1() -> None:
    plain = Signal(np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32))
    style = replace(EVEN, saturation_band=0.2)
    t1, t2 = (
        acquire(np.random.default_rng(0), plain, grid(), style, kind)[1, 64]
        for kind in (SequenceKind.T1, SequenceKind.T2)
    )

    assert t2[5] == pytest.approx(0.2 * t1[5], rel=0.1)
    assert t2[90] == pytest.approx(t1[90], rel=0.05)


def test_a_border_is_black_on_both_ends() -> None:
    image = scanned(replace(EVEN, snr=10.0, border=0.1))

    assert not image[:, :13].any()
    assert not image[:, -13:].any()
    assert image[:, 13:-13].any()


def test_ghosts_occur_in_a_fifth_of_the_series_and_motion_in_a_tenth() -> None:
    drawn = [draw_artefacts(np.random.default_rng(seed)) for seed in range(1000)]

    for artefact, rate in ((Artefact.GHOSTS, 0.2), (Artefact.MOTION, 0.1)):
        share = np.mean([artefact in artefacts for artefacts in drawn])
        assert share == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 1000))
