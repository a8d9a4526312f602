"""Boxes of the whole pipeline lie where the lesions were planted; a pipeline that misplaces them is told."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.case import Case
from inference.findings import Box, BundleIdentity, Findings, Lesion, Verdict
from inference.phantom.data_set import windowed
from inference.pipeline import Pipeline
from inference.wff.config import FusionConfig
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.phantom_verification.findings import Judgement
from inference.wff.phantom_verification.items_detection import travelled
from inference.wff.phantom_verification.scale import quick_scale
from inference.wff.phantom_verification.travellers import Journey, pipeline_of, travel, traveller
from inference.wff.reading import DetectedBox
from inference.wff.training.display import Silent

SCALE = replace(quick_scale(seed=1), travellers=2)


class KnownSlices(AbstractContextManager["KnownSlices"]):
    """A detection that knows every slice by its grey values, and what was planted on it."""

    def __init__(self, planted: dict[bytes, SliceBoxes]) -> None:
        self._planted = planted
        self._found: list[tuple[SliceBoxes, ...]] = []

    def add(self, images: np.ndarray) -> None:
        self._found.append(tuple(self._planted[image.tobytes()] for image in images))

    def results(self) -> list[tuple[SliceBoxes, ...]]:
        return self._found

    def __exit__(self, *raised: object) -> None:
        pass


@pytest.fixture(scope="module")
def planted() -> dict[bytes, SliceBoxes]:
    patients = [traveller(SCALE, number) for number in range(SCALE.travellers)]
    return {
        image.tobytes(): tuple(DetectedBox(box, Verdict.MALIGNANT, 0.9) for box in boxes)
        for patient in patients
        for series in patient.series
        for image, boxes in zip(windowed(series), series.boxes, strict=True)
    }


@pytest.fixture
def model(micro_model: WffModel, planted: dict[bytes, SliceBoxes], monkeypatch: pytest.MonkeyPatch) -> WffModel:
    """Finds what was planted and nothing else, if the slices come to it as they were painted."""
    knowing = micro_model.with_fusion(FusionConfig(tau=0.5))
    monkeypatch.setattr(knowing, "detection", lambda: KnownSlices(planted))
    return knowing


class Faulty:
    """The pipeline, and then a fault in what it says."""

    def __init__(self, pipeline: Pipeline, fault: Callable[[Findings], Findings]) -> None:
        self._pipeline, self._fault = pipeline, fault

    @property
    def identity(self) -> BundleIdentity:
        return self._pipeline.identity

    def run(self, case: Case) -> Findings:
        return self._fault(self._pipeline.run(case))


def on_each_lesion(change: Callable[[Lesion, Findings], Lesion]) -> Callable[[Findings], Findings]:
    return lambda findings: replace(findings, lesions=tuple(change(one, findings) for one in findings.lesions))


def moved(pixels: float) -> Callable[[Lesion, Findings], Lesion]:
    def move(lesion: Lesion, _: Findings) -> Lesion:
        box = lesion.box
        return replace(lesion, box=Box(x0=box.x0 + pixels, y0=box.y0, x1=box.x1 + pixels, y1=box.y1))

    return move


def half_a_pixel_off_in_space(lesion: Lesion, _: Findings) -> Lesion:
    return replace(lesion, corners_mm=tuple((x, y + 1.7, z) for x, y, z in lesion.corners_mm))


def on_another_image(lesion: Lesion, findings: Findings) -> Lesion:
    images = [image for used in findings.series_used for image in used.images]
    return replace(lesion, image=images[(images.index(lesion.image) + 2) % len(images)])


def without_a_series(findings: Findings) -> Findings:
    return replace(findings, series_used=findings.series_used[1:])


def turned_round(findings: Findings) -> Findings:
    return replace(
        findings, series_used=tuple(replace(used, images=used.images[::-1]) for used in findings.series_used)
    )


def journeys(pipeline: Pipeline, model: WffModel, folder: Path, travellers: int = 1) -> list[Journey]:
    return travel(pipeline, model, replace(SCALE, travellers=travellers), folder, Silent())


def test_planted_boxes_come_back_on_their_images_from_classic_and_enhanced_files_of_each_site(
    model: WffModel, tmp_path: Path
) -> None:
    made = journeys(pipeline_of(model), model, tmp_path, travellers=2)
    findings = travelled(SCALE, made)

    assert [one.site for one in made] == ["S00", "S00", "S01", "S01"]
    assert all(one.hit == one.hit_on_arrays == one.planted == one.boxes > 0 for one in made)
    assert all(set(one.offsets) == {(0.0, 0.0)} for one in made)
    assert all(one.millimetres < 0.01 for one in made)
    assert [one.verdict for one in findings] == [Judgement.HOLDS] * 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fault", "rows"),
    [
        (on_each_lesion(moved(2)), [0, 3]),
        (on_each_lesion(moved(40)), [0, 2]),
        (on_each_lesion(half_a_pixel_off_in_space), [1]),
        (on_each_lesion(on_another_image), [0, 1]),
        (without_a_series, [0]),
        (turned_round, [0]),
    ],
)
def test_a_box_that_is_not_where_it_was_planted_is_told(
    model: WffModel, tmp_path: Path, fault: Callable[[Findings], Findings], rows: list[int]
) -> None:
    findings = travelled(SCALE, journeys(Faulty(pipeline_of(model), fault), model, tmp_path))

    assert {n for n, one in enumerate(findings) if not one.holds} >= set(rows)


def test_a_pipeline_that_reports_nothing_leaves_nothing_to_compare(model: WffModel, tmp_path: Path) -> None:
    silent = model.with_fusion(FusionConfig(tau=0.95))

    findings = travelled(SCALE, journeys(pipeline_of(silent), silent, tmp_path))

    assert [one.verdict for one in findings] == [Judgement.UNSURE] * 4


def test_networks_say_the_same_of_files_as_of_training_arrays(micro_model: WffModel, tmp_path: Path) -> None:
    eager = micro_model.with_fusion(FusionConfig(tau=0.06))  # untrained nets give low scores

    made = journeys(pipeline_of(eager), eager, tmp_path)
    pixels, millimetres, *_ = travelled(SCALE, made)

    assert sum(one.boxes for one in made) > 20
    assert pixels.holds
    assert millimetres.holds
