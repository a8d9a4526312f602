"""Synthetic source images and findings for the report tests; each test names only what it cares about."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from config.settings import ReportSettings
from inference.findings import (
    Box,
    BundleIdentity,
    Decision,
    Findings,
    ImageReference,
    ImageVote,
    Lesion,
    Reason,
    SequenceKind,
    SequenceVote,
    SeriesLeftOut,
    SeriesUsed,
    Status,
    Verdict,
)
from node.report import ReportContext

ROOT = "1.2.826.0.1.3680043.8.498"  # a public test root
FRAME_OF_REFERENCE = f"{ROOT}.77"
CREATED_AT = datetime(2026, 3, 4, 10, 11, 12, tzinfo=UTC)
ROWS, COLUMNS = 96, 64
SLICES = 5

BUNDLE = BundleIdentity(
    pipeline="wff",
    name="wff-demo-phantom",
    version="0.1.0",
    sha256="ab12cd34ef567890" * 4,
    trained_on="400 synthetic phantom patients, difficulty 1.",
    validated_on="Lesion hit in 36 of 40 held-out phantom patients (90 %, 95 % CI 77 to 96).",
    phantom_trained=True,
    components=("detector", "sequence classifier", "fusion"),
)


@dataclass
class Study:
    """Headers and files of one study, as the node holds them."""

    images: dict[str, Dataset] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    series: list[SeriesUsed] = field(default_factory=list)

    def references(self, series: int) -> tuple[ImageReference, ...]:
        return self.series[series].images


def slice_pixels(index: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """A gradient with one bright block: enough to see whether the picture is upright."""
    pixels = np.linspace(0, 800, rows * columns).reshape(rows, columns)
    pixels[10:20, 10 + index : 20 + index] = 2000
    return pixels.astype(np.uint16)


def header(
    *, study: str = f"{ROOT}.1", series: str, instance: str, sop_class: str = MRImageStorage, **attributes: object
) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "P-0001"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19620304", "F", "064Y"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260304", "090000", "77"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", ""
    dataset.StudyDescription, dataset.Modality, dataset.Manufacturer = "MRI spine", "MR", "Scanner Works"
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def classic_study(folder: Path, *, kinds: Sequence[SequenceKind] = tuple(SequenceKind), **attributes: object) -> Study:
    """One classic MR series of 5 sagittal slices per kind, written to `folder`; header attributes can be overridden."""
    study = Study()
    uid = str(attributes.pop("study", f"{ROOT}.1"))
    for s, kind in enumerate(kinds, start=1):
        series = f"{uid}.{s}"
        for i in range(SLICES):
            dataset = header(study=uid, series=series, instance=f"{series}.{i + 1}")
            dataset.InstanceNumber, dataset.SeriesNumber = i + 1, s
            dataset.ImageOrientationPatient, dataset.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [4.0 * i, 0, 0]
            dataset.PixelSpacing, dataset.SliceThickness = [1.0, 1.0], 4
            dataset.WindowCenter, dataset.WindowWidth = 500, 1000
            for keyword, value in attributes.items():
                setattr(dataset, keyword, value)
            _write(study, dataset, slice_pixels(i), folder)
        images = tuple(
            ImageReference(sop_class_uid=MRImageStorage, sop_instance_uid=f"{series}.{i + 1}") for i in range(SLICES)
        )
        study.series.append(used_series(series, uid, kind, images))
    return study


def enhanced_study(folder: Path, *, kinds: Sequence[SequenceKind] = tuple(SequenceKind)) -> Study:
    """One Enhanced MR instance of 5 sagittal frames per kind."""
    study = Study()
    uid = f"{ROOT}.2"
    for s, kind in enumerate(kinds, start=1):
        series, instance = f"{uid}.{s}", f"{uid}.{s}.1"
        dataset = header(study=uid, series=series, instance=instance, sop_class=EnhancedMRImageStorage)
        dataset.NumberOfFrames, dataset.InstanceNumber, dataset.SeriesNumber = SLICES, 1, s
        dataset.SharedFunctionalGroupsSequence = [_shared_groups()]
        dataset.PerFrameFunctionalGroupsSequence = [_frame_groups(i) for i in range(SLICES)]
        _write(study, dataset, np.stack([slice_pixels(i) for i in range(SLICES)]), folder)
        images = tuple(
            ImageReference(sop_class_uid=EnhancedMRImageStorage, sop_instance_uid=instance, frame_number=i + 1)
            for i in range(SLICES)
        )
        study.series.append(used_series(series, uid, kind, images))
    return study


def findings_of(study: Study, verdict: str) -> Findings:
    """Findings of one column of the matrix: benign, malignant, tie, negative, not_analysed."""
    left_out = SeriesLeftOut(
        series_instance_uid=f"{ROOT}.9.1",
        study_instance_uid=f"{ROOT}.9",
        reason=Reason.WRONG_PLANE,
        detail="Normal 0.02 along x, a sagittal series has 0.8",
        instance_count=17,
    )
    base = Findings(
        status=Status.NO_LESION_DETECTED,
        bundle=BUNDLE,
        series_used=tuple(study.series),
        series_left_out=(left_out,),
        parameters={"tau": 0.3, "lambda_detector": 0.45},
        age_years=64.0,
        age_probability=0.78,
    )
    if verdict == "not_analysed":
        return replace(
            base,
            status=Status.NOT_ANALYSED,
            reason=Reason.NO_ELIGIBLE_SERIES,
            detail="No sagittal series",
            series_used=(),
        )
    if verdict == "negative":
        return replace(base, sequences=tuple(_abstention(series) for series in study.series))
    decided = Verdict.BENIGN if verdict == "benign" else Verdict.MALIGNANT
    return replace(
        base,
        status=Status.LESION_DETECTED,
        lesions=tuple(_lesions(study, decided)),
        sequences=(
            _vote(study.series[0], decided),
            _vote(study.series[1], Verdict.BENIGN if verdict == "tie" else decided),
            *(_abstention(series) for series in study.series[2:]),
        ),
        decision=Decision(
            verdict=decided,
            probability_malignant=0.5 if verdict == "tie" else _probability(decided),
            vote_fraction_malignant=1.0 if decided is Verdict.MALIGNANT else 0.0,
            tie=verdict == "tie",
        ),
    )


def context_of(study: Study, **overrides: object) -> ReportContext:
    values: dict[str, object] = {
        "group_key": "0123456789abcdef" * 4,
        "revision": 1,
        "created_at": CREATED_AT,
        "settings": ReportSettings(),
        "files": study.files,
        "zone": UTC,
    }
    return ReportContext(**(values | overrides))  # type: ignore[arg-type]  # overrides are the tests' own


def headers_without(images: Mapping[str, Dataset], keyword: str) -> dict[str, Dataset]:
    copies = {}
    for uid, dataset in images.items():
        copies[uid] = deepcopy(dataset)
        del copies[uid][keyword]
    return copies


def _write(study: Study, dataset: Dataset, pixels: np.ndarray, folder: Path) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    uid = str(dataset.SOPInstanceUID)
    whole = deepcopy(dataset)
    whole.file_meta = meta
    whole.PixelData = pixels.tobytes()
    whole["PixelData"].VR = "OW"
    study.files[uid] = folder / f"{uid}.dcm"
    whole.save_as(study.files[uid], enforce_file_format=True)
    dataset.file_meta = meta
    study.images[uid] = dataset


def used_series(series: str, study: str, kind: SequenceKind, images: tuple[ImageReference, ...]) -> SeriesUsed:
    return SeriesUsed(
        series_instance_uid=series,
        study_instance_uid=study,
        kind=kind,
        kind_evidence="TR 400 ms, TE 15 ms",
        images=images,
    )


def _probability(verdict: Verdict) -> float:
    return 0.784 if verdict is Verdict.MALIGNANT else 0.216


def _lesions(study: Study, verdict: Verdict) -> list[Lesion]:
    other = Verdict.BENIGN if verdict is Verdict.MALIGNANT else Verdict.MALIGNANT
    spots = [
        (0, 1, Box(x0=10, y0=9, x1=22.5, y1=21.25), verdict),
        (0, 2, Box(x0=11, y0=9, x1=23, y1=22), verdict),
        (0, 2, Box(x0=30, y0=50, x1=60, y1=90), other),
        (1, 0, Box(x0=0, y0=0, x1=64, y1=20), verdict),
    ]
    return [
        Lesion(
            image=study.series[s].images[i],
            series_instance_uid=study.series[s].series_instance_uid,
            box=box,
            verdict=verdict,
            detector_verdict=said,
            score=0.91 - 0.1 * number,
            probability_malignant=_probability(verdict),
        )
        for number, (s, i, box, said) in enumerate(spots)
    ]


def _vote(series: SeriesUsed, verdict: Verdict) -> SequenceVote:
    votes = tuple(
        ImageVote(image=image, detector_probability=0.9, probability_malignant=_probability(verdict), verdict=verdict)
        for image in series.images[:3]
    )
    return SequenceVote(
        series_instance_uid=series.series_instance_uid,
        kind=series.kind,
        image_count=len(series.images),
        votes=votes,
        classifier_probability=0.7,
        crop=Box(x0=10, y0=9, x1=22, y1=21),
        crop_corners_mm=((0.0, 10.0, -9.0), (0.0, 22.0, -9.0), (0.0, 22.0, -21.0), (0.0, 10.0, -21.0)),
        clip_images=series.images[:3],
        mean_probability=_probability(verdict),
        verdict=verdict,
        tie=False,
    )


def _abstention(series: SeriesUsed) -> SequenceVote:
    return SequenceVote(
        series_instance_uid=series.series_instance_uid,
        kind=series.kind,
        image_count=len(series.images),
        votes=(),
        classifier_probability=None,
        crop=None,
        mean_probability=None,
        verdict=None,
        tie=False,
    )


def _shared_groups() -> Dataset:
    groups, orientation, measures, lut, window = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    measures.PixelSpacing, measures.SliceThickness = [1.0, 1.0], 4
    lut.RescaleIntercept, lut.RescaleSlope, lut.RescaleType = 0, 1, "US"
    window.WindowCenter, window.WindowWidth = 500, 1000
    groups.PlaneOrientationSequence, groups.PixelMeasuresSequence = [orientation], [measures]
    groups.PixelValueTransformationSequence, groups.FrameVOILUTSequence = [lut], [window]
    return groups


def _frame_groups(index: int) -> Dataset:
    groups, position = Dataset(), Dataset()
    position.ImagePositionPatient = [4.0 * index, 0, 0]
    groups.PlanePositionSequence = [position]
    return groups
