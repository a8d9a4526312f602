"""What running texts say: the verdict and the numbers in them, for people who read nothing else."""

import re
from typing import Final

_HEADLINE: Final = re.compile(r"\(AI\): (.+?)(?: in \d|\.)")
_CLASS: Final = re.compile(r"\b(benign|malignant)\b", re.IGNORECASE)
PROBABILITY: Final = re.compile(r"robability of malignancy ([\d.]+) %")
_ROUNDING: Final = 0.056  # numbers in texts have one decimal, and those of content items two


def headline(words: str) -> str:
    """The verdict of the patient in capitals; empty when the text does not name it."""
    found = _HEADLINE.search(words)
    return "" if found is None else found.group(1)


def classes_named(words: str) -> list[str]:
    """The words benign and malignant as often as they stand in a text, in its order."""
    return [word.lower() for word in _CLASS.findall(words)]


def numbers_told(words: str, pattern: re.Pattern[str]) -> list[float] | None:
    """The numbers in the groups of a pattern; None when the text does not have it."""
    found = pattern.search(words)
    return None if found is None else [float(group) for group in found.groups()]


def tells(words: str, pattern: re.Pattern[str], *expected: float, within: float = _ROUNDING) -> bool:
    """Whether the text has the pattern, with these numbers in its groups."""
    told = numbers_told(words, pattern)
    return told is not None and all(abs(one - other) <= within for one, other in zip(told, expected, strict=True))
