"""Harmless findings: in every kind of patient alike, never labelled, and seen in the picture."""

from dataclasses import replace

import numpy as np
import pytest

from inference.datasets import SpineRegion
from inference.findings import Verdict
from inference.phantom import PhantomConfig
from inference.phantom.lesions.mimics import MimicKind
from inference.phantom.scene import Scene
from inference.phantom.subject import Subject, draw_subject
from inference.phantom.tissue import Sequence
from tests.inference.phantom.painted import FS, T1, healthy_scene, in_body, painted

COUNT = 400


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    return [draw_subject(index, seed=12, config=PhantomConfig()) for index in range(COUNT)]


def scene_of(kind: MimicKind) -> Scene:
    """A lumbar scene with a mimic of that kind well in view."""
    for seed in range(200):
        scene = healthy_scene(seed)
        if any(m.kind is kind and m.vertebra.region is SpineRegion.LUMBAR for m in scene.mimics):
            return scene
    raise LookupError(f"no {kind} among 200 scenes")


def change(kind: MimicKind, sequence: Sequence) -> float:
    """Largest change of the signal that the mimics of one kind make in the bodies, part of the marrow's signal."""
    scene = scene_of(kind)
    with_it, _ = painted(scene, sequence)
    without, _ = painted(replace(scene, mimics=tuple(m for m in scene.mimics if m.kind is not kind)), sequence)
    bodies = np.any([in_body(m.vertebra, depth_mm=1.0) for m in scene.mimics if m.kind is kind], axis=0)
    difference = (with_it - without)[bodies] / np.median(without[bodies])
    return float(difference[np.abs(difference).argmax()])


@pytest.mark.parametrize("kind", MimicKind)
def test_every_kind_occurs(kind: MimicKind, subjects: list[Subject]) -> None:
    assert any(m.kind == kind for s in subjects for m in s.truth.mimics)


def test_one_patient_in_ten_has_a_small_hemangioma_in_every_class(subjects: list[Subject]) -> None:
    for label in (*Verdict, None):
        group = [s for s in subjects if s.truth.label is label]
        share = np.mean([any(m.kind == MimicKind.INCIDENTAL_HEMANGIOMA for m in s.truth.mimics) for s in group])
        assert share == pytest.approx(0.10, abs=4 * np.sqrt(0.1 * 0.9 / len(group)))


def test_a_fractured_vertebra_is_lower_in_front_and_holds_no_lesion(subjects: list[Subject]) -> None:
    broken = [(s, m) for s in subjects for m in s.scene.mimics if m.kind is MimicKind.OSTEOPOROTIC_FRACTURE]

    assert broken
    for subject, mimic in broken:
        assert mimic.vertebra.wedge > 0.08
        assert mimic.vertebra.level not in {lesion.level for lesion in subject.truth.lesions}
        assert subject.scene.spine.of_level(mimic.vertebra.level) is mimic.vertebra


def test_no_vertebra_above_t5_is_fractured_and_sacral_ones_below_s1_have_no_disc_to_wear(
    subjects: list[Subject],
) -> None:
    at = {kind: {m.level for s in subjects for m in s.truth.mimics if m.kind == kind} for kind in MimicKind}

    assert not at[MimicKind.OSTEOPOROTIC_FRACTURE] & {"T1", "T2", "T3", "T4"}
    for kind in (MimicKind.MODIC_1, MimicKind.MODIC_2, MimicKind.SCHMORL_NODE):
        assert not at[kind] & {"S2", "S3", "S4", "S5", "CO"}
    assert "S1" in at[MimicKind.MODIC_2]


def test_each_kind_shows_as_it_should() -> None:
    assert change(MimicKind.MODIC_2, T1) > 0.15  # fatty
    assert change(MimicKind.MODIC_1, FS) > 0.3  # watery
    assert change(MimicKind.SCHMORL_NODE, T1) < -0.3
    assert change(MimicKind.INCIDENTAL_HEMANGIOMA, T1) > 0.1
    assert change(MimicKind.OSTEOPOROTIC_FRACTURE, T1) < -0.3  # its dark line
