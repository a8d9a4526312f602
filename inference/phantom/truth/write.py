"""Writes the truth of a study beside its images."""

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path

from pydicom.dataset import Dataset

from inference.phantom.truth.coco import COCO_FILE, coco_of_study, write_coco
from inference.phantom.truth.labelled_images import labelled_images
from inference.phantom.truth.labelme import write_labelme
from inference.phantom.truth.latent import TRUTH_FILE, latent_truth, write_latent_truth
from inference.phantom.truth.objects import WrittenStudy

REPORT_FILE = "planted-lesions.dcm"


class TruthKind(StrEnum):
    LABELME = "labelme"  # one JSON beside each image with a lesion
    COCO = "coco"  # one JSON for the study
    SEG = "seg"  # DICOM Segmentation, masks, one for each series with a lesion
    SR = "sr"  # DICOM Structured Report, boxes, one for the study


def write_truth(study: WrittenStudy, folder: Path, kinds: Collection[TruthKind]) -> list[Path]:
    """Truth files of these kinds, and truth.json always; returns them all. The folder is that of the images.

    Raises OSError when a file cannot be written.
    """
    verdict, images = study.patient.truth.label, list(labelled_images(study.files))
    written = [folder / TRUTH_FILE]
    write_latent_truth(latent_truth(study.patient, study.files), written[0])
    if TruthKind.LABELME in kinds and verdict is not None:
        written += write_labelme(images, verdict, folder)
    if TruthKind.COCO in kinds:
        write_coco(coco_of_study(images, verdict), folder / COCO_FILE)
        written.append(folder / COCO_FILE)
    if TruthKind.SEG in kinds:
        written += _write_segmentations(study, folder)
    if TruthKind.SR in kinds:
        from inference.phantom.truth.structured_report import build_structured_report

        written.append(_save(build_structured_report(study), folder / REPORT_FILE))
    return written


def _write_segmentations(study: WrittenStudy, folder: Path) -> list[Path]:
    from inference.phantom.truth.segmentation import build_segmentation  # highdicom takes a second to load

    objects = ((number, build_segmentation(study, number)) for number in study.sagittal_numbers)
    return [
        _save(dataset, folder / f"series{number:02d}-lesions.dcm") for number, dataset in objects if dataset is not None
    ]


def _save(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path
