"""Makes small synthetic MR images: a sagittal lumbar stack unless a test says otherwise. No patient behind them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from inference.heads import ENHANCED_MR_IMAGE_STORAGE, MR_IMAGE_STORAGE

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
ROWS, COLUMNS = 30, 24
T1_TAGS = {"RepetitionTime": 450.0, "EchoTime": 12.0}
T2_TAGS = {"RepetitionTime": 3200.0, "EchoTime": 100.0}
STIR_TAGS = {"RepetitionTime": 3300.0, "EchoTime": 70.0, "InversionTime": 150.0, "ScanningSequence": "IR"}


def stored_pixels(k: int, rows: int = ROWS, columns: int = COLUMNS) -> NDArray[np.uint16]:
    """Distinct values in every pixel of every slice."""
    return (1000 * k + np.arange(rows * columns).reshape(rows, columns)).astype(np.uint16)


def mr_slice(k: int, **attributes: Any) -> Dataset:
    """Slice k of a sagittal stack, 4 mm apart, 300 mm high; None as a value takes an attribute out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values: dict[str, Any] = {
        "SOPClassUID": MR_IMAGE_STORAGE,
        "SOPInstanceUID": f"1.2.826.0.1.{k + 1}",
        "SeriesInstanceUID": "1.2.826.0.2.1",
        "StudyInstanceUID": "1.2.826.0.3.1",
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "M"],
        "BodyPartExamined": "LSPINE",
        "StudyDate": "20200101",
        "ScanningSequence": "SE",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "PixelSpacing": [10.0, 10.0],
        "ImageOrientationPatient": list(SAGITTAL),
        "ImagePositionPatient": [20.0 - 4.0 * k, -120.0, 150.0],
        "SliceThickness": 4.0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        **T2_TAGS,
        **attributes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" not in dataset and "Rows" in dataset:
        dataset.PixelData = stored_pixels(k).tobytes()
    return dataset


def save(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def stack(
    folder: Path, count: int = 11, *, change: Callable[[int], Mapping[str, Any]] | None = None, **attributes: Any
) -> list[Path]:
    """Writes `count` slices; `change(k)` gives attributes of single slices. File names run against the positions."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        save(mr_slice(k, **{**attributes, **(change(k) if change else {})}), folder / f"{999 - k}.dcm")
        for k in range(count)
    ]


def enhanced_mr(
    pixels: NDArray[np.uint16], order: Sequence[int] | None = None, *, words: str = "LUMBAR SPINE"
) -> Dataset:
    """A sagittal T2 Enhanced MR of pixels (Z, Y, X); frame f shows slice `order[f]`. All geometry is in groups."""
    dataset = mr_slice(
        0,
        SOPClassUID=ENHANCED_MR_IMAGE_STORAGE,
        SOPInstanceUID="1.2.826.0.1.900",
        ImageOrientationPatient=None,
        ImagePositionPatient=None,
        PixelSpacing=None,
        SliceThickness=None,
        RepetitionTime=None,
        EchoTime=None,
        ScanningSequence=None,
        BodyPartExamined=None,
        ProtocolName=words,
        Rows=pixels.shape[1],
        Columns=pixels.shape[2],
        PixelData=b"",
    )
    order = list(range(len(pixels))) if order is None else list(order)
    dataset.NumberOfFrames = len(order)
    dataset.SharedFunctionalGroupsSequence = [
        _group(
            PlaneOrientationSequence={"ImageOrientationPatient": list(SAGITTAL)},
            PixelMeasuresSequence={"PixelSpacing": [10.0, 10.0], "SliceThickness": 4.0},
            MRTimingAndRelatedParametersSequence={"RepetitionTime": 3000.0, "FlipAngle": 90.0},
            MRModifierSequence={"InversionRecovery": "NO"},
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _group(
            PlanePositionSequence={"ImagePositionPatient": [20.0 - 4.0 * k, -120.0, 150.0]},
            MREchoSequence={"EffectiveEchoTime": 100.0},
            PixelValueTransformationSequence={"RescaleSlope": 2.0, "RescaleIntercept": float(k), "RescaleType": "US"},
        )
        for k in order
    ]
    dataset.PixelData = pixels[order].tobytes()
    return dataset


def _group(**macros: Mapping[str, Any]) -> Dataset:
    group = Dataset()
    for keyword, attributes in macros.items():
        item = Dataset()
        for name, value in attributes.items():
            setattr(item, name, value)
        setattr(group, keyword, [item])
    return group
