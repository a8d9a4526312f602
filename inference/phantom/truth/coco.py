"""COCO JSON of one study, or of a whole set: boxes, and the masks as run lengths.

`bbox` is (x, y, width, height), continuous, from the outer corner of the first pixel. A mask is an uncompressed RLE:
run lengths in column-major order, the first one of background.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import Verdict
from inference.phantom.dicom.identifiers import NOTICE
from inference.phantom.truth.labelled_images import LabelledImage, LesionBox, lesion_mask

COCO_FILE: Final = "coco.json"
_CATEGORIES: Final = {Verdict.BENIGN: 1, Verdict.MALIGNANT: 2}


def coco_of_study(images: Iterable[LabelledImage], verdict: Verdict | None) -> dict[str, Any]:
    """All images of the sagittal series, those without a lesion too: a detector learns from both."""
    content = _empty()
    for image_id, image in enumerate(images, start=1):
        rows, columns = image.stack.pixels.shape[1:]
        content["images"].append({"id": image_id, "file_name": image.image_name, "width": columns, "height": rows})
        if verdict is not None:
            content["annotations"] += [_annotation(image, one, image_id, verdict) for one in image.boxes]
    for number, annotation in enumerate(content["annotations"], start=1):
        annotation["id"] = number
    return content


def joined(studies: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """One file of many: (folder of the study, its content), numbered through in this order."""
    content = _empty()
    for folder, study in studies:
        images, annotations = len(content["images"]), len(content["annotations"])
        content["images"] += [
            {**one, "id": one["id"] + images, "file_name": f"{folder}/{one['file_name']}"} for one in study["images"]
        ]
        content["annotations"] += [
            {**one, "id": one["id"] + annotations, "image_id": one["image_id"] + images} for one in study["annotations"]
        ]
    return content


def write_coco(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def _empty() -> dict[str, Any]:
    return {
        "info": {"description": NOTICE},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": verdict.value} for verdict, number in _CATEGORIES.items()],
    }


def _annotation(image: LabelledImage, one: LesionBox, image_id: int, verdict: Verdict) -> dict[str, Any]:
    series = image.stack.series
    if series is None:
        raise ValueError("a distractor has no boxes")  # for the type checker: labelled images are of sagittal series
    mask = lesion_mask(series, one.lesion)[image.position]
    return {
        "image_id": image_id,
        "category_id": _CATEGORIES[verdict],
        "bbox": [one.box.x0, one.box.y0, one.box.x1 - one.box.x0, one.box.y1 - one.box.y0],
        "area": one.pixels,
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
        "iscrowd": 0,
        "attributes": {"lesion": one.lesion},
    }


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """(Y, X) -> lengths of the runs in column-major order, background first (0 when the first pixel is inside)."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate(([0], changes, [flat.size]))
    lengths = np.diff(edges).tolist()
    return [0, *lengths] if flat[0] else lengths
