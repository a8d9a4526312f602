from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.findings import Box, Verdict
from inference.labels.annotation import ImageKey
from inference.labels.coco import is_coco, read_coco
from inference.labels.faults import FaultCode
from tests.inference.labels.hospital_folder import index_of
from tests.inference.mr_images import COLUMNS, ROWS, mr_slice

IMAGES = index_of({"a/one.dcm": mr_slice(0), "a/two.dcm": mr_slice(1)})
ONE, TWO = ImageKey("1.2.826.0.1.1"), ImageKey("1.2.826.0.1.2")
CATEGORIES = [{"id": 3, "name": "Benign"}, {"id": 8, "name": "malignant"}, {"id": 9, "name": "artefact"}]


def coco(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    images = [
        {"id": 10, "file_name": "one.dcm", "height": ROWS, "width": COLUMNS},
        {"id": 11, "file_name": "two.png", "height": ROWS, "width": COLUMNS},
        {"id": 12, "file_name": "never-drawn-on.png", "height": ROWS, "width": COLUMNS},
    ]
    return {"images": images, "categories": CATEGORIES, "annotations": list(annotations), **changes}


def annotation(image_id: int = 10, category_id: int = 3, **changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": category_id, "bbox": [2, 3.5, 4, 5], **changes}


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Multiples of 1/8: a width can be taken from two edges and added again without rounding."""
    x0, y0, x1, y1 = (n / 8 for n in draw(st.tuples(*[st.integers(0, 160)] * 4)))
    return Box(x0=min(x0, x1), y0=min(y0, y1), x1=max(x0, x1), y1=max(y0, y1))


@given(st.lists(st.tuples(boxes(), st.sampled_from([10, 11]), st.sampled_from([3, 8])), max_size=5))
def test_boxes_come_back_as_x_y_width_and_height_said(wanted: list[tuple[Box, int, int]]) -> None:
    entries = [
        annotation(image_id, category, bbox=[box.x0, box.y0, box.x1 - box.x0, box.y1 - box.y0])
        for box, image_id, category in wanted
    ]

    read = read_coco(coco(*entries), "a/labels.json", IMAGES)

    verdicts, keys = {3: Verdict.BENIGN, 8: Verdict.MALIGNANT}, {10: ONE, 11: TWO}
    assert [(one.box, one.image, one.verdict) for one in read.boxes] == [
        (box, keys[image_id], verdicts[category]) for box, image_id, category in wanted
    ]
    assert read.faults == ()


def test_images_without_boxes_need_not_be_there() -> None:
    assert read_coco(coco(), "a/labels.json", IMAGES).faults == ()


@pytest.mark.parametrize(
    ("content", "code", "boxes_left"),
    [
        (coco(annotation(12), annotation(12), annotation()), FaultCode.ANNOTATION_WITHOUT_IMAGE, 1),
        (coco(annotation(99), annotation()), FaultCode.ANNOTATION_WITHOUT_IMAGE, 1),
        (coco(annotation(category_id=9), annotation()), FaultCode.LABEL_UNKNOWN, 1),
        (coco(annotation(category_id=77), annotation()), FaultCode.LABEL_UNKNOWN, 1),
        (coco(annotation(bbox=[1, 2, 3]), annotation()), FaultCode.ANNOTATION_UNREADABLE, 1),
        (coco(annotation(bbox=None), annotation()), FaultCode.ANNOTATION_UNREADABLE, 1),
        (coco({"id": 1}), FaultCode.ANNOTATION_UNREADABLE, 0),
        (coco(annotation(), images=[{"id": "10"}]), FaultCode.ANNOTATION_UNREADABLE, 0),
        (
            coco(annotation(), images=[{"id": 10, "file_name": "one.dcm", "height": 7, "width": COLUMNS}]),
            FaultCode.IMAGE_SIZE_DIFFERS,
            0,
        ),
    ],
)
def test_what_is_wrong_is_told_once_and_the_rest_is_read(
    content: dict[str, Any], code: FaultCode, boxes_left: int
) -> None:
    read = read_coco(content, "a/labels.json", IMAGES)

    assert [fault.code for fault in read.faults] == [code]
    assert read.faults[0].place.file == "a/labels.json"
    assert len(read.boxes) == boxes_left


def test_other_json_is_not_taken_for_coco() -> None:
    assert is_coco(coco())
    assert not is_coco({"images": []})
    assert not is_coco([1, 2])
