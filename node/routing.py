"""What happens to one received instance: which case it joins or why it is set aside, and where it is forwarded.

Pure rules of the site's settings; nothing here reads or writes anything.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

from pydicom.uid import UID

from config.settings import RouteSettings, Settings
from node.identity import significant
from node.report.identifiers import is_own_object
from node.storage_contexts import IMAGE_CLASSES
from storage.schema import InstanceRow

NO_ROUTE: Final = "no route for caller"  # first words of the reason; undone when a route is added


@dataclass(frozen=True, slots=True, kw_only=True)
class Destiny:
    """Where an instance goes: `group_key` and `route` when it joins a case, else `set_aside` says why not."""

    group_key: str = ""
    route: str = ""
    set_aside: str = ""
    forward_to: tuple[str, ...] = ()
    forward_with_answer: bool = False  # not before the answer of its case is there, see `node.forwarding`


def destiny(instance: InstanceRow, settings: Settings, *, made_by_node: bool) -> Destiny:
    """The rule for one instance. `made_by_node`: its UID is one of the node's own report objects."""
    if made_by_node or is_own_object(instance.manufacturer):
        return Destiny(set_aside="own object that came back")
    route = settings.route_for(instance.calling_ae_title)
    if route is None:
        return Destiny(set_aside=f"{NO_ROUTE} {instance.calling_ae_title}")
    forward_to = forwarding(instance.calling_ae_title, route, settings)
    if route.pipeline == "none":
        return Destiny(set_aside=f"route {route.name} only forwards", forward_to=forward_to)
    # CT joins as well: a study sent by mistake is answered "not analysed", not with silence
    if instance.sop_class_uid not in IMAGE_CLASSES:
        kind = UID(instance.sop_class_uid).name  # the UID itself where pydicom knows no name
        return Destiny(set_aside=f"no pipeline reads {kind}", forward_to=forward_to)
    key = group_key(instance, settings.grouping.group_by)
    with_answer = route.forward_when == "analysed"
    return Destiny(group_key=key, route=route.name, forward_to=forward_to, forward_with_answer=with_answer)


def forwarding(calling_ae_title: str, route: RouteSettings, settings: Settings) -> tuple[str, ...]:
    """The destinations of an original; never the peer it came from, or the two would play ball for ever."""
    destinations = {one.name: one for one in settings.destinations}
    return tuple(
        name
        for name in dict.fromkeys(route.forward_originals_to)
        if getattr(destinations[name], "ae_title", None) != calling_ae_title
    )


def group_key(instance: InstanceRow, group_by: Literal["patient", "study"]) -> str:
    """What two instances of one case share: 64 hexadecimal digits that tell nothing about the patient.

    Without a PatientID, a StudyDate or a PatientBirthDate the study stands alone: two unknown patients are not the
    same one, and a placeholder PatientID ("0", "ANON") comes without a birth date, as a rule.
    """
    patient_id, date = significant(instance.patient_id), instance.study_date.strip()
    if group_by == "patient" and patient_id and _is_date(date) and _is_date(instance.patient_birth_date):
        parts: tuple[str, ...] = ("patient", patient_id, significant(instance.issuer_of_patient_id), date)
    else:
        parts = ("study", instance.study_instance_uid)
    # a length before each part: ("ab", "c") and ("a", "bc") must differ
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def _is_date(value: str) -> bool:
    """Whether anything is said: some senders write 00000000 where they know no date."""
    return any(character in "123456789" for character in value)
