"""Whether two values of PatientName can be of one person. Values are compared, never shown."""

import re
import unicodedata
from typing import Final

_GROUPS: Final = "="  # alphabetic, ideographic, phonetic (PS3.5 6.2.1.2)
_NAMED: Final = 3  # components that name a person: family, given, middle; a prefix (Dr.) does not
_WORDS: Final = re.compile(r"[^\W_]+")
# What de-identifiers write in place of a name: the same for everybody
_PLACEHOLDERS: Final = frozenset(
    {
        "anon",
        "anonym",
        "anonymous",
        "anonymized",
        "anonymised",
        "deidentified",
        "removed",
        "unknown",
        "noname",
        "none",
        "patient",
        "test",
    }
)


def name_words(name: str) -> frozenset[str]:
    """The words of the first component group that has any, without case, accents and order.

    Sets rather than components: "DOE^JANE", "Doe Jane" and "Doe, Jane" are one name, entered on three scanners.
    """
    for group in name.split(_GROUPS):
        folded = unicodedata.normalize("NFKD", " ".join(group.split("^")[:_NAMED])).casefold()
        bare = "".join(character for character in folded if not unicodedata.combining(character))
        if words := _WORDS.findall(bare):
            return frozenset(words)
    return frozenset()


def can_be_one(one: frozenset[str], other: frozenset[str]) -> bool:
    """A missing word (a middle name) does not count, and names in two scripts cannot be compared."""
    if all(map(str.isascii, one)) != all(map(str.isascii, other)):
        return True
    return one <= other or other <= one


def is_placeholder(words: frozenset[str]) -> bool:
    return bool(words & _PLACEHOLDERS) or not words
