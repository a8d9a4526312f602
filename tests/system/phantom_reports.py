"""Reports about a phantom patient whose lesions are known: what an archive and a viewer are given in these tests."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from pydicom import dcmread

from config.reporting import OBJECT_NAMES
from config.settings import ReportSettings
from inference.findings import Findings, ImageReference, Lesion, Verdict
from inference.phantom import PhantomConfig, PhantomPatient, generate_patient, write_study
from node.report import ReportObject, build_report
from tests.node.report.report_sources import ROOT, Study, context_of, enhanced_study, findings_of, used_series

SEED = 77
PATIENT_WITH_LESION = 3
FRAME_OF_REFERENCE = f"{ROOT}.7"
ALL_OBJECTS = ReportSettings(objects=OBJECT_NAMES)
REPORT_ALONE = ReportSettings(objects=())


def phantom_study(folder: Path, index: int = PATIENT_WITH_LESION) -> tuple[Study, Findings]:
    """The images of one phantom patient, three sagittal series and two others, with findings at its true boxes."""
    patient = generate_patient(index, seed=SEED, config=PhantomConfig(lesion_free_fraction=0.0))
    study = Study()
    by_series: dict[int, list[ImageReference]] = {}
    for path in write_study(patient, folder, distractors=True):
        header = dcmread(path, stop_before_pixels=True)
        uid = str(header.SOPInstanceUID)
        study.images[uid], study.files[uid] = header, path
        reference = ImageReference(sop_class_uid=str(header.SOPClassUID), sop_instance_uid=uid)
        by_series.setdefault(int(header.SeriesNumber), []).append(reference)
    for number, series in enumerate(patient.series, start=1):
        images = tuple(by_series[number])
        first = study.images[images[0].sop_instance_uid]
        study.series.append(used_series(str(first.SeriesInstanceUID), str(first.StudyInstanceUID), series.kind, images))
    return study, replace(findings_of(study, "malignant"), lesions=tuple(_true_lesions(patient, study)))


def enhanced_study_in_space(folder: Path) -> Study:
    """Enhanced MR images with a Frame of Reference UID, which a segmentation needs."""
    study = enhanced_study(folder)
    for uid, path in study.files.items():
        dataset = dcmread(path)
        dataset.FrameOfReferenceUID = FRAME_OF_REFERENCE
        dataset.save_as(path)
        study.images[uid] = dcmread(path, stop_before_pixels=True)
    return study


def report_of(study: Study, findings: Findings, settings: ReportSettings = ALL_OBJECTS) -> list[ReportObject]:
    group_key = sha256(study.series[0].study_instance_uid.encode()).hexdigest()  # UIDs of one patient's own
    return build_report(findings, study.images, context_of(study, settings=settings, group_key=group_key))


def save(objects: Sequence[ReportObject], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, made in enumerate(objects):
        paths.append(folder / f"{number:03d}-{made.kind}.dcm")
        made.dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def _true_lesions(patient: PhantomPatient, study: Study) -> list[Lesion]:
    """On every third image with a lesion: enough to tell whether each is on its own."""
    found = [
        Lesion(
            image=used.images[position],
            series_instance_uid=used.series_instance_uid,
            box=box,
            verdict=Verdict.MALIGNANT,
            detector_verdict=Verdict.MALIGNANT,
            score=0.91,
            probability_malignant=0.784,
        )
        for used, series in zip(study.series, patient.series, strict=True)
        for position, boxes in enumerate(series.boxes)
        for box in boxes
    ]
    return found[::3]
