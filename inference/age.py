"""The patient's age from what scanners write, which is often nonsense."""

import re
from collections.abc import Iterable
from datetime import date
from statistics import median
from typing import Final

from inference.heads import InstanceHead

_AGE_STRING: Final = re.compile(r"([0-9]{1,3})([DWMY])", re.IGNORECASE)  # PS3.5 6.2, VR AS: nnnD, nnnW, nnnM, nnnY
_DATE: Final = re.compile(r"([0-9]{4})([.\-/]?)([0-9]{2})\2([0-9]{2})")  # DA, and the dotted form of ACR-NEMA 2
_DAYS_PER_YEAR: Final = 365.25
_PER_YEAR: Final = {"D": _DAYS_PER_YEAR, "W": _DAYS_PER_YEAR / 7, "M": 12.0, "Y": 1.0}
OLDEST_YEARS: Final = 120.0  # verified record 122 years: what is above is a typing error or a placeholder
PLACEHOLDER_BIRTH_DATES: Final = frozenset({date(1800, 1, 1), date(1900, 1, 1), date(1901, 1, 1)})  # de-identifiers
AGREEMENT_YEARS: Final = 1.5  # an age in whole years, and one birthday between two studies


def patient_age_years(heads: Iterable[InstanceHead]) -> float | None:
    """Age at the study, in years; None when unknown.

    Each head is read by itself: PatientAge, else StudyDate - PatientBirthDate. "000Y" is believed only when the
    dates say the same, because scanners write it for "not entered". The median of all heads is taken; when they
    differ by more than `AGREEMENT_YEARS` nobody knows which is right, and the age is unknown.
    """
    ages = sorted(age for head in heads if (age := _age_of(head)) is not None)
    if not ages or ages[-1] - ages[0] > AGREEMENT_YEARS:
        return None
    return float(median(ages))


def _age_of(head: InstanceHead) -> float | None:
    return parse_age(head.patient_age) or _age_between(head.patient_birth_date, head.study_date)


def parse_age(text: str) -> float | None:
    """VR AS -> years: "045Y" 45.0, "018M" 1.5; None for anything else, for zero, and above `OLDEST_YEARS`."""
    match = _AGE_STRING.fullmatch(text.strip())
    if match is None:
        return None
    years = int(match[1]) / _PER_YEAR[match[2].upper()]
    return years if 0 < years <= OLDEST_YEARS else None


def _age_between(birth_date: str, study_date: str) -> float | None:
    born, studied = _parse_date(birth_date), _parse_date(study_date)
    if born is None or studied is None or born in PLACEHOLDER_BIRTH_DATES or studied < born:
        return None
    had_birthday = (studied.month, studied.day) >= (born.month, born.day)
    completed = studied.year - born.year - (0 if had_birthday else 1)
    year_of_birthday = studied.year if had_birthday else studied.year - 1
    # 29 February: its birthday is counted on 1 March in common years
    birthday = _birthday(born, year_of_birthday)
    years = completed + (studied - birthday).days / _DAYS_PER_YEAR
    return years if years <= OLDEST_YEARS else None


def _birthday(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def _parse_date(text: str) -> date | None:
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None
