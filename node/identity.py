"""Whether images that would be counted together can be of one person. Pure rules; nothing here reads a database.

A conflict is told without the values that differ: its text is stored as the reason of a held case, shown and logged.
Source of the name rules: PS3.5 6.2 (VR PN) and 6.2.1.2 (component groups).
"""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import combinations, islice, product, starmap
from typing import Any, Final

_PADDING: Final = " \0\t\r\n"
_UID_TAIL = 4  # characters of a UID in a reason: enough for a person to tell two studies apart
_NAME_GROUPS: Final = 3  # alphabetic, ideographic, phonetic
# Family, given and middle name, prefix, suffix. The prefix (Dr., Frau) says nothing about who it is.
_COMPARED_COMPONENTS: Final = (0, 1, 2, 4)
_NAME_COMPONENTS: Final = 5
_MISSING_DATES: Final = frozenset({"", "00000000"})
_MOST_PAIRS_TOLD: Final = 20  # of studies that one contradiction is told for
_MISSING_SEXES: Final = frozenset({"", "O", "U"})  # other, unknown: contradict nobody

_Name = tuple[tuple[str, ...], ...]  # component groups, each of its components, folded
_Value = str | _Name


def significant(value: str) -> str:
    """An identifier without its padding (PS3.5 6.2). Other white space is part of it: it may be another patient's."""
    return value.strip(_PADDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What one image says about whose it is; values verbatim, as sent."""

    patient_id: str
    issuer_of_patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_instance_uid: str
    series_instance_uid: str

    @property
    def patient(self) -> tuple[str, str]:
        return significant(self.patient_id), significant(self.issuer_of_patient_id)


def conflicts(identities: Iterable[Identity]) -> frozenset[str]:
    """Every contradiction among images that belong together, one sentence each, without patient data."""
    distinct = sorted(set(identities), key=lambda one: (one.study_instance_uid, one.series_instance_uid, one.patient))
    return frozenset(
        {
            *_two_patients(distinct, "study", lambda one: one.study_instance_uid),
            *_two_patients(distinct, "series", lambda one: one.series_instance_uid),
            *(sentence for attribute in _ATTRIBUTES for sentence in _two_persons(distinct, attribute)),
        }
    )


def collision(first: Identity, second: Identity) -> str:
    """What forbids that two contents of one SOP Instance UID are the same image, without patient data; else empty.

    An image may be sent again with corrected pixels or other spellings, never with another patient or study.
    """
    agree = {
        "PatientID": first.patient[0] == second.patient[0],
        "IssuerOfPatientID": first.patient[1] == second.patient[1],
        **{one.keyword: one.agree(one.value_of(first), one.value_of(second)) for one in _ATTRIBUTES},
        "StudyInstanceUID": first.study_instance_uid == second.study_instance_uid,
    }
    differ = [attribute for attribute, same in agree.items() if not same]
    return f"its two contents differ in {', '.join(differ)}" if differ else ""


def same_person_name(one: str, other: str) -> bool:
    """Whether two values of VR PN can name one person.

    Case, accents, padding and missing components do not count. The first component group that both have in one
    script decides: a name in Latin letters cannot be compared with one in Japanese.
    """
    return _same_name(_name_groups(one), _name_groups(other))


def _same_name(one: "_Name", other: "_Name") -> bool:
    for a, b in zip(one, other, strict=True):
        if any(a) and any(b) and _is_latin(a) == _is_latin(b):
            return all(not a[i] or not b[i] or a[i] == b[i] for i in _COMPARED_COMPONENTS)
    return True


def _two_patients(identities: Collection[Identity], what: str, uid_of: Callable[[Identity], str]) -> Iterable[str]:
    patients: dict[str, set[tuple[str, str]]] = {}
    for one in identities:
        patients.setdefault(uid_of(one), set()).add(one.patient)
    for uid, found in patients.items():
        if len({patient_id for patient_id, _ in found}) > 1:
            yield f"{what} {_tail(uid)} came under more than one PatientID"
        elif len(found) > 1:
            yield f"{what} {_tail(uid)} came under more than one IssuerOfPatientID"


def _two_persons(identities: Collection[Identity], attribute: "_Attribute") -> Iterable[str]:
    """Contradictions under one PatientID, and inside one study whatever its PatientID.

    Values are compared, each once, not images: a study may have a thousand series.
    """
    of_study: dict[str, set[_Value]] = defaultdict(set)
    of_patient: dict[tuple[str, str], dict[_Value, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in identities:
        value = attribute.value_of(one)
        of_study[one.study_instance_uid].add(value)
        if one.patient[0]:
            of_patient[one.patient][value].add(one.study_instance_uid)
    for study, values in of_study.items():
        if not all(starmap(attribute.agree, combinations(sorted(values), 2))):
            yield f"{attribute.keyword} differs within study {_tail(study)}"
    for studies_of in of_patient.values():
        for one_value, other_value in combinations(sorted(studies_of), 2):
            if not attribute.agree(one_value, other_value):
                pairs = product(sorted(studies_of[one_value]), sorted(studies_of[other_value]))
                for first, second in islice((sorted(pair) for pair in pairs if pair[0] != pair[1]), _MOST_PAIRS_TOLD):
                    yield f"{attribute.keyword} differs between studies {_tail(first)} and {_tail(second)}"


@dataclass(frozen=True, slots=True)
class _Attribute:
    keyword: str
    value_of: Callable[[Identity], "_Value"]  # without what does not count: padding, case
    agree: Callable[[Any, Any], bool]


def _same_date(a: str, b: str) -> bool:
    return a == b or a in _MISSING_DATES or b in _MISSING_DATES


def _same_sex(a: str, b: str) -> bool:
    return a == b or a in _MISSING_SEXES or b in _MISSING_SEXES


def _digits(date: str) -> str:
    """Dates come as 19960611 and as 1996.06.11 (the form of ACR-NEMA, still seen)."""
    return "".join(character for character in date if character.isdigit())


def _name_groups(name: str) -> "_Name":
    groups = tuple(_components(group) for group in name.split("=")[:_NAME_GROUPS])
    return groups + (_components(""),) * (_NAME_GROUPS - len(groups))


def _components(group: str) -> tuple[str, ...]:
    parts = [_folded(part) for part in group.split("^")[:_NAME_COMPONENTS]]
    return (*parts, *[""] * (_NAME_COMPONENTS - len(parts)))


def _folded(text: str) -> str:
    """Without case, accents and repeated spaces; full-width and half-width letters become one."""
    decomposed = unicodedata.normalize("NFKD", text)
    bare = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(bare.casefold().split())


def _is_latin(components: tuple[str, ...]) -> bool:
    letters = [character for part in components for character in part if character.isalpha()]
    return all("LATIN" in unicodedata.name(letter, "") for letter in letters)


_ATTRIBUTES: Final = (
    _Attribute("PatientBirthDate", lambda one: _digits(one.patient_birth_date), _same_date),
    _Attribute("PatientSex", lambda one: one.patient_sex.strip().upper(), _same_sex),
    _Attribute("PatientName", lambda one: _name_groups(one.patient_name), _same_name),
)


def _tail(uid: str) -> str:
    return f"..{uid[-_UID_TAIL:]}"
