"""T1, T2 or fat-suppressed T2, from the tags of the acquisition.

The tags decide. Names (SequenceName, SeriesDescription) only support: they break a tie that the tags leave open
(an inversion recovery without its TI, a T2 whose ScanOptions state no fat suppression), never more. No name takes
away a T1 that the tags show, and a name that denies something ("w/o FS") does not say it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inference.findings import SequenceKind
from inference.heads import Acquisition

# Source: WFF data contract
T1_REPETITION_BELOW_MS: Final = 1200.0
T1_ECHO_BELOW_MS: Final = 30.0
T2_ECHO_FROM_MS: Final = 60.0

# TI that nulls fat is 0.69 x T1 of fat: 80 ms at 0.2 T to 250 ms at 3 T
STIR_INVERSION_MS: Final = (80.0, 250.0)
# TI that nulls fluid on T1 FLAIR: 700-1100 ms at 1.5-3 T; prepared 3-D gradient echoes use 400-1100
T1_FLAIR_INVERSION_MS: Final = (400.0, 1200.0)
# STIR adds T1 and T2 contrast at any echo time; a long TR tells it from T1-weighted short-TR inversion recovery
STIR_REPETITION_FROM_MS: Final = 1200.0
# A spoiled gradient echo is T1-weighted at short TE; later echoes, and echoes without spoiling, are T2*-weighted
SPOILED_ECHO_BELOW_MS: Final = 10.0
DIFFUSION_FROM_B: Final = 1.0  # s/mm2

_FAT_SATURATION: Final = frozenset(
    {"FS", "FATSAT", "FAT_SAT", "FAT SAT", "FSAT", "SFS", "SPIR", "SPAIR", "SPECIR", "WE", "CHEMSAT", "CHESS"}
)
_DIXON_WATER: Final = frozenset({"W", "WATER"})
_DIXON_FAT: Final = frozenset({"F", "FAT", "FAT_FRACTION", "WATER_FRACTION", "OP", "OPP_PHASE", "OUT_PHASE", "FF"})
_NOT_ANATOMY: Final = frozenset(
    {"ADC", "FA", "TRACEW", "T1_MAP", "T2_MAP", "T2_STAR_MAP", "MPR_SUBTRACTION", "P", "PHASE"}
)
_FAT_SATURATION_WORD: Final = r"(?:STIR|TIRM|FAT.?SAT|FAT.?SUP|SPAIR|SPIR(?!AL)|(?<![A-Z])FS(?![A-Z]))"
_NAMES_FAT_SATURATION: Final = re.compile(_FAT_SATURATION_WORD)
_DENIED: Final = re.compile(rf"(?<![A-Z])(?:NON?|WITHOUT|W/O)[\s_-]*{_FAT_SATURATION_WORD}")  # "w/o FS", "non-FS"
_NAMES_STIR: Final = re.compile(r"STIR|TIRM|\bFIR\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighting:
    """`kind` is None when the tags fit none of the three; `evidence` then says what was read."""

    kind: SequenceKind | None
    evidence: str  # e.g. "TR 400 ms, TE 15 ms"


def weigh(acquisition: Acquisition, description: str = "") -> Weighting:
    """What one image is. `description` (SeriesDescription, ProtocolName) is supporting evidence only."""
    tags = describe(acquisition)
    if reason := _outside(acquisition):
        return Weighting(kind=None, evidence=f"{reason} ({tags})")
    names = _DENIED.sub(" ", f"{acquisition.sequence_name} {description}".upper())
    kind, why = _spin_echo_rules(acquisition, names)
    return Weighting(kind=kind, evidence=f"{tags}: {why}" if why else tags)


def _spin_echo_rules(a: Acquisition, names: str) -> tuple[SequenceKind | None, str]:
    tr, te = a.repetition_time_ms, a.echo_time_ms
    if te is None or tr is None:
        return None, "RepetitionTime or EchoTime is absent"
    if _is_stir(a, names):
        return SequenceKind.T2FS, "short-TI inversion recovery"
    if _is_other_inversion(a):
        return _long_inversion(a, te)
    stated, named = _states_fat_saturation(a), _NAMES_FAT_SATURATION.search(names) is not None
    if tr < T1_REPETITION_BELOW_MS and te < T1_ECHO_BELOW_MS:
        if stated:
            # In practice a contrast study, with marrow dark and lesions bright: the reverse of the T1 the model knows
            return None, "T1 with fat suppression, which the model was not made for"
        return SequenceKind.T1, "fat suppression by name only, not counted" if named else ""
    if te >= T2_ECHO_FROM_MS:
        if stated or named:
            return SequenceKind.T2FS, "fat suppressed" if stated else "fat suppressed by name"
        return SequenceKind.T2, ""
    return None, "neither T1 (TR < 1200, TE < 30) nor T2 (TE >= 60)"


def _outside(a: Acquisition) -> str:
    """Why the spin-echo rules do not apply to this image; empty when they do."""
    image_type = set(a.image_type[2:])  # values 1 and 2 are pixel and patient characteristics (PS3.3 C.7.6.1.1.2)
    if (a.b_value or 0.0) >= DIFFUSION_FROM_B or "DIFFUSION" in image_type or a.contrast == "DIFFUSION":
        return "diffusion-weighted"
    if "EP" in a.scanning_sequence:
        return "echo planar"
    if calculated := sorted(image_type & _NOT_ANATOMY):
        return f"calculated image ({calculated[0]})"
    if image_type & _DIXON_FAT and not image_type & _DIXON_WATER:
        return "fat, opposed-phase or fraction image of a Dixon series"
    gradient_echo = "GR" in a.scanning_sequence and "SE" not in a.scanning_sequence
    spoiled = "SP" in a.sequence_variant and (a.echo_time_ms or 0.0) < SPOILED_ECHO_BELOW_MS
    if gradient_echo and not spoiled:
        return "gradient echo without T1 weighting"
    return ""


def _is_stir(a: Acquisition, names: str) -> bool:
    long_repetition = (a.repetition_time_ms or 0.0) >= STIR_REPETITION_FROM_MS
    ti = a.inversion_time_ms or 0.0
    if ti > 0:
        return long_repetition and STIR_INVERSION_MS[0] <= ti <= STIR_INVERSION_MS[1]
    return long_repetition and "IR" in a.scanning_sequence and _NAMES_STIR.search(names) is not None


def _is_other_inversion(a: Acquisition) -> bool:
    return "IR" in a.scanning_sequence or (a.inversion_time_ms or 0.0) > STIR_INVERSION_MS[1]


def _long_inversion(a: Acquisition, te: float) -> tuple[SequenceKind | None, str]:
    ti = a.inversion_time_ms or 0.0
    if T1_FLAIR_INVERSION_MS[0] <= ti <= T1_FLAIR_INVERSION_MS[1] and te < T1_ECHO_BELOW_MS:
        return SequenceKind.T1, "T1 FLAIR"
    return None, "inversion recovery that is neither STIR nor T1 FLAIR"


def _states_fat_saturation(a: Acquisition) -> bool:
    return bool(_FAT_SATURATION & set(a.scan_options)) or bool(_DIXON_WATER & set(a.image_type[2:]))


def describe(a: Acquisition) -> str:
    """The tags that decide, for a person: numbers and coded strings, nothing of the patient."""
    parts = [
        f"{name} {value:g} ms"
        for name, value in (
            ("TR", a.repetition_time_ms),
            ("TE", a.echo_time_ms),
            ("TI", a.inversion_time_ms or None),
        )
        if value is not None
    ]
    parts += [
        f"{name} {'/'.join(codes)}"
        for name, codes in (("ScanningSequence", a.scanning_sequence), ("ScanOptions", a.scan_options))
        if any(codes)
    ]
    parts += ["with contrast agent"] if a.contrast_agent else []
    return ", ".join(parts) or "no TR, no TE"


def weigh_stack(acquisitions: Sequence[Acquisition], description: str = "") -> Weighting:
    """What a stack is: that of its images when they agree, else nothing."""
    weighed = [weigh(acquisition, description) for acquisition in acquisitions]
    kinds = Counter(one.kind.value if one.kind else "unknown" for one in weighed)
    if len(kinds) > 1:
        parts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        return Weighting(kind=None, evidence=f"images of different weighting in one stack: {parts}")
    return weighed[len(weighed) // 2]
