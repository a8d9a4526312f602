"""Who a lesion is: the same box on the same image keeps its tracking UID and number from revision to revision.

A later revision has more images. The window of a series may then be another, and a box may come out shifted by a
fraction of a pixel; the same lesion is the one that overlaps most.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from inference.findings import Findings, ImageReference, Lesion
from node.report.identifiers import MANUFACTURER, tracking_uid

SAME_LESION_IOU: Final = 0.5  # intersection over union from which two boxes on one image are one lesion


def with_tracking(findings: Findings, group_key: str, known: Sequence[Lesion] = ()) -> Findings:
    """The findings with a tracking UID and number on each lesion.

    `known` are the tracked lesions of all revisions before: one that was missing for a while is the same when it is
    back, and no other ever gets its number. A lesion that has its UID already keeps it. No two lesions share one. The
    same inputs give the same UIDs.
    """
    tracked = list(findings.lesions)
    for index, ancestor in _matches(findings.lesions, known):
        tracked[index] = replace(
            tracked[index], tracking_uid=ancestor.tracking_uid, tracking_number=ancestor.tracking_number
        )
    named = (*tracked, *known)
    used = {lesion.tracking_uid for lesion in named}
    number = max((lesion.tracking_number for lesion in named), default=0)
    for index, lesion in enumerate(tracked):
        if not lesion.tracking_uid:
            number += 1
            uid = _new_uid(group_key, lesion, used)
            used.add(uid)
            tracked[index] = replace(lesion, tracking_uid=uid, tracking_number=number)
    return replace(findings, lesions=tuple(tracked))


def tracking_identifier(lesion: Lesion) -> str:
    """The name of a tracked lesion in every object, for people; the UID is for machines (TID 4108)."""
    return f"{MANUFACTURER} lesion {lesion.tracking_number}"


def _matches(lesions: Iterable[Lesion], ancestors: Iterable[Lesion]) -> list[tuple[int, Lesion]]:
    """Index of a lesion and its ancestor; the pairs that overlap most come first, each lesion is in one pair."""
    pairs = [
        (shared, index, order, ancestor)
        for index, lesion in enumerate(lesions)
        for order, ancestor in enumerate(ancestors)
        if not lesion.tracking_uid
        and ancestor.tracking_uid
        and _place(ancestor.image) == _place(lesion.image)
        and (shared := lesion.box.overlap(ancestor.box)) >= SAME_LESION_IOU
    ]
    matched: dict[int, Lesion] = {}
    taken: set[int] = set()
    for _, index, order, ancestor in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if index not in matched and order not in taken:
            matched[index] = ancestor
            taken.add(order)
    return list(matched.items())


def _place(image: ImageReference) -> tuple[str, int]:
    return image.sop_instance_uid, image.frame_number or 0


def _new_uid(group_key: str, lesion: Lesion, used: set[str]) -> str:
    """Derived from the box; where the UID belongs to another lesion already, from the next ordinal."""
    ordinal = 0
    while (uid := tracking_uid(group_key, lesion.image, lesion.box, ordinal)) in used:
        ordinal += 1
    return uid
