"""Names and UIDs: derived, so that a retry makes the same objects, and own objects are known when they come back."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import dcmwrite

from inference.findings import Box, ImageReference
from node.part10 import IMPLEMENTATION_CLASS_UID
from node.report import ReportObject, build_report, is_own_object, report_uid
from node.report.identifiers import algorithm_version, model_name, tracking_uid
from tests.node.report.report_sources import BUNDLE, Study, context_of, findings_of

IMAGE = ImageReference(sop_class_uid="1.2", sop_instance_uid="1.2.3", frame_number=4)
BOX = Box(x0=1, y0=2, x1=3, y1=4)


def bytes_of(made: ReportObject) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, made.dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("style", ["classic", "enhanced"])
@pytest.mark.parametrize("verdict", ["malignant", "not_analysed"])
def test_a_second_build_makes_the_same_bytes(
    studies: dict[str, Study], report: Callable[[str, str], list[ReportObject]], style: str, verdict: str
) -> None:
    study = studies[style]
    first = report(style, verdict)

    second = build_report(findings_of(study, verdict), dict(reversed(study.images.items())), context_of(study))

    assert [bytes_of(made) for made in second] == [bytes_of(made) for made in first]


def test_a_report_uid_depends_on_each_of_its_parts() -> None:
    base = ("key", 1, "a" * 64, "sr", 1)
    others = [("kez", 1, "a" * 64, "sr", 1), ("key", 2, "a" * 64, "sr", 1), ("key", 1, "b" * 64, "sr", 1)]
    others += [("key", 1, "a" * 64, "overlay", 1), ("key", 1, "a" * 64, "sr", 2)]

    uids = {report_uid(*parts) for parts in [base, *others]}

    assert len(uids) == 6
    assert report_uid(*base) in uids


def test_uids_are_valid() -> None:
    for index in range(200):
        uid = report_uid("key", 1, "a" * 64, "overlay", index)
        assert uid.startswith("2.25.")
        assert len(uid) <= 64
        assert not uid.split(".")[-1].startswith("0")


def test_a_tracking_uid_tells_frames_and_boxes_apart() -> None:
    uids = {
        tracking_uid("key", IMAGE, BOX, 0),
        tracking_uid("key", IMAGE, BOX, 1),
        tracking_uid("key", replace(IMAGE, frame_number=5), BOX, 0),
        tracking_uid("key", IMAGE, replace(BOX, x1=9), 0),
    }

    assert len(uids) == 4


def test_long_names_of_a_bundle_fit_their_attributes() -> None:
    bundle = replace(BUNDLE, version="v" * 80)

    assert len(algorithm_version(bundle)) <= 64
    assert len(model_name(bundle, "c" * 80)) <= 64


def test_own_objects_are_recognised(report: Callable[[str, str], list[ReportObject]]) -> None:
    for made in report("classic", "malignant"):
        assert is_own_object(made.dataset.Manufacturer)


def test_report_objects_and_received_files_name_one_implementation(
    report: Callable[[str, str], list[ReportObject]],
) -> None:
    for made in report("classic", "malignant"):
        assert made.dataset.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID


@pytest.mark.parametrize("manufacturer", ["Hitachi", "SpineNode Works", ""])
def test_objects_of_others_are_not_taken_for_own(manufacturer: str) -> None:
    assert not is_own_object(manufacturer)


def test_own_objects_among_the_images_are_no_evidence(
    studies: dict[str, Study], report: Callable[[str, str], list[ReportObject]]
) -> None:
    study = studies["classic"]
    own = report("classic", "malignant")[0].dataset
    images = study.images | {str(own.SOPInstanceUID): own}

    again = build_report(findings_of(study, "negative"), images, context_of(study))[0].dataset

    references = again.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert own.SeriesInstanceUID not in {series.SeriesInstanceUID for series in references}
