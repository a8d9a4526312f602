from inference.datasets import SpineRegion
from inference.evaluation.metrics import Confusion
from inference.evaluation.results import RegionRow
from inference.evaluation.subgroups import region_rows, subgroup_rows
from tests.inference.evaluation.diagnoses import diagnosis

DIAGNOSES = [
    diagnosis("P1", malignant=True, said=True),
    diagnosis("P2", malignant=True, said=False),
    diagnosis("P3", malignant=False, said=False),
    diagnosis("P4", malignant=False, said=True),
    diagnosis("P5", malignant=True),
]


def test_a_patient_counts_in_every_region_of_the_lesions() -> None:
    regions = [
        (SpineRegion.LUMBAR,),
        (SpineRegion.LUMBAR, SpineRegion.THORACIC),
        (SpineRegion.THORACIC,),
        (),
        (SpineRegion.LUMBAR,),
    ]

    rows = region_rows(DIAGNOSES, regions)

    assert rows == (
        RegionRow(region="thoracic", right=1, wrong=1, undetected=0),
        RegionRow(region="lumbar", right=1, wrong=2, undetected=1),
    )


def test_subgroups_part_the_patients_and_those_without_a_value_come_last() -> None:
    rows = subgroup_rows("site", DIAGNOSES, ["south", "north", "south", "north", ""])

    assert [row.value for row in rows] == ["north", "south", "not recorded"]
    assert rows[0].counts == Confusion(true_malignant=0, missed_malignant=1, true_benign=0, false_malignant=1)
    assert rows[1].counts == Confusion(true_malignant=1, missed_malignant=0, true_benign=1, false_malignant=0)
    assert sum(row.counts.malignant + row.counts.benign for row in rows) == len(DIAGNOSES)


def test_patients_without_a_detection_are_counted_in_their_subgroup() -> None:
    rows = subgroup_rows("site", DIAGNOSES, ["south", "north", "south", "north", "north"])

    assert [(row.value, row.undetected) for row in rows] == [("north", 1), ("south", 0)]


def test_a_subgroup_has_an_area_from_two_patients_of_each_class() -> None:
    rows = subgroup_rows("site", DIAGNOSES, ["a", "a", "a", "a", "b"])

    assert rows[0].area is not None
    assert rows[0].area.value == 0.5
    assert rows[1].area is None


def test_one_value_for_all_is_no_subgroup() -> None:
    assert subgroup_rows("site", DIAGNOSES, ["north"] * 5) == ()
