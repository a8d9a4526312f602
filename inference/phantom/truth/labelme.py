"""LabelMe: one JSON file beside each image that shows a lesion.

LabelMe's points are continuous, (0, 0) is the outer corner of the first pixel: the frame of `inference.findings.Box`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from inference.findings import Verdict
from inference.phantom.dicom.identifiers import NOTICE
from inference.phantom.truth.labelled_images import LabelledImage, LesionBox, tracking_identifier

_VERSION: Final = "5.5.0"  # of the format: shapes with description and mask


def write_labelme(images: Iterable[LabelledImage], verdict: Verdict, folder: Path) -> list[Path]:
    """The label of every rectangle is the class of the patient."""
    written = []
    for image in images:
        if image.boxes:
            path = folder / f"{image.stem}.json"
            path.write_text(json.dumps(_content(image, verdict), indent=1) + "\n", encoding="utf-8")
            written.append(path)
    return written


def _content(image: LabelledImage, verdict: Verdict) -> dict[str, Any]:
    rows, columns = image.stack.pixels.shape[1:]
    return {
        "version": _VERSION,
        "flags": {NOTICE: True},
        "shapes": [_shape(one, verdict) for one in image.boxes],
        "imagePath": image.image_name,
        "imageData": None,
        "imageHeight": rows,
        "imageWidth": columns,
    }


def _shape(one: LesionBox, verdict: Verdict) -> dict[str, Any]:
    return {
        "label": verdict.value,
        "points": [[one.box.x0, one.box.y0], [one.box.x1, one.box.y1]],
        "group_id": one.lesion,
        "description": tracking_identifier(one.lesion),
        "shape_type": "rectangle",
        "flags": {},
        "mask": None,
    }
