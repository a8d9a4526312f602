"""Whether images that would be counted together can be of one person. Pure rules; nothing here reads a database.

A conflict is told without the values that differ: its text is stored as the reason of a held case, shown and logged.
Source of the name rules: PS3.5 6.2 (VR PN) and 6.2.1.2 (component groups).
"""

import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Final

_UID_TAIL = 4  # characters of a UID in a reason: enough for a person to tell two studies apart
_NAME_GROUPS: Final = 3  # alphabetic, ideographic, phonetic
# Family, given and middle name, prefix, suffix. The prefix (Dr., Frau) says nothing about who it is.
_COMPARED_COMPONENTS: Final = (0, 1, 2, 4)
_NAME_COMPONENTS: Final = 5
_MISSING_DATES: Final = frozenset({"", "00000000"})
_MISSING_SEXES: Final = frozenset({"", "O", "U"})  # other, unknown: contradict nobody


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
        return self.patient_id.strip(), self.issuer_of_patient_id.strip()


def conflicts(identities: Iterable[Identity]) -> frozenset[str]:
    """Every contradiction among images that belong together, one sentence each, without patient data."""
    distinct = sorted(set(identities), key=lambda one: (one.study_instance_uid, one.series_instance_uid, one.patient))
    return frozenset(
        {
            *_two_patients(distinct, "study", lambda one: one.study_instance_uid),
            *_two_patients(distinct, "series", lambda one: one.series_instance_uid),
            *_two_persons(distinct, "PatientBirthDate", _same_birth_date),
            *_two_persons(distinct, "PatientSex", _same_sex),
            *_two_persons(distinct, "PatientName", lambda a, b: same_person_name(a.patient_name, b.patient_name)),
        }
    )


def collision(first: Identity, second: Identity) -> str:
    """What forbids that two contents of one SOP Instance UID are the same image, without patient data; else empty.

    An image may be sent again with corrected pixels or other spellings, never with another patient or study.
    """
    agree = {
        "PatientID": first.patient[0] == second.patient[0],
        "IssuerOfPatientID": first.patient[1] == second.patient[1],
        "PatientBirthDate": _same_birth_date(first, second),
        "PatientSex": _same_sex(first, second),
        "PatientName": same_person_name(first.patient_name, second.patient_name),
        "StudyInstanceUID": first.study_instance_uid == second.study_instance_uid,
    }
    differ = [attribute for attribute, same in agree.items() if not same]
    return f"its two contents differ in {', '.join(differ)}" if differ else ""


def same_person_name(one: str, other: str) -> bool:
    """Whether two values of VR PN can name one person.

    Case, accents, padding and missing components do not count. The first component group that both have in one
    script decides: a name in Latin letters cannot be compared with one in Japanese.
    """
    for a, b in zip(_name_groups(one), _name_groups(other), strict=True):
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


def _two_persons(
    identities: Collection[Identity], attribute: str, same: Callable[[Identity, Identity], bool]
) -> Iterable[str]:
    """Contradictions under one PatientID, and inside one study whatever its PatientID."""
    for one, other in combinations(identities, 2):
        one_study = one.study_instance_uid == other.study_instance_uid
        one_patient = one.patient == other.patient and one.patient[0] != ""
        if (one_study or one_patient) and not same(one, other):
            if one_study:
                yield f"{attribute} differs within study {_tail(one.study_instance_uid)}"
            else:
                first, second = _tail(one.study_instance_uid), _tail(other.study_instance_uid)
                yield f"{attribute} differs between studies {first} and {second}"


def _same_birth_date(one: Identity, other: Identity) -> bool:
    a, b = (_digits(identity.patient_birth_date) for identity in (one, other))
    return a == b or a in _MISSING_DATES or b in _MISSING_DATES


def _same_sex(one: Identity, other: Identity) -> bool:
    a, b = (identity.patient_sex.strip().upper() for identity in (one, other))
    return a == b or a in _MISSING_SEXES or b in _MISSING_SEXES


def _digits(date: str) -> str:
    """Dates come as 19960611 and as 1996.06.11 (the form of ACR-NEMA, still seen)."""
    return "".join(character for character in date if character.isdigit())


def _name_groups(name: str) -> list[tuple[str, ...]]:
    groups = [_components(group) for group in name.split("=")[:_NAME_GROUPS]]
    return groups + [_components("")] * (_NAME_GROUPS - len(groups))


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


def _tail(uid: str) -> str:
    return f"..{uid[-_UID_TAIL:]}"
