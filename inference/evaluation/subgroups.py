"""Rights and wrongs by region of the spine, and performance by any attribute of the patients."""

from collections.abc import Sequence

from inference.datasets import SpineRegion
from inference.evaluation.comparison import area_with_delong
from inference.evaluation.diagnosis import Diagnosis, undetected
from inference.evaluation.metrics import confusion
from inference.evaluation.results import RegionRow, SubgroupRow

UNKNOWN = "not recorded"


def region_rows(diagnoses: Sequence[Diagnosis], regions: Sequence[Sequence[SpineRegion]]) -> tuple[RegionRow, ...]:
    """Regions from the head down, those alone that occur. A patient counts in each of the regions of the lesions."""
    rows = []
    for region in SpineRegion:
        there = [one for one, places in zip(diagnoses, regions, strict=True) if region in places]
        right = sum(one.is_right for one in there)
        if there:
            rows.append(
                RegionRow(region=region.value, right=right, wrong=len(there) - right, undetected=undetected(there))
            )
    return tuple(rows)


def subgroup_rows(attribute: str, diagnoses: Sequence[Diagnosis], values: Sequence[str]) -> tuple[SubgroupRow, ...]:
    """One row per value; none when all patients have the same."""
    found = sorted(set(values), key=lambda value: (value == "", value))
    if len(found) < 2:
        return ()
    return tuple(
        _subgroup(attribute, value, [one for one, its in zip(diagnoses, values, strict=True) if its == value])
        for value in found
    )


def _subgroup(attribute: str, value: str, diagnoses: Sequence[Diagnosis]) -> SubgroupRow:
    truth = [one.is_malignant for one in diagnoses]
    counts = confusion([one.said_malignant for one in diagnoses], truth)
    enough = min(counts.malignant, counts.benign) >= 2
    return SubgroupRow(
        attribute=attribute,
        value=value or UNKNOWN,
        counts=counts,
        area=area_with_delong([one.score for one in diagnoses], truth) if enough else None,
        undetected=undetected(diagnoses),
    )
