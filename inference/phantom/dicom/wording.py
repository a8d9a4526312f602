"""What series and studies are called, as sites of several countries write it."""

from enum import StrEnum
from typing import Final


class Protocol(StrEnum):
    """What a series is, for its description."""

    T1 = "T1"
    T2 = "T2"
    T2_FAT_SATURATED = "T2 FS"
    STIR = "STIR"
    AXIAL_T2 = "axial T2"
    LOCALIZER = "localizer"


class Wording(StrEnum):
    ENGLISH = "english"
    GERMAN = "german"
    FRENCH = "french"
    JAPANESE = "japanese"
    TERSE = "terse"  # seen: a sagittal series named only "T2WI", an axial one without any description


# {fs} is where the site names the fat saturation, if it does.
_SERIES: Final[dict[Wording, dict[Protocol, str]]] = {
    Wording.ENGLISH: {
        Protocol.T1: "T1 SE SAG",
        Protocol.T2: "T2 FSE SAG",
        Protocol.T2_FAT_SATURATED: "T2 FSE{fs} SAG",
        Protocol.STIR: "STIR SAG",
        Protocol.AXIAL_T2: "T2 FSE AX",
        Protocol.LOCALIZER: "3-PLANE LOC",
    },
    Wording.GERMAN: {
        Protocol.T1: "t1_se_sag",
        Protocol.T2: "t2_tse_sag",
        Protocol.T2_FAT_SATURATED: "t2_tse{fs}_sag",
        Protocol.STIR: "t2_tirm_sag",
        Protocol.AXIAL_T2: "t2_tse_tra",
        Protocol.LOCALIZER: "Übersicht_localizer",
    },
    Wording.FRENCH: {
        Protocol.T1: "SAG T1",
        Protocol.T2: "SAG T2",
        Protocol.T2_FAT_SATURATED: "SAG T2{fs}",
        Protocol.STIR: "SAG STIR",
        Protocol.AXIAL_T2: "AX T2",
        Protocol.LOCALIZER: "Repérage 3 plans",
    },
    Wording.JAPANESE: {
        Protocol.T1: "T1WI 矢状断",
        Protocol.T2: "T2WI 矢状断",
        Protocol.T2_FAT_SATURATED: "T2WI{fs} 矢状断",
        Protocol.STIR: "STIR 矢状断",
        Protocol.AXIAL_T2: "T2WI 横断",
        Protocol.LOCALIZER: "位置決め",
    },
    Wording.TERSE: {
        Protocol.T1: "T1WI",
        Protocol.T2: "T2WI",
        Protocol.T2_FAT_SATURATED: "T2WI{fs}",
        Protocol.STIR: "STIR",
        Protocol.AXIAL_T2: "",
        Protocol.LOCALIZER: "",
    },
}
_FAT_SATURATION: Final = {Wording.GERMAN: "_fs", Wording.FRENCH: " FAT SAT"}
_STUDY: Final = {
    Wording.ENGLISH: "SYNTHETIC PHANTOM SPINE",
    Wording.GERMAN: "Synthetisches Phantom, Wirbelsäule",
    Wording.FRENCH: "Fantôme synthétique, rachis",
    Wording.JAPANESE: "合成ファントム 脊椎",
    Wording.TERSE: "SYNTHETIC PHANTOM SPINE",
}


def series_description(protocol: Protocol, wording: Wording, *, names_fat_saturation: bool) -> str:
    """Empty where the site describes such a series with no word."""
    said = _FAT_SATURATION.get(wording, " FS") if names_fat_saturation else ""
    return _SERIES[wording][protocol].format(fs=said)


def study_description(wording: Wording) -> str:
    return _STUDY[wording]
