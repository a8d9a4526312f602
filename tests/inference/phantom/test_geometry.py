"""Series of one patient show one body: what lies at a place in one lies there in the others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.datasets import SpineRegion
from inference.phantom import PhantomConfig, PhantomPatient, PhantomSeries, generate_patient
from inference.phantom.grid import SliceGrid
from inference.phantom.painting.scene_painting import paint_scene
from inference.phantom.patient import draw_subject
from tests.inference.phantom.painted import T2

CONFIG = PhantomConfig(lesion_free_fraction=0.0, matrix=128)
SEED = 8


@pytest.fixture(scope="module", params=[SpineRegion.CERVICAL, SpineRegion.LUMBAR])
def patient(request: pytest.FixtureRequest) -> PhantomPatient:
    config = PhantomConfig(lesion_free_fraction=0.0, matrix=128, regions=(request.param,))
    return generate_patient(1, seed=SEED, config=config)


def lps(series: PhantomSeries, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) voxels (k, j, i) -> (n, 3) mm."""
    points: NDArray[np.float64] = voxels @ series.affine_lps[:3, :3].T + series.affine_lps[:3, 3]
    return points


def test_lesions_lie_at_the_same_place_in_all_series(patient: PhantomPatient) -> None:
    for number, _ in enumerate(patient.truth.lesions):
        centres = []
        for series in patient.series:
            mask = series.masks[number]
            start = [axis.start for axis in mask.index]
            centres.append(lps(series, np.argwhere(mask.voxels) + np.array(start, dtype=float)).mean(axis=0))
        pixel = patient.series[0].pixel_spacing_mm[0]
        for centre in centres[1:]:
            # Within the plane; across it the slices cut at different places.
            assert np.abs(centre - centres[0])[1:].max() < pixel


def test_the_canal_runs_along_the_same_curve_in_all_series(patient: PhantomPatient) -> None:
    scene = draw_subject(patient.index, seed=SEED, config=patient.config).scene
    curves = []
    for series in patient.series:
        signal, _ = paint_scene(scene, SliceGrid(series.affine_lps, series.pixels.shape), T2)
        row = scene.spine.table_index
        voxels = np.argwhere(signal.pulsation > 0.6).astype(float)
        points = lps(series, voxels)
        behind = scene.spine.behind_wall_mm(points[:, 1].astype(np.float32), row(points[:, 2].astype(np.float32)))
        canal = points[(behind > 0) & (behind < 20) & (np.abs(points[:, 0]) < 5)]
        curves.append([canal[np.abs(canal[:, 2] - z) < 5.0, 1].mean() for z in (0.0, 15.0, 30.0, 45.0)])

    pixel = patient.series[0].pixel_spacing_mm[0]
    assert np.abs(np.array(curves) - curves[0]).max() < pixel


def test_each_series_is_off_the_plan_by_at_most_two_millimetres_and_two_degrees() -> None:
    patients = [
        generate_patient(index, seed=2, config=PhantomConfig(matrix=64, maximum_slices=11)) for index in range(6)
    ]
    shifts = np.array([series.pose.shift_mm for p in patients for series in p.series])
    turns = np.array([series.pose.turn_deg for p in patients for series in p.series])

    assert np.abs(shifts).max() <= 2.0
    assert np.abs(turns).max() <= 2.0
    assert shifts.std() > 0.5
    assert turns.std() > 0.5
    assert len(np.unique(shifts[:, 0])) == len(shifts)


def test_the_pose_is_the_one_that_the_planes_have(patient: PhantomPatient) -> None:
    for series in patient.series:
        normal = np.cross(series.orientation[:3], series.orientation[3:])
        _, about_y, about_z = np.deg2rad(series.pose.turn_deg)

        assert normal == pytest.approx((-1.0, -about_z, about_y), abs=2e-3)
