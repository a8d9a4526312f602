"""Which patients the pictures show."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from inference.findings import Verdict
from inference.phantom.law import MimicTruth, Sign
from inference.phantom.lesions.families import Family
from inference.phantom.lesions.mimics import MimicKind
from inference.phantom.scene_drawing import draw_scene
from inference.phantom.subject import PhantomConfig, Subject, draw_subject

_SEARCHED: Final = 1200
_IN_VIEW_MM: Final = 70.0  # from the middle of the station
_IN_MIDDLE_MM: Final = 6.0
_LOINS: Final = ("L1", "L2", "L3", "L4")


# Signs of a textbook case; the law gives them to a family more or less often.
_TEXTBOOK: Final[dict[Family, frozenset[Sign]]] = {
    Family.HEMANGIOMA: frozenset({Sign.COARSE_TRABECULAE}),
    Family.LIPID_POOR_HEMANGIOMA: frozenset({Sign.COARSE_TRABECULAE, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.SCHWANNOMA: frozenset({Sign.DUMBBELL, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.MENINGIOMA: frozenset({Sign.EPIDURAL_MASS, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.OSTEOBLASTOMA: frozenset({Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.ANEURYSMAL_BONE_CYST: frozenset({Sign.CORTICAL_BREAK, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.ENOSTOSIS: frozenset({Sign.T1_DARK}),
    Family.LYTIC_METASTASIS: frozenset({Sign.ILL_MARGIN, Sign.CORTICAL_BREAK, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.SCLEROTIC_METASTASIS: frozenset({Sign.ILL_MARGIN, Sign.MULTILEVEL, Sign.T1_DARK}),
    Family.MYELOMA: frozenset({Sign.DIFFUSE, Sign.MULTILEVEL, Sign.ILL_MARGIN, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.PLASMACYTOMA: frozenset({Sign.COARSE_TRABECULAE, Sign.DIFFUSE, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.LYMPHOMA: frozenset({Sign.DUMBBELL, Sign.EPIDURAL_MASS, Sign.ILL_MARGIN, Sign.T1_DARK, Sign.FS_BRIGHT}),
    Family.CHORDOMA: frozenset({Sign.CORTICAL_BREAK, Sign.T1_DARK, Sign.FS_BRIGHT}),
}


def family_examples(verdict: Verdict, *, seed: int, config: PhantomConfig) -> dict[Family, int]:
    """Index of the patient of each family whose signs come nearest to the textbook."""
    best: dict[Family, tuple[int, int]] = {}
    for index in range(_SEARCHED):
        truth = draw_subject(index, seed=seed, config=config).truth
        if truth.label is not verdict:
            continue
        family = Family(truth.family)
        differing = sum(truth.signs[sign] is not (sign in _TEXTBOOK[family]) for sign in Sign)
        best[family] = min(best.get(family, (len(Sign), index)), (differing, index))
    return {family: best[family][1] for family in Family if family in best}


def mimic_example(kind: MimicKind, *, seed: int, config: PhantomConfig) -> tuple[int, MimicTruth]:
    """The first patient with a mimic of that kind in the loins, near the middle of the images."""
    for index in range(_SEARCHED):
        for mimic in draw_subject(index, seed=seed, config=config).truth.mimics:
            near = abs(mimic.centre_mm[2]) < _IN_VIEW_MM and abs(mimic.centre_mm[0]) < _IN_MIDDLE_MM
            if mimic.kind == kind and near and mimic.level in _LOINS:
                return index, mimic
    raise LookupError(f"no {kind} among {_SEARCHED} patients")


def lumbar_count(count: int, *, seed: int, config: PhantomConfig) -> int:
    """The first patient with so many lumbar vertebrae."""
    for index in range(_SEARCHED):
        levels = [v.level for v in draw_subject(index, seed=seed, config=config).scene.spine.vertebrae]
        if sum(level.startswith("L") for level in levels) == count:
            return index
    raise LookupError(f"no patient with {count} lumbar vertebrae among {_SEARCHED}")


def with_signs(signs: Iterable[Sign], *, seed: int, config: PhantomConfig) -> Subject:
    """One body, always the same, with a lesion that has these signs."""
    subject = draw_subject(0, seed=seed, config=config)
    present = {str(sign): sign in tuple(signs) for sign in Sign}
    scene = draw_scene(
        np.random.default_rng(seed), present, region=subject.truth.region, station=subject.station, female=True
    )
    return replace(subject, scene=scene)
