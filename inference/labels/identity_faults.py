"""Patients that are mixed, and persons that are there twice. No fault tells a name or a birth date."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final, TypeVar

from inference.age import PLACEHOLDER_BIRTH_DATES
from inference.labels.dicom_folder import FoundInstance
from inference.labels.faults import Fault, FaultCode, PatientKey
from inference.labels.person_names import can_be_one, is_placeholder, name_words

_NO_DATES: Final = frozenset({"", "00000000", *(date.strftime("%Y%m%d") for date in PLACEHOLDER_BIRTH_DATES)})
_FULL_NAME: Final = 2  # words; a single one may be a site's placeholder for all

_Value = TypeVar("_Value", bound=Hashable)
ByPatient = Mapping[PatientKey, Sequence[FoundInstance]]


def identity_faults(patients: ByPatient, same_pixels: Mapping[frozenset[PatientKey], int]) -> Iterator[Fault]:
    """`same_pixels`: for patients that share images, how many images."""
    for key, instances in patients.items():
        if not key.patient_id:
            said = f"{len(instances)} images have no PatientID."
            yield Fault(code=FaultCode.PATIENT_ID_MISSING, what=said, place=instances[0].place, patients=(key,))
        else:
            yield from _two_persons(key, instances)
    yield from _one_person(patients, same_pixels)


def _two_persons(key: PatientKey, instances: Sequence[FoundInstance]) -> Iterator[Fault]:
    """Names and birth dates under one PatientID that cannot be of one person."""
    names = _first_of_each(instances, lambda one: name_words(one.person.name))
    pairs = [(names[a], names[b], "PatientName") for a, b in combinations(names, 2) if not can_be_one(a, b)]
    dates = _first_of_each(instances, _birth_date)
    pairs += [(dates[a], dates[b], "PatientBirthDate") for a, b in combinations(dates, 2)]
    for one, other, attribute in pairs:
        said = f"{attribute} is another one than in {one.file}."
        yield Fault(code=FaultCode.TWO_PERSONS_ONE_ID, what=said, place=other.place, patients=(key,))


def _first_of_each(
    instances: Sequence[FoundInstance], value_of: Callable[[FoundInstance], _Value]
) -> dict[_Value, FoundInstance]:
    """Each value that is not empty, and the first image that has it."""
    first: dict[_Value, FoundInstance] = {}
    for instance in instances:
        if value := value_of(instance):
            first.setdefault(value, instance)
    return first


def _birth_date(instance: FoundInstance) -> str:
    """Digits alone, for dates come as 19960611 and as 1996.06.11; empty where it says nothing."""
    digits = "".join(character for character in instance.person.birth_date if character.isdigit())
    return "" if digits in _NO_DATES else digits


def _one_person(patients: ByPatient, same_pixels: Mapping[frozenset[PatientKey], int]) -> Iterator[Fault]:
    """What is under two PatientIDs and can be of one person only; one fault for the same patients."""
    sure: dict[frozenset[PatientKey], list[str]] = defaultdict(list)
    perhaps: dict[frozenset[PatientKey], list[str]] = defaultdict(list)
    for what, uid_of in _UIDS.items():
        for shared, count in _shared(patients, uid_of).items():
            sure[shared].append(f"{count} {what}{'' if count == 1 else 's'}")
    for shared, count in same_pixels.items():
        sure[shared].append(f"the pixels of {count} image{'' if count == 1 else 's'}")
    for shared in _shared(patients, lambda one: _name_and_date(one, sure=True)):
        sure[shared].append("name and birth date")
    for shared in _shared(patients, lambda one: _name_and_date(one, sure=False)):
        if shared not in sure:
            perhaps[shared].append("name and birth date, which may be a de-identifier's")
    for code, found in ((FaultCode.ONE_PERSON_TWO_IDS, sure), (FaultCode.PERHAPS_ONE_PERSON, perhaps)):
        for shared, evidence in found.items():
            keys = tuple(sorted(shared, key=str))
            said = f"{len(keys)} patients have in common: {', '.join(evidence)}."
            yield Fault(code=code, what=said, place=patients[keys[1]][0].place, patients=keys)


_UIDS: Final[Mapping[str, Callable[[FoundInstance], object]]] = {
    "StudyInstanceUID": lambda one: one.head.study_instance_uid,
    "FrameOfReferenceUID": lambda one: one.frame_of_reference_uid,
    "SOPInstanceUID": lambda one: one.head.sop_instance_uid,
}


def _shared(patients: ByPatient, value_of: Callable[[FoundInstance], object]) -> dict[frozenset[PatientKey], int]:
    """Patients that share a value -> how many values they share. An empty value is no value."""
    owners: dict[object, set[PatientKey]] = defaultdict(set)
    for key, instances in patients.items():
        for value in _values(instances, value_of):
            owners[value].add(key)
    counts: dict[frozenset[PatientKey], int] = defaultdict(int)
    for keys in owners.values():
        if len(keys) > 1:
            counts[frozenset(keys)] += 1
    return counts


def _values(instances: Iterable[FoundInstance], value_of: Callable[[FoundInstance], object]) -> set[object]:
    return {value for one in instances if (value := value_of(one))}


def _name_and_date(instance: FoundInstance, *, sure: bool) -> object:
    words, date = name_words(instance.person.name), _birth_date(instance)
    if not date or is_placeholder(words):
        return None
    certain = len(words) >= _FULL_NAME and not instance.person.identity_removed
    return (words, date) if certain or not sure else None
