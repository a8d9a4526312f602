import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.findings import Box, Verdict
from inference.labels.annotation import ImageKey
from inference.labels.faults import FaultCode
from inference.labels.labelme import read_labelme, write_labelme
from tests.inference.labels.hospital_folder import index_of
from tests.inference.mr_images import COLUMNS, ROWS, enhanced_mr, mr_slice, stored_pixels

IMAGE = mr_slice(0)
FRAMES = enhanced_mr(np.stack([stored_pixels(k) for k in range(4)]))
IMAGES = index_of({"a/scan.dcm": IMAGE, "a/1.2.3.17": mr_slice(1), "b/many.dcm": FRAMES})
UID = str(IMAGE.SOPInstanceUID)


def shape(**changes: Any) -> dict[str, Any]:
    return {"label": "benign", "points": [[2.5, 3], [9, 12.25]], "shape_type": "rectangle", **changes}


def file(*shapes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"shapes": list(shapes), "imagePath": "scan.dcm", "imageHeight": ROWS, "imageWidth": COLUMNS, **changes}


coordinates = st.floats(0, 20, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, y0 = draw(coordinates), draw(coordinates)
    return Box(x0=x0, y0=y0, x1=x0 + draw(coordinates), y1=y0 + draw(coordinates))


@given(st.lists(boxes(), max_size=4), st.sampled_from(Verdict))
def test_rectangles_that_are_written_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, written: list[Box], verdict: Verdict
) -> None:
    path = tmp_path_factory.mktemp("labelme") / "scan.json"

    write_labelme(path, "scan.dcm", written, label=verdict, rows=ROWS, columns=COLUMNS)
    read = read_labelme(json.loads(path.read_text()), "a/scan.json", IMAGES)

    assert [one.box for one in read.boxes] == written
    assert all(one.verdict is verdict and one.image == ImageKey(UID) for one in read.boxes)
    assert read.faults == ()


@given(boxes(), st.booleans(), st.booleans())
def test_the_two_corners_of_a_rectangle_may_come_in_any_order(box: Box, swap_x: bool, swap_y: bool) -> None:
    x0, x1 = (box.x1, box.x0) if swap_x else (box.x0, box.x1)
    y0, y1 = (box.y1, box.y0) if swap_y else (box.y0, box.y1)

    read = read_labelme(file(shape(points=[[x0, y0], [x1, y1]])), "a/scan.json", IMAGES)

    assert [one.box for one in read.boxes] == [box]


def test_a_polygon_gives_the_box_around_it() -> None:
    points = [[3, 4], [8, 2], [6.5, 11]]

    read = read_labelme(file(shape(shape_type="polygon", points=points)), "a/scan.json", IMAGES)

    assert [one.box for one in read.boxes] == [Box(x0=3, y0=2, x1=8, y1=11)]


@pytest.mark.parametrize(
    ("kind", "points"),
    [("circle", [[3, 4], [8, 2]]), ("rectangle", [[3, 4], [8, 2], [9, 9]]), ("point", [[1, 1]]), ("polygon", [[1, 1]])],
)
def test_a_shape_that_is_no_box_is_a_fault(kind: str, points: list[list[float]]) -> None:
    read = read_labelme(file(shape(), shape(shape_type=kind, points=points)), "a/scan.json", IMAGES)

    assert len(read.boxes) == 1
    assert [fault.code for fault in read.faults] == [FaultCode.SHAPE_NOT_A_BOX]
    assert kind in read.faults[0].what


def test_labels_are_read_in_upper_and_lower_case() -> None:
    read = read_labelme(file(shape(label="MALIGNANT"), shape(label=" Benign ")), "a/scan.json", IMAGES)

    assert [one.verdict for one in read.boxes] == [Verdict.MALIGNANT, Verdict.BENIGN]


def test_another_label_is_a_fault_that_names_it() -> None:
    read = read_labelme(file(shape(label="metastasis")), "a/scan.json", IMAGES)

    assert read.boxes == ()
    assert [fault.code for fault in read.faults] == [FaultCode.LABEL_UNKNOWN]
    assert "metastasis" in read.faults[0].what


def test_boxes_drawn_on_a_picture_of_another_size_are_a_fault() -> None:
    read = read_labelme(file(shape(), imageWidth=2 * COLUMNS), "a/scan.json", IMAGES)

    assert read.boxes == ()
    assert [fault.code for fault in read.faults] == [FaultCode.IMAGE_SIZE_DIFFERS]
    assert f"{COLUMNS} x {ROWS}" in read.faults[0].what


@pytest.mark.parametrize(
    ("name", "image_path", "uid"),
    [
        ("a/scan.json", "scan.dcm", UID),
        ("a/scan.json", "scan.png", UID),  # an exported picture of the same name
        ("a/scan.json", None, UID),
        ("a/scan.json", "C:\\export\\scan.png", UID),  # of another machine
        ("labels/17.json", "..\\a\\scan.dcm", UID),
        ("a/SCAN.json", "SCAN.DCM", UID),
        ("a/1.2.3.17.json", "1.2.3.17.png", "1.2.826.0.1.2"),  # named by a UID: ".17" is no suffix
        ("a/scan.json", "gone.png", UID),  # renamed: the name of the JSON file is left
    ],
)
def test_the_image_is_found_by_image_path_or_by_the_name_of_the_file(
    name: str, image_path: str | None, uid: str
) -> None:
    read = read_labelme(file(shape(), imagePath=image_path), name, IMAGES)

    assert [one.image for one in read.boxes] == [ImageKey(uid)]


def test_a_picture_of_one_frame_names_the_frame() -> None:
    read = read_labelme(file(shape(), imagePath="many-frame003.png"), "b/many-frame003.json", IMAGES)

    assert [one.image for one in read.boxes] == [ImageKey(str(FRAMES.SOPInstanceUID), 3)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("many.png", "says no frame"),
        ("many-frame9.png", "has no frame 9"),
        ("other.png", "no DICOM image has the name"),
    ],
)
def test_an_annotation_without_its_image_is_a_fault_that_says_why(name: str, why: str) -> None:
    read = read_labelme(file(shape(), imagePath=name), "b/x.json", IMAGES)

    assert [fault.code for fault in read.faults] == [FaultCode.ANNOTATION_WITHOUT_IMAGE]
    assert why in read.faults[0].what
    assert read.faults[0].place.file == "b/x.json"


def test_a_name_that_fits_two_images_is_a_fault() -> None:
    images = index_of({"scan.dcm": mr_slice(0), "scan.ima": mr_slice(1)})

    read = read_labelme(file(shape(), imagePath="scan.png"), "scan.json", images)

    assert [fault.code for fault in read.faults] == [FaultCode.ANNOTATION_WITHOUT_IMAGE]
    assert "scan.dcm, scan.ima" in read.faults[0].what


@pytest.mark.parametrize(
    "content",
    [
        file(shape(points=[[1, 2], [3, "4"]])),
        file(shape(points=[[1, 2], [3, float("nan")]])),
        file(shape(points=[[1, 2, 3], [4, 5, 6]])),
        file(shape(label=None)),
        file(shape(), imageHeight="high"),
        {**file(), "shapes": "none"},
    ],
)
def test_broken_values_are_a_fault_and_no_crash(content: dict[str, Any]) -> None:
    read = read_labelme(content, "a/scan.json", IMAGES)

    assert read.boxes == ()
    assert [fault.code for fault in read.faults] == [FaultCode.ANNOTATION_UNREADABLE]


@pytest.mark.parametrize(
    ("name", "image_path"),
    [
        ("a/1.2.3.17.json", "scan.dcm"),
        ("a/scan.json", "../b/many-frame2.png"),
        ("b/many-frame2.json", "many-frame3.png"),
        ("b/many.json", "../a/scan.dcm"),
    ],
)
def test_two_names_that_lead_to_two_images_are_a_fault_and_give_no_box(name: str, image_path: str) -> None:
    read = read_labelme(file(shape(), imagePath=image_path), name, IMAGES)

    assert read.boxes == ()
    assert [fault.code for fault in read.faults] == [FaultCode.ANNOTATION_IMAGE_DOUBTFUL]


def test_an_own_name_that_fits_several_files_does_not_contradict_the_one_that_image_path_means() -> None:
    images = index_of({"scan.dcm": mr_slice(0), "scan.ima": mr_slice(1)})

    read = read_labelme(file(shape(), imagePath="scan.ima"), "scan.json", images)

    assert [one.image for one in read.boxes] == [ImageKey("1.2.826.0.1.2")]
    assert read.faults == ()


@pytest.mark.parametrize(
    ("name", "image_path"), [("b/many.json", "many-frame3.png"), ("a/scan-frame1.json", "scan.dcm")]
)
def test_a_name_with_a_frame_and_one_without_may_mean_one_image(name: str, image_path: str) -> None:
    read = read_labelme(file(shape(), imagePath=image_path), name, IMAGES)

    assert len(read.boxes) == 1
    assert read.faults == ()


def test_a_file_without_shapes_says_nothing(tmp_path: Path) -> None:
    assert read_labelme(file(), "a/scan.json", IMAGES).boxes == ()
