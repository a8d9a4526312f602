"""What a reader sees of a report: OHIF and Orthanc's explorer in a real browser, on studies whose lesions are known."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from node.report.context import ReportKind
from tests.system import ohif
from tests.system.browser import browser_page
from tests.system.hospital import Case, Hospital, opened_hospital
from tests.system.ohif_drawings import (
    ANNOTATIONS,
    LABELMAPS,
    MEASURED_IMAGES,
    PDF,
    alike,
    blank,
    box_of,
    difference,
    paints,
    rectangle,
    sop_of,
)
from tests.system.ohif_viewer import OhifViewer
from tests.system.orthanc import DICOM_WEB, ORTHANC

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(bool(ohif.missing()), reason=ohif.missing()),
    pytest.mark.skipif(
        ORTHANC is None or not Path(DICOM_WEB).exists(),
        reason="Orthanc with its DICOMweb plugin is not installed (apt-get install orthanc orthanc-dicomweb)",
    ),
]

LOUDEST_NOISE: Final = 5.0  # mean difference in grey levels: 2 to 4 by resampling and OHIF's words in the corners


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    with opened_hospital(tmp_path_factory.mktemp("hospital")) as opened:
        yield opened


@pytest.fixture
def viewer(hospital: Hospital) -> Iterator[OhifViewer]:
    with browser_page() as page:
        yield OhifViewer(page, hospital.site)


def opened(viewer: OhifViewer, one: Case, kind: ReportKind) -> str:
    """Open the series of this kind; returns its Series Instance UID."""
    viewer.open_study(one.study_instance_uid, len(one.series))
    return viewer.open_series(one.series_of(kind)).series


@pytest.mark.parametrize("name", ["lesions", "enhanced"])
def test_ohif_puts_every_box_of_the_report_where_the_lesion_is(
    hospital: Hospital, viewer: OhifViewer, name: str
) -> None:
    one = hospital.cases[name]
    wanted = [(lesion.image, lesion.box) for lesion in one.findings.lesions]

    opened(viewer, one, "sr")
    viewer.wait_for(f"count => ({ANNOTATIONS})().filter(one => one.image).length === count", len(wanted))

    boxes = [box_of(found, one.study) for found in viewer.evaluate(ANNOTATIONS)]
    assert Counter(image for image, _ in boxes) == Counter(image for image, _ in wanted)
    assert [pair for pair in wanted if not any(alike(pair, found) for found in boxes)] == []
    assert not viewer.has_failed()


def test_ohif_opens_the_report_at_its_first_box_and_goes_on_to_the_next(hospital: Hospital, viewer: OhifViewer) -> None:
    one = hospital.cases["lesions"]
    first, second = one.findings.lesions[:2]

    opened(viewer, one, "sr")
    viewer.wait_for_image(first.image.sop_instance_uid)

    viewer.wait_until(lambda: paints(viewer, first.box, one.study.images[first.image.sop_instance_uid]))
    viewer.press("viewport-action-arrows-right")
    viewer.wait_for_image(second.image.sop_instance_uid)


def test_ohif_takes_every_box_into_its_list_of_measurements(hospital: Hospital, viewer: OhifViewer) -> None:
    one = hospital.cases["lesions"]

    opened(viewer, one, "sr")
    viewer.press("yes-hydrate-btn")
    viewer.wait_for(f"count => ({MEASURED_IMAGES})().length === count", len(one.findings.lesions), timeout_s=15)

    wanted = Counter(lesion.image.sop_instance_uid for lesion in one.findings.lesions)
    assert Counter(viewer.evaluate(MEASURED_IMAGES)) == wanted


@pytest.mark.parametrize("kind", ["summary", "overlay", "overlay_frames"])
def test_ohif_shows_the_pictures_as_they_were_drawn(hospital: Hospital, viewer: OhifViewer, kind: ReportKind) -> None:
    one = hospital.cases["lesions"]

    series = opened(viewer, one, kind)
    viewer.wait_for_image_of(series)

    drawn = one.dataset(viewer.image_shown())
    frame = drawn.pixel_array.reshape(-1, drawn.Rows, drawn.Columns, 3)[0]
    viewer.wait_until(lambda: difference(viewer.picture(), Image.fromarray(frame)) < LOUDEST_NOISE)
    assert not viewer.has_failed()


def test_ohif_lays_a_segmentation_over_its_lesions(hospital: Hospital, viewer: OhifViewer) -> None:
    one = hospital.cases["lesions"]
    boxes = {lesion.image.sop_instance_uid: lesion.box for lesion in one.findings.lesions}

    viewer.open_study(one.study_instance_uid, len(one.series))
    viewer.open(next(found for found in viewer.display_sets() if found.modality == "SEG"))
    viewer.wait_for(f"() => ({LABELMAPS})().some(one => one.marked.length)")

    marked = {sop_of(found["image"]): rectangle(found) for found in viewer.evaluate(LABELMAPS) if found["marked"]}
    assert len(marked) > 1
    assert marked == {image: boxes[image] for image in marked}
    assert not viewer.has_failed()


def test_ohif_offers_a_segmentation_of_each_series_with_a_finding(hospital: Hospital, viewer: OhifViewer) -> None:
    one = hospital.cases["lesions"]

    viewer.open_study(one.study_instance_uid, len(one.series))

    offered = [found for found in viewer.display_sets() if found.modality == "SEG"]
    assert len(offered) == len({lesion.series_instance_uid for lesion in one.findings.lesions})


def test_ohif_shows_the_pdf(hospital: Hospital, viewer: OhifViewer) -> None:
    one = hospital.cases["lesions"]
    (document,) = one.of_kind("pdf")

    opened(viewer, one, "pdf")
    viewer.wait_for("() => document.querySelector('object[type=\"application/pdf\"]')?.data.startsWith('blob:')")

    length = document.EncapsulatedDocumentLength  # without the padding
    assert bytes(viewer.evaluate(PDF))[:length] == document.EncapsulatedDocument[:length]
    viewer.wait_until(lambda: not blank(viewer.picture()))
    assert not viewer.has_failed()


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("negative", ["NO LESION DETECTED in 3 sequences", "This does not exclude a lesion"]),
        ("not_analysed", ["NOT ANALYSED. No eligible series", "Reason why the case was not analysed"]),
    ],
)
def test_ohif_shows_a_report_without_boxes_as_text(
    hospital: Hospital, viewer: OhifViewer, name: str, sentences: list[str]
) -> None:
    opened(viewer, hospital.cases[name], "sr")

    for sentence in [*sentences, "For research use only. Not for diagnosis."]:
        viewer.wait_for("sentence => document.body.innerText.includes(sentence)", sentence)
    assert not viewer.has_failed()


def test_ohif_fails_on_a_report_without_boxes_under_the_title_of_measurements(
    hospital: Hospital, viewer: OhifViewer
) -> None:
    opened(viewer, hospital.cases["other_title"], "sr")

    viewer.wait_until(viewer.has_failed)  # why reports without boxes have the other title, and that a failure is seen


@pytest.mark.parametrize("kind", ["presentation_state", "key_objects"])
def test_ohif_lists_what_it_cannot_show_and_stays_whole(
    hospital: Hospital, viewer: OhifViewer, kind: ReportKind
) -> None:
    one = hospital.cases["lesions"]
    viewer.open_study(one.study_instance_uid, len(one.series))

    listed = viewer.open_series(one.series_of(kind))

    assert listed.unsupported
    viewer.wait_until(lambda: not blank(viewer.picture()))
    assert not viewer.has_failed()


def test_orthancs_explorer_lists_every_series(hospital: Hospital) -> None:
    one = hospital.cases["lesions"]
    names = {str(made.dataset.SeriesDescription) for made in one.objects}
    (study,) = hospital.pacs.api.post("/tools/lookup", content=one.study_instance_uid).json()

    with browser_page() as page:
        page.goto(f"http://127.0.0.1:{hospital.pacs.http_port}/app/explorer.html#study?uuid={study['ID']}")
        for name in names:
            page.locator("#list-series").get_by_text(name).first.wait_for()
        listed = page.locator("#list-series li").filter(has=page.locator("a")).count()

    assert listed == len(one.series)
