"""The vocabulary agrees with the standard's own tables, as pydicom ships them."""

import pytest
from pydicom.sr._concepts_dict import concepts  # the tables behind pydicom.sr.codedict, with every scheme

from config import codes

# One code may stand under two keywords, with its short and its full name
PUBLISHED: dict[tuple[str, str], set[str]] = {}
for _scheme, _keywords in concepts.items():
    for _versions in _keywords.values():
        for _value, (_meaning, _) in _versions.items():
            PUBLISHED.setdefault((_scheme, _value), set()).add(_meaning.lower())
# Codes that pydicom does not ship: one of UMLS, one of RFC 5646
BY_HAND = {codes.QUALITATIVE_EVALUATIONS, codes.ENGLISH}
ALL = {name: code for name, code in vars(codes).items() if isinstance(code, codes.Code)}


def is_private(code: codes.Code) -> bool:
    return code.scheme == codes.PRIVATE_SCHEME


@pytest.mark.parametrize("name", [name for name, code in ALL.items() if not is_private(code) and code not in BY_HAND])
def test_a_public_code_has_the_meaning_that_its_scheme_gives_it(name: str) -> None:
    code = ALL[name]

    published = PUBLISHED[code.scheme, code.value]

    assert code.meaning.lower() in published


def test_no_two_concepts_share_a_code() -> None:
    keys = [(code.scheme, code.value) for code in ALL.values()]

    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", list(ALL))
def test_a_code_fits_its_attributes(name: str) -> None:
    code = ALL[name]

    assert 1 <= len(code.value) <= 16  # SH
    assert 1 <= len(code.scheme) <= 16
    assert 1 <= len(code.meaning) <= 64  # LO
    assert "\\" not in code.meaning
