"""COCO JSON: the boxes of many images in one file.

`bbox` is (x, y, width, height), continuous, from the outer corner of the first pixel: the frame of
`inference.findings.Box`. `file_name` is relative to the COCO file.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from inference.findings import Box
from inference.labels.annotation import Annotations, ImageKey, LabelledBox, joined, verdict_of_label
from inference.labels.faults import Fault, FaultCode, Place
from inference.labels.image_index import ImageIndex, NoImage, relative_name
from inference.labels.json_values import NotThat, a_list, number, size, text, whole


def is_coco(content: Any) -> bool:
    return isinstance(content, Mapping) and {"images", "annotations", "categories"} <= content.keys()


def read_coco(content: Mapping[str, Any], file: str, images: ImageIndex) -> Annotations:
    """Boxes of one COCO file; `file` is its name relative to the folder. Masks and key points are not read."""
    try:
        listed = {whole(entry, "id"): entry for entry in a_list(content, "images")}
        names = {whole(entry, "id"): text(entry, "name") for entry in a_list(content, "categories")}
        entries = a_list(content, "annotations")
        wanted = {whole(entry, "image_id") for entry in entries}
    except NotThat as fault:
        said = f"The annotation cannot be read: {fault}."
        return _fault(FaultCode.ANNOTATION_UNREADABLE, said, Place(file=file))
    keys: dict[int, ImageKey] = {}
    faults: list[Fault] = []
    for image_id in sorted(wanted):  # an image without boxes needs no file here
        found = _image(image_id, listed.get(image_id), file, images)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            keys[image_id] = found
    boxes = (_box(entry, keys[entry["image_id"]], names, file) for entry in entries if entry["image_id"] in keys)
    return joined([Annotations(faults=tuple(faults)), *boxes])


def _image(image_id: int, entry: Any, file: str, images: ImageIndex) -> ImageKey | Fault:
    def fault(code: FaultCode, what: str, image: ImageKey | None = None) -> Fault:
        place = Place(file=file) if image is None else _place(file, image)
        return Fault(code=code, what=f"Image {image_id} {what}.", place=place)

    if entry is None:
        return fault(FaultCode.ANNOTATION_WITHOUT_IMAGE, "has boxes, and the file does not list it")
    try:
        name = relative_name(str(PurePosixPath(file).parent), text(entry, "file_name"))
        rows, columns = size(entry, "height"), size(entry, "width")
        image = images.by_names(name)
    except NotThat as wrong:
        return fault(FaultCode.ANNOTATION_UNREADABLE, f"cannot be read: {wrong}")
    except NoImage as missing:
        return fault(FaultCode.ANNOTATION_WITHOUT_IMAGE, f"is not there: {missing}")
    if image.differs_from(rows, columns):
        said = f"was drawn on with {columns} x {rows} pixels, it has {image.size_text}"
        return fault(FaultCode.IMAGE_SIZE_DIFFERS, said, image.key)
    return image.key


def _place(file: str, image: ImageKey) -> Place:
    return Place(file=file, sop_instance_uid=image.sop_instance_uid, frame=image.frame)


def _box(entry: Any, image: ImageKey, names: Mapping[int, str], file: str) -> Annotations:
    place = _place(file, image)
    try:
        box = _corners(a_list(entry, "bbox"))
        category = whole(entry, "category_id")
    except NotThat as fault:
        said = f"Annotation {entry.get('id')} cannot be read: {fault}."
        return _fault(FaultCode.ANNOTATION_UNREADABLE, said, place)
    label = names.get(category, "")
    verdict = verdict_of_label(label)
    if verdict is None:
        return _fault(FaultCode.LABEL_UNKNOWN, f"Annotation {entry.get('id')} has the label {label!r}.", place)
    return Annotations((LabelledBox(image=image, box=box, verdict=verdict, place=place),))


def _corners(bbox: list[Any]) -> Box:
    if len(bbox) != 4:
        raise NotThat("bbox is not four numbers")
    x, y, width, height = (number(value, "bbox") for value in bbox)
    return Box(x0=x, y0=y, x1=x + width, y1=y + height)


def _fault(code: FaultCode, what: str, place: Place) -> Annotations:
    return Annotations(faults=(Fault(code=code, what=what, place=place),))
