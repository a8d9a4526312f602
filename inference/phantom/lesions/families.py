"""Looks and families: what a lesion is painted as, and what it is called.

A look is drawn from the signs and the region alone, so it tells no more of the verdict than the signs do and the Bayes
oracle stays the ceiling. The family is the name of a look under a verdict: each look has a benign and a malignant one,
as a careful reader would also mistake the two for each other.
Source: phantom specification, item 6 (families) and item 7 (signs); which look goes with which signs is chosen.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import numpy as np

from inference.datasets import SpineRegion
from inference.findings import Verdict
from inference.phantom.law import Sign


class Look(StrEnum):
    """How the inside of a lesion is painted, and where it grows."""

    STRIATED = "striated"  # upright coarse trabeculae
    FATTY = "fatty"
    HAEMORRHAGIC = "haemorrhagic"  # bright on T1 and with fat suppression
    NERVE_SHEATH = "nerve_sheath"  # smooth, through a foramen, with cysts
    DURAL = "dural"  # broad on the dura, with a tail
    NIDUS = "nidus"  # a round core in a dark rim and oedema
    CHAMBERED = "chambered"  # septa and fluid levels
    CELLULAR = "cellular"
    INFILTRATIVE = "infiltrative"  # patchy, marrow left between
    SCLEROTIC = "sclerotic"
    LOBULATED = "lobulated"  # sacral, very bright on T2


class Family(StrEnum):
    HEMANGIOMA = "hemangioma"
    LIPID_POOR_HEMANGIOMA = "lipid_poor_hemangioma"
    SCHWANNOMA = "schwannoma"
    MENINGIOMA = "meningioma"
    OSTEOBLASTOMA = "osteoblastoma"
    ANEURYSMAL_BONE_CYST = "aneurysmal_bone_cyst"
    ENOSTOSIS = "enostosis"
    LYTIC_METASTASIS = "lytic_metastasis"
    SCLEROTIC_METASTASIS = "sclerotic_metastasis"
    MYELOMA = "myeloma"
    PLASMACYTOMA = "plasmacytoma"
    LYMPHOMA = "lymphoma"
    CHORDOMA = "chordoma"


# (benign, malignant) name of each look.
_FAMILIES: Final[dict[Look, tuple[Family, Family]]] = {
    Look.STRIATED: (Family.HEMANGIOMA, Family.PLASMACYTOMA),
    Look.FATTY: (Family.HEMANGIOMA, Family.LYTIC_METASTASIS),
    Look.HAEMORRHAGIC: (Family.HEMANGIOMA, Family.LYTIC_METASTASIS),
    Look.NERVE_SHEATH: (Family.SCHWANNOMA, Family.LYMPHOMA),
    Look.DURAL: (Family.MENINGIOMA, Family.LYMPHOMA),
    Look.NIDUS: (Family.OSTEOBLASTOMA, Family.LYTIC_METASTASIS),
    Look.CHAMBERED: (Family.ANEURYSMAL_BONE_CYST, Family.LYTIC_METASTASIS),
    Look.CELLULAR: (Family.LIPID_POOR_HEMANGIOMA, Family.LYTIC_METASTASIS),
    Look.INFILTRATIVE: (Family.LIPID_POOR_HEMANGIOMA, Family.MYELOMA),
    Look.SCLEROTIC: (Family.ENOSTOSIS, Family.SCLEROTIC_METASTASIS),
    Look.LOBULATED: (Family.SCHWANNOMA, Family.CHORDOMA),
}


def draw_look(rng: np.random.Generator, signs: Mapping[str, bool], region: SpineRegion) -> Look:
    """The look that goes with the signs; one random number is spent whatever they are."""
    chance = float(rng.random())
    extends = signs[Sign.ILL_MARGIN] or signs[Sign.DIFFUSE] or signs[Sign.MULTILEVEL]
    if region is SpineRegion.SACRAL and signs[Sign.FS_BRIGHT] and not signs[Sign.COARSE_TRABECULAE]:
        return Look.LOBULATED
    if signs[Sign.COARSE_TRABECULAE]:
        return Look.STRIATED
    if signs[Sign.DUMBBELL]:
        return Look.NERVE_SHEATH
    if signs[Sign.EPIDURAL_MASS] and not extends and not signs[Sign.CORTICAL_BREAK] and chance < 0.6:
        return Look.DURAL
    return _look_of_bone(signs, chance, extends=extends)


def family_of(look: Look, verdict: Verdict, signs: Mapping[str, bool]) -> Family:
    """The name of a look: a striated lesion that is dark on T1 is short of fat."""
    if look is Look.STRIATED and verdict is Verdict.BENIGN and signs[Sign.T1_DARK]:
        return Family.LIPID_POOR_HEMANGIOMA
    return _FAMILIES[look][verdict is Verdict.MALIGNANT]


def _look_of_bone(signs: Mapping[str, bool], chance: float, *, extends: bool) -> Look:
    if not signs[Sign.FS_BRIGHT]:
        return Look.SCLEROTIC if signs[Sign.T1_DARK] else Look.FATTY
    if not extends and signs[Sign.CORTICAL_BREAK] and chance < 0.7:
        return Look.CHAMBERED
    if not signs[Sign.T1_DARK]:
        return Look.HAEMORRHAGIC
    if not extends and chance < 0.7:
        return Look.NIDUS
    return Look.INFILTRATIVE if signs[Sign.DIFFUSE] and chance < 0.6 else Look.CELLULAR
