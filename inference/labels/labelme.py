"""LabelMe JSON: one file per image, beside it.

LabelMe's points are continuous, with (0, 0) at the outer corner of the first pixel (its canvas draws the image from
there), so they are coordinates of `inference.findings.Box` as they stand.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from inference.findings import Box
from inference.labels.annotation import Annotations, ImageKey, LabelledBox, box_around, joined, verdict_of_label
from inference.labels.dicom_folder import FoundInstance
from inference.labels.faults import Fault, FaultCode, PatientKey, Place
from inference.labels.image_index import ImageIndex, NamedImage, NoImage, relative_name
from inference.labels.json_values import NotThat, a_list, number, size, text

_VERSION: Final = "5.5.0"  # of the format that is written: no imageData, description and mask per shape
_POINTS: Final = {"rectangle": (2, 2), "polygon": (3, None)}  # shapes with a box: fewest and most points


def is_labelme(content: Any) -> bool:
    return isinstance(content, Mapping) and "shapes" in content


def read_labelme(content: Mapping[str, Any], file: str, images: ImageIndex) -> Annotations:
    """Boxes of one LabelMe file; `file` is its name relative to the folder.

    The image is the one that `imagePath` names, else the one that has the name of the JSON file; two names of two
    images are a fault. Rectangles may have their two corners in any order; a polygon gives the box around it; any
    other shape is a fault.
    """
    names = _names(content, file)
    try:
        image = images.by_names(*names)
    except NoImage as missing:
        said, patients = f"The annotation has no image: {missing}.", images.patients_beside(*names)
        return _fault(FaultCode.ANNOTATION_WITHOUT_IMAGE, said, Place(file=file), patients)
    if others := images.others_named(file, image):
        return _two_images(file, image, others)
    place = Place(file=file, sop_instance_uid=image.key.sop_instance_uid, frame=image.key.frame)
    try:
        rows, columns = size(content, "imageHeight"), size(content, "imageWidth")
        shapes = a_list(content, "shapes")
    except NotThat as fault:
        return _fault(FaultCode.ANNOTATION_UNREADABLE, f"The annotation cannot be read: {fault}.", place)
    if image.differs_from(rows, columns):
        said = f"Drawn on {columns} x {rows} pixels, the image has {image.size_text}."
        return _fault(FaultCode.IMAGE_SIZE_DIFFERS, said, place)
    read = joined(_shape(shape, nth, image.key, place) for nth, shape in enumerate(shapes, start=1))
    return replace(read, only_image=image.key)


def _names(content: Mapping[str, Any], file: str) -> tuple[str, ...]:
    named, parent = content.get("imagePath"), str(PurePosixPath(file).parent)
    return (relative_name(parent, named), file) if isinstance(named, str) and named.strip() else (file,)


def _two_images(file: str, image: NamedImage, others: Sequence[FoundInstance]) -> Annotations:
    """A copy whose imagePath was not changed, or one that lies beside a stranger: the other image may lack its box."""
    one, other = image.instance, others[0]
    which = f"two frames of {one.file}" if one.file == other.file else f"two images, {one.file} and {other.file}"
    said = f"imagePath and the file's own name lead to {which}."
    patients = (one.patient, *(each.patient for each in others))
    return _fault(FaultCode.ANNOTATION_IMAGE_DOUBTFUL, said, Place(file=file), patients)


def _shape(shape: Any, nth: int, image: ImageKey, place: Place) -> Annotations:
    try:
        label, kind = text(shape, "label"), text(shape, "shape_type", "polygon")  # before 3.0 all shapes were polygons
        points = [_point(point) for point in a_list(shape, "points")]
    except NotThat as fault:
        return _fault(FaultCode.ANNOTATION_UNREADABLE, f"Shape {nth} cannot be read: {fault}.", place)
    fewest, most = _POINTS.get(kind, (None, None))
    if fewest is None or not fewest <= len(points) <= (most or len(points)):
        return _fault(FaultCode.SHAPE_NOT_A_BOX, f"Shape {nth} is a {kind} of {len(points)} points, no box.", place)
    verdict = verdict_of_label(label)
    if verdict is None:
        return _fault(FaultCode.LABEL_UNKNOWN, f"Shape {nth} has the label {label!r}.", place)
    return Annotations((LabelledBox(image=image, box=box_around(points), verdict=verdict, place=place),))


def _point(value: Any) -> tuple[float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise NotThat("a point is not two numbers")
    return number(value[0], "a point"), number(value[1], "a point")


def _fault(code: FaultCode, what: str, place: Place, patients: tuple[PatientKey, ...] = ()) -> Annotations:
    return Annotations(faults=(Fault(code=code, what=what, place=place, patients=patients),))


def write_labelme(file: Path, image_name: str, boxes: Sequence[Box], *, label: str, rows: int, columns: int) -> None:
    """Write the rectangles of one image; `image_name` is its file, relative to the JSON file."""
    shapes: list[dict[str, Any]] = [
        {
            "label": label,
            "points": [[box.x0, box.y0], [box.x1, box.y1]],
            "group_id": None,
            "description": "",
            "shape_type": "rectangle",
            "flags": {},
            "mask": None,
        }
        for box in boxes
    ]
    content: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": rows,
        "imageWidth": columns,
    }
    file.write_text(json.dumps(content, indent=2), encoding="utf-8")
