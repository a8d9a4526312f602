"""When a case is complete, and why. Pure rules over what is known of its instances."""

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from config.settings import GroupingSettings
from inference.plane import dot, is_parallel, is_sagittal, missing_slices, normal
from storage.schema import InstanceRow

_UID_TAIL: Final = 4
# Of a direction cosine triple, whose length should be 1: outside, it spans no plane
_SHORTEST_AXIS: Final = 0.5
_LONGEST_AXIS: Final = 2.0
_LARGEST_COSINE: Final = 0.5  # between row and column, which should stand upright on each other


def completeness(instances: Sequence[InstanceRow], *, quiet_for: timedelta, settings: GroupingSettings) -> str | None:
    """The reason why the case is complete, or None while it must wait for more.

    Complete is a case that has the expected number of instances; or got none for `quiet_s` and no slice is missing;
    or got none for `gap_wait_s`. Only sagittal series are looked at for missing slices: the others are not
    analysed, and axial series often consist of separate stacks with wide gaps between them.
    """
    if settings.expected_instances is not None and len(instances) >= settings.expected_instances:
        return f"all {settings.expected_instances} expected instances are there"
    if quiet_for < timedelta(seconds=settings.quiet_s):
        return None
    missing = missing_by_series(instances)
    if not missing:
        return f"quiet {settings.quiet_s:g} s, no gap"
    gap_wait_s = max(settings.gap_wait_s, settings.quiet_s)
    if quiet_for < timedelta(seconds=gap_wait_s):
        return None
    gaps = ", ".join(f"{count} in series ..{uid[-_UID_TAIL:]}" for uid, count in sorted(missing.items()))
    return f"quiet {gap_wait_s:g} s, missing slices: {gaps}"


def missing_by_series(instances: Iterable[InstanceRow]) -> dict[str, int]:
    """Series Instance UID -> number of slices that its gaps lack, for sagittal series that lack any."""
    stacks: dict[str, list[_Stack]] = {}
    for instance in instances:
        orientation, position = instance.orientation, instance.position_mm
        if orientation is None or position is None or len(position) != 3:
            continue
        if not _spans_a_plane(orientation) or not is_sagittal(orientation):
            continue
        of_series = stacks.setdefault(instance.series_instance_uid, [])
        stack = next((one for one in of_series if is_parallel(one.orientation, orientation)), None)
        if stack is None:
            stack = _Stack(orientation)
            of_series.append(stack)
        stack.positions_mm.append(dot(normal(stack.orientation), position))
    counts = {uid: sum(missing_slices(stack.positions_mm) for stack in found) for uid, found in stacks.items()}
    return {uid: count for uid, count in counts.items() if count}


class _Stack:
    """Parallel images of one series: positions along their normal, in mm."""

    def __init__(self, orientation: Sequence[float]) -> None:
        self.orientation = orientation
        self.positions_mm: list[float] = []


def _spans_a_plane(orientation: Sequence[float]) -> bool:
    """Whether the row and the column direction have a length and an angle between them; broken files have none."""
    if len(orientation) != 6:
        return False
    row, column = orientation[:3], orientation[3:]
    lengths = math.hypot(*row), math.hypot(*column)
    if not all(_SHORTEST_AXIS < length < _LONGEST_AXIS for length in lengths):
        return False
    return abs(dot(row, column)) < _LARGEST_COSINE * lengths[0] * lengths[1]
