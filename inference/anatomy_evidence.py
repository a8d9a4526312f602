"""Is a sagittal stack a spine? Words of several attributes and geometry are weighed; none decides alone.

Attributes lie (a cervical slice tagged LSPINE, a cervical study tagged HEAD because of its coil), and many are
absent. So each attribute that names a body part gives points for or against, by how far it is trusted, and the
shape of the stack gives its own. The level of the spine does not matter here.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Points an attribute gives. Coded body part: chosen per procedure. Texts of the order and of the protocol: written
# by people. Coil and SeriesDescription: a head-neck coil serves the cervical spine, a description is anything.
_POINTS: Final = {
    "AnatomicRegionSequence": 3,
    "BodyPartExamined": 3,
    "ProtocolName": 2,
    "StudyDescription": 2,
    "RequestedProcedureDescription": 2,
    "PerformedProcedureStepDescription": 2,
    "ProcedureCodeSequence": 2,
    "RequestedProcedureCodeSequence": 2,
    "ReceiveCoilName": 1,
    "SeriesDescription": 1,
}
# These five repeat one order: their votes count once
_ORDER: Final = frozenset(
    {
        "StudyDescription",
        "RequestedProcedureDescription",
        "PerformedProcedureStepDescription",
        "ProcedureCodeSequence",
        "RequestedProcedureCodeSequence",
    }
)
ENOUGH: Final = 2  # points: more than SeriesDescription or the coil can give alone

# Width across the patient. A spine stack covers the vertebrae and the foramina: 4-10 cm; a head 13 cm and more.
NARROWEST_MM: Final = 25.0
WIDEST_MM: Final = 110.0
DOUBTFUL_WIDTH_MM: Final = 125.0
HEAD_WIDTH_MM: Final = 150.0
# Field of view along the body axis: cervical 200-260 mm, lumbar 260-400 mm; knee and shoulder 140-180 mm
SMALLEST_FIELD_MM: Final = 190.0
SPINE_FIELD_MM: Final = 220.0
# Distance between slices of 2-D spine sequences: 3-7 mm thick with up to 1 mm gap
SLICE_DISTANCE_MM: Final = (2.5, 8.5)

# Matched on text without accents, in capitals. \b only where the word is also the start of another one.
_SPINE: Final = re.compile(
    r"SPINE(?!CHO)|SPINAL|LUMB|LOMB|CERVICAL|CERVICO|ZERVIK|SACRUM|SACRAL|SAKRAL|COCCY|VERTEBR(?!OBAS)"
    r"|MYELO|MEDULLA SPINALIS"
    r"|WIRBELS|KREUZBEIN|STEISSBEIN|\b[HBL]WS\b|\bGWS\b"  # German
    r"|RACHI[SD]|COLONNE|COLUMNA|COLONNA|COLUNA|LUMBOSAC"  # French, Spanish, Italian, Portuguese
    r"|WERVEL|\b[CTL]WK\b|RYGG|RYGS|RYGRAD|KOTPELARE"  # Dutch, Scandinavian
    r"|KREGOS[LŁ]|\bPATER\b|BEDERN[IY]|GERINC|SELKARAN|LANNERANK|KAULARANK|OMURGA|LOMBER|SERVIKAL"  # Pl Cz Hu Fi Tr
    r"|ПОЗВОН|ПОЯСНИЧ|ШЕИНОГО ОТД|СПИННО"  # Russian; Й loses its mark above
    r"|椎(?!骨動脈|动脈|動脈|动脉)|脊柱|脊髄|脊髓|仙骨|척추|요추|경추|흉추"  # Japanese, Chinese, Korean
)
_COIL_SPINE: Final = re.compile(r"SPINE|\bSP\d|CTL|\bLS\b")
_ELSEWHERE: Final = re.compile(
    r"BRAIN|HEAD|SKULL|CEREBR|CRANI|CRANE|ENCEPH|PITUIT|SELLA|HYPOPHY|ORBIT|\bIAC\b|\bTMJ\b|\bFACE\b|INTRACRAN"
    r"|KOPF|SCHADEL|SCHAEDEL|HIRN|\bTETE\b|CABEZA|CABECA|CERVELLO|\bTESTA\b|HOOFD|HERSEN|HUVUD|HJARN|GLOW[AY]|MOZG"
    r"|ГОЛОВ|頭|脳|头|颅|脑|두부|뇌"
    r"|KNEE|\bKNIE|GENOU|RODILLA|GINOCCHIO|JOELHO|膝|무릎|SHOULDER|SCHULTER|EPAULE|HOMBRO|SPALLA|OMBRO|肩|어깨"
    r"|\bHIPS?\b|HUFT|HUEFT|HANCHE|CADERA|\bANCA\b|QUADRIL|股関節|ANKLE|\bFOOT\b|\bFEET\b|\bFUSS|SPRUNGG|CHEVILLE"
    r"|TOBILLO|CAVIGLIA|WRIST|\bHAND|ELBOW|EXTREMIT|FEMUR|THIGH|\bLEGS?\b|TIBIA|HUMERUS|FOREARM|\bARM\b"
    r"|PELVIS|PELVI[CE]|BECKEN|BASSIN|PROSTAT|UTER[UI]|RECTUM|SACROILI|SAKROILI|\bISG\b"
    r"|ABDOM|LIVER|HEART|CARDIA|BREAST|MAMMA|CHEST|THORAX\b|AORTA|腹|骨盤|盆腔|心臓|乳"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackShape:
    """The shape of a sagittal stack, in mm."""

    width_mm: float  # first to last slice, across the patient, one slice distance added
    field_mm: float  # image size along the body axis
    slice_distance_mm: float | None  # None for fewer than two positions


@dataclass(frozen=True, slots=True, kw_only=True)
class AnatomyEvidence:
    """`evidence` is one sentence for a person; it quotes only words of our own lists, never a sender's text."""

    is_spine: bool
    by_words: bool  # words took part; False: the shape decided alone
    evidence: str


def weigh_anatomy(words: Sequence[tuple[str, str]], shape: StackShape) -> AnatomyEvidence:
    """Words (attribute, text) of all images of the stack, and its shape -> spine or not.

    Without a single word that names a body part the shape decides: narrow, long, with the slice distance of 2-D
    spine sequences. The risk is known: a sagittal pelvis has that shape too. Such a series says in its evidence
    that it was taken by its shape alone. SeriesDescription alone is never enough.
    """
    votes = _votes(words)
    for_spine = [f"{field} says {word}" for field, (points, word) in votes.items() if points > 0]
    against = [f"{field} says {word}" for field, (points, word) in votes.items() if points < 0]
    shape_points, shape_says = _weigh_shape(shape)
    if not for_spine and not against:
        return AnatomyEvidence(
            is_spine=shape_points > 0, by_words=False, evidence=f"no attribute names a body part; {shape_says}"
        )
    score = shape_points + _sum_of(votes)
    only_described = [field for field, (points, _) in votes.items() if points > 0] == ["SeriesDescription"]
    is_spine = score >= ENOUGH and bool(for_spine) and not (only_described and shape_points <= 0)
    return AnatomyEvidence(is_spine=is_spine, by_words=True, evidence="; ".join([*for_spine, *against, shape_says]))


def _votes(words: Sequence[tuple[str, str]]) -> dict[str, tuple[int, str]]:
    """attribute -> (points, the word found). An attribute that names both a spine and something else abstains."""
    found: dict[str, tuple[int, str]] = {}
    for field, text in dict.fromkeys(words):
        spine, elsewhere = _match(field, text)
        if bool(spine) == bool(elsewhere):
            continue
        points = _POINTS.get(field, 1) if spine else -_POINTS.get(field, 1)
        if field in found and found[field][0] != points:
            found[field] = (0, found[field][1])
        else:
            found.setdefault(field, (points, spine or elsewhere))
    return found


def _match(field: str, text: str) -> tuple[str, str]:
    plain = _plain(text)
    spine = _SPINE.search(plain) or (_COIL_SPINE.search(plain) if field == "ReceiveCoilName" else None)
    elsewhere = _ELSEWHERE.search(plain)
    return (spine[0] if spine else "", elsewhere[0] if elsewhere else "")


def _plain(text: str) -> str:
    """Capitals without accents; separators as single spaces."""
    decomposed = unicodedata.normalize("NFKD", text.upper())
    without_marks = "".join(c for c in decomposed if not unicodedata.combining(c))
    return re.sub(r"[\s_\-./^,;]+", " ", unicodedata.normalize("NFC", without_marks))


def _sum_of(votes: dict[str, tuple[int, str]]) -> int:
    order = [points for field, (points, _) in votes.items() if field in _ORDER]
    total = sum(order)
    once = 0 if total == 0 else (2 if total > 0 else -2)
    return once + sum(points for field, (points, _) in votes.items() if field not in _ORDER)


def _weigh_shape(shape: StackShape) -> tuple[int, str]:
    """Points and the sentence for them."""
    size = f"stack {shape.width_mm:.0f} mm wide, field of view {shape.field_mm:.0f} mm"
    if shape.slice_distance_mm is None:
        return 0, f"{size}: one position"
    if shape.width_mm >= HEAD_WIDTH_MM:
        return -2, f"{size}: as wide as a head"
    if shape.width_mm > DOUBTFUL_WIDTH_MM or shape.field_mm < SMALLEST_FIELD_MM:
        return -1, f"{size}: wider or shorter than spine stacks are"
    spine_like = (
        NARROWEST_MM <= shape.width_mm <= WIDEST_MM
        and shape.field_mm >= SPINE_FIELD_MM
        and SLICE_DISTANCE_MM[0] <= shape.slice_distance_mm <= SLICE_DISTANCE_MM[1]
    )
    return (1, f"{size}, {shape.slice_distance_mm:.1f} mm apart: as spine stacks are") if spine_like else (0, size)
