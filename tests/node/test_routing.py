"""Where one received instance goes."""

from typing import Any

import pytest

from config.settings import DestinationSettings, RouteSettings, Settings
from node.routing import destiny, group_key
from storage.schema import InstanceRow

MR = "1.2.840.10008.5.1.4.1.1.4"
SETTINGS = Settings(
    destinations=(
        DestinationSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=4242),
        DestinationSettings(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=4243),
    ),
    routes=(
        RouteSettings(name="relay", callers=("CT1",), pipeline="none", forward_originals_to=("archive",)),
        RouteSettings(name="spine", callers=("SCANNER", "PACS"), forward_originals_to=("pacs", "archive")),
    ),
)


def instance(**changes: Any) -> InstanceRow:
    values: dict[str, Any] = {
        "sop_instance_uid": "2.25.1",
        "sop_class_uid": MR,
        "series_instance_uid": "2.25.2",
        "study_instance_uid": "2.25.3",
        "calling_ae_title": "SCANNER",
        "patient_id": "P1",
        "issuer_of_patient_id": "",
        "study_date": "20261102",
        "patient_birth_date": "19600611",
        "manufacturer": "Hitachi",
    }
    return InstanceRow(**(values | changes))


def test_an_mr_image_of_a_routed_caller_joins_a_case() -> None:
    goes = destiny(instance(), SETTINGS, made_by_node=False)

    assert (goes.route, goes.set_aside) == ("spine", "")
    assert len(goes.group_key) == 64


@pytest.mark.parametrize(("changes", "made_by_node"), [({"manufacturer": "SpineNode "}, False), ({}, True)])
def test_an_own_object_is_set_aside_and_never_forwarded(changes: dict[str, str], made_by_node: bool) -> None:
    goes = destiny(instance(**changes), SETTINGS, made_by_node=made_by_node)

    assert goes.set_aside == "own object that came back"
    assert goes.forward_to == ()


def test_a_caller_without_route_is_set_aside_by_name() -> None:
    assert (
        destiny(instance(calling_ae_title="MR9"), SETTINGS, made_by_node=False).set_aside == "no route for caller MR9"
    )


def test_a_forwarding_route_analyses_nothing() -> None:
    goes = destiny(instance(calling_ae_title="CT1"), SETTINGS, made_by_node=False)

    assert goes.set_aside == "route relay only forwards"
    assert goes.forward_to == ("archive",)


@pytest.mark.parametrize(
    ("sop_class_uid", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.34", "Comprehensive 3D SR Storage"),
        ("1.2.840.10008.5.1.4.1.1.7", "Secondary Capture Image Storage"),
        ("1.2.840.10008.5.1.4.1.1.66", "Raw Data Storage"),
        ("2.25.99", "2.25.99"),
    ],
)
def test_an_object_that_is_no_image_is_set_aside_but_forwarded(sop_class_uid: str, name: str) -> None:
    goes = destiny(instance(sop_class_uid=sop_class_uid), SETTINGS, made_by_node=False)

    assert goes.set_aside == f"no pipeline reads {name}"
    assert goes.forward_to == ("pacs", "archive")


def test_a_ct_image_joins_a_case_so_that_a_misrouted_study_is_answered() -> None:
    goes = destiny(instance(sop_class_uid="1.2.840.10008.5.1.4.1.1.2"), SETTINGS, made_by_node=False)

    assert goes.set_aside == ""
    assert goes.group_key != ""


def test_an_original_is_never_forwarded_to_the_peer_it_came_from() -> None:
    assert destiny(instance(calling_ae_title="PACS"), SETTINGS, made_by_node=False).forward_to == ("archive",)


def test_studies_of_one_patient_and_date_share_a_case() -> None:
    assert group_key(instance(), "patient") == group_key(instance(study_instance_uid="2.25.4"), "patient")


@pytest.mark.parametrize("changes", [{"patient_id": "P2"}, {"issuer_of_patient_id": "X"}, {"study_date": "20261103"}])
def test_another_patient_issuer_or_date_is_another_case(changes: dict[str, str]) -> None:
    assert group_key(instance(), "patient") != group_key(instance(**changes), "patient")


def test_parts_of_the_key_cannot_run_into_each_other() -> None:
    one = instance(patient_id="P1", issuer_of_patient_id="2")
    other = instance(patient_id="P12", issuer_of_patient_id="")

    assert group_key(one, "patient") != group_key(other, "patient")


@pytest.mark.parametrize(
    "unknown",
    [
        {"patient_id": ""},
        {"patient_id": "  "},
        {"study_date": ""},
        {"patient_birth_date": ""},
        {"patient_birth_date": "00000000"},
    ],
)
def test_images_without_patient_id_or_a_date_are_never_merged_across_studies(unknown: dict[str, str]) -> None:
    one, other = instance(**unknown), instance(study_instance_uid="2.25.4", **unknown)

    assert group_key(one, "patient") != group_key(other, "patient")
    assert group_key(one, "patient") == group_key(instance(sop_instance_uid="2.25.9", **unknown), "patient")


def test_grouping_by_study_looks_at_the_study_alone() -> None:
    assert group_key(instance(), "study") == group_key(instance(patient_id="P2"), "study")
    assert group_key(instance(), "study") != group_key(instance(study_instance_uid="2.25.4"), "study")
