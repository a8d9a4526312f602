"""Reads every annotation file of a folder with the loader of its format, and adds where the images are."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread

from inference.heads import DAMAGED, is_disk_error
from inference.labels.annotation import Annotations, ImageKey, joined
from inference.labels.coco import is_coco, read_coco
from inference.labels.dicom_folder import DicomFolder, FoundInstance, Progress
from inference.labels.faults import Fault, FaultCode, PatientKey, Place
from inference.labels.image_index import ImageIndex, NoImage
from inference.labels.labelme import is_labelme, read_labelme
from inference.labels.segmentation import SEG_CLASSES, read_segmentation
from inference.labels.structured_report import SR_CLASSES, read_structured_report

ANNOTATION_CLASSES: Final = SEG_CLASSES | SR_CLASSES
_UNREADABLE: Final = (*DAMAGED, RuntimeError)  # highdicom raises RuntimeError for what it does not support


def read_annotations(found: DicomFolder, images: ImageIndex, progress: Progress) -> Annotations:
    """Boxes of all annotation files. JSON files that are neither LabelMe nor COCO are passed over.

    Raises
    ------
    OSError
        a file cannot be read.
    """
    texts = [path for path in found.other_files if path.suffix.lower() == ".json"]
    objects = [one for one in found.instances if one.head.sop_class_uid in ANNOTATION_CLASSES]
    parts: list[Annotations] = []
    for path in texts:
        parts.append(_read_json(path, path.relative_to(found.folder).as_posix(), images))
        progress("reading annotations", len(parts), len(texts) + len(objects))
    for instance in objects:
        parts.append(_read_object(instance, images))
        progress("reading annotations", len(parts), len(texts) + len(objects))
    whole = joined(parts)
    faults = (*whole.faults, *_second_files(parts, images))
    return Annotations(whole.boxes, tuple(_located(fault, images) for fault in faults))


def _read_json(path: Path, file: str, images: ImageIndex) -> Annotations:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # broken JSON, another encoding
        return _unreadable(Place(file=file), f"no JSON ({type(error).__name__})", _patients_by_name(file, images))
    if is_labelme(content):
        return read_labelme(content, file, images)
    if is_coco(content):
        return read_coco(content, file, images)
    return Annotations()


def _read_object(instance: FoundInstance, images: ImageIndex) -> Annotations:
    try:
        if instance.head.sop_class_uid in SEG_CLASSES:
            read = read_segmentation(instance.head.file, instance.file, images)
        else:
            read = read_structured_report(dcmread(instance.head.file), instance.file, images)
    except _UNREADABLE as error:
        if is_disk_error(error):
            raise
        return _unreadable(instance.place, type(error).__name__, (instance.patient,))
    return replace(read, faults=tuple(replace(fault, patients=(instance.patient,)) for fault in read.faults))


def _unreadable(place: Place, why: str, patients: tuple[PatientKey, ...]) -> Annotations:
    said = f"The annotation cannot be read: {why}."
    return Annotations(faults=(Fault(code=FaultCode.ANNOTATION_UNREADABLE, what=said, place=place, patients=patients),))


def _patients_by_name(file: str, images: ImageIndex) -> tuple[PatientKey, ...]:
    """Whose image lies beside a LabelMe file, by its name; else whose images lie in its folder."""
    try:
        return (images.by_names(file).instance.patient,)
    except NoImage:
        return images.patients_beside(file)


def _second_files(parts: Iterable[Annotations], images: ImageIndex) -> Iterator[Fault]:
    """Files of an image that another file of that format is of, too: one may be a copy that was meant for another."""
    first: dict[ImageKey, str] = {}
    for part in parts:
        image = images.by_uid(part.only_image) if part.only_image and part.boxes else None
        if part.only_image is None or image is None:
            continue
        file = part.boxes[0].place.file
        other = first.setdefault(part.only_image, file)
        if other != file:
            beside = [images.patients_beside(one) for one in (file, other)]
            yield Fault(
                code=FaultCode.ANNOTATION_IMAGE_DOUBTFUL,
                what=f"{other} is of the same image, {image.file}.",
                place=Place(file=file),
                patients=(image.patient, *chain(*beside)) if all(beside) else (),  # a copy may be meant for anybody
            )


def _located(fault: Fault, images: ImageIndex) -> Fault:
    """With the series and also the patient of the image that the fault names, where the folder holds it."""
    image = images.by_uid(ImageKey(fault.place.sop_instance_uid, fault.place.frame))
    if image is None:
        return fault
    place = replace(fault.place, series_number=image.series_number, series_instance_uid=image.head.series_instance_uid)
    return replace(fault, place=place, patients=tuple(dict.fromkeys((*fault.patients, image.patient))))
