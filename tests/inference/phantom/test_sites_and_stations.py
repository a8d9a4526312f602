"""Sites differ in style and nothing else; stations share the patient."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.findings import Verdict
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.patient import draw_subject
from inference.phantom.scanner.sites import site_style
from inference.phantom.scanner.stations import PLANS, Station
from inference.phantom.tissue import FatSuppression

CONFIG = PhantomConfig(matrix=64, lesion_free_fraction=0.0)


def test_a_site_has_the_same_style_in_every_set() -> None:
    styles = [
        draw_subject(index, seed=seed, config=replace(CONFIG, sites=(3,))).site for index in (0, 5) for seed in (1, 2)
    ]

    assert styles == [site_style(3)] * 4


def test_patients_come_from_the_wanted_sites_alike() -> None:
    seen = Counter(draw_subject(n, seed=1, config=replace(CONFIG, sites=(2, 5))).site.name for n in range(120))

    assert set(seen) == {"S02", "S05"}
    assert min(seen.values()) > 35


def test_sites_differ_in_every_part_of_their_style() -> None:
    styles = [site_style(number) for number in range(12)]

    for field in ("snr", "acquired_mm", "coil_depth_mm", "bias", "stored_scale", "fov_scale", "t1_ms", "fs_ms"):
        assert len({getattr(style, field) for style in styles}) > 8, field
    assert {style.fat_suppression for style in styles} == {FatSuppression.STIR, FatSuppression.SATURATION}
    assert len({style.phase_axis for style in styles}) == 2
    assert len({style.thickness_mm for style in styles}) >= 4


def test_the_site_tells_nothing_of_the_verdict() -> None:
    subjects = [draw_subject(index, seed=6, config=replace(CONFIG, sites=(0, 1))) for index in range(400)]
    share = [
        np.mean([s.truth.label is Verdict.MALIGNANT for s in subjects if s.site.number == number]) for number in (0, 1)
    ]

    # Four standard errors of a difference of two rates near one half.
    assert abs(share[0] - share[1]) < 4 * np.sqrt(0.5 / 200)


def test_another_site_changes_the_picture_and_not_the_patient() -> None:
    one, other, third = (draw_subject(4, seed=1, config=replace(CONFIG, sites=s)) for s in ((0,), (1,), (5, 6, 7)))

    assert one.truth == replace(other.truth, site="S00") == replace(third.truth, site="S00")
    assert one.age_years == other.age_years
    first, second = (generate_patient(4, seed=1, config=replace(CONFIG, sites=(number,))) for number in (0, 1))
    assert first.style != second.style
    assert not np.array_equal(first.series[0].pixels[3], second.series[0].pixels[3])


def test_a_negative_site_number_is_refused() -> None:
    with pytest.raises(ValueError, match="site number is -1"):
        site_style(-1)


def test_a_second_station_adds_three_series_of_the_same_patient_in_the_same_space() -> None:
    single = generate_patient(4, seed=1, config=CONFIG)
    double = generate_patient(4, seed=1, config=replace(CONFIG, stations=2))

    assert [series.station for series in double.series[:3]] == [single.series[0].station] * 3
    assert len({series.station for series in double.series}) == 2
    assert [series.kind for series in double.series[3:]] == [series.kind for series in double.series[:3]]
    for before, after in zip(single.series, double.series[:3], strict=True):
        assert np.array_equal(before.pixels, after.pixels)
    assert double.truth == single.truth
    heights = [float(series.positions_mm[:, 2].mean()) for series in double.series]
    assert abs(heights[3] - heights[0]) > 50.0


def test_a_lesion_seen_from_both_stations_has_a_box_in_both() -> None:
    config = replace(CONFIG, stations=2, regions=(SpineRegion.LUMBAR,))
    seen = 0
    for index in range(12):
        subject = draw_subject(index, seed=3, config=config)
        if subject.station is not Station.LUMBOSACRAL or subject.truth.lesions[0].level not in ("L4", "L3"):
            continue
        patient = generate_patient(index, seed=3, config=config)
        assert all(any(series.boxes) for series in patient.series)
        seen += 1

    assert seen > 0


@pytest.mark.parametrize("region", SpineRegion)
def test_body_parts_name_the_station(region: SpineRegion) -> None:
    patient = generate_patient(2, seed=1, config=replace(CONFIG, regions=(region,), maximum_slices=11))

    assert patient.body_part == PLANS[patient.series[0].station].body_part
    assert {series.body_part for series in patient.series} == {patient.body_part}
    assert patient.regions == (region,)


def test_the_field_of_view_is_the_sites_unless_the_set_asks_for_one() -> None:
    usual = generate_patient(2, seed=1, config=replace(CONFIG, sites=(4,), regions=(SpineRegion.CERVICAL,)))
    asked = generate_patient(2, seed=1, config=replace(CONFIG, sites=(4,), fov_mm=256.0))

    assert 215.0 <= usual.series[0].pixel_spacing_mm[0] * CONFIG.matrix <= 260.0
    assert asked.series[0].pixel_spacing_mm == (4.0, 4.0)
