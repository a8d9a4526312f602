"""What classic and Enhanced MR images share: series, pixels, windows, private elements."""

from typing import Final

from pydicom.dataset import Dataset

from inference.phantom.dicom.form import PhantomStudy
from inference.phantom.dicom.habits import BodyPartSaid, FatSaturationSaid, Habits
from inference.phantom.dicom.identifiers import MANUFACTURER
from inference.phantom.dicom.patient_study import (
    add_equipment,
    add_frame_of_reference,
    add_quality_control,
    add_series,
)
from inference.phantom.dicom.stacks import ImageStack
from inference.phantom.dicom.values import decimal, decimals
from inference.phantom.dicom.wording import series_description

FIELD_STRENGTH_T: Final = 1.5
DERIVATION: Final = "Computed from a geometric model; no patient, no scanner"
_ECHO_TRAIN: Final = 15  # of a turbo spin echo
_WIDER: Final = 2.0  # the second window over the first
_PRIVATE_GROUP: Final = 0x0019


def add_image_series(dataset: Dataset, study: PhantomStudy, stack: ImageStack, habits: Habits) -> None:
    named = habits.fat_saturation is not FatSaturationSaid.TAGS
    description = series_description(stack.protocol, habits.wording, names_fat_saturation=named)
    uid = study.uid("series", stack.number)
    add_series(dataset, uid=uid, number=stack.number, description=description, modality="MR", habits=habits)
    if part := body_part(stack, habits):
        dataset.BodyPartExamined = part
    dataset.PatientPosition = "HFS"
    add_frame_of_reference(dataset, study.patient)
    add_equipment(dataset, study.patient)
    add_quality_control(dataset)


def body_part(stack: ImageStack, habits: Habits) -> str:
    """BodyPartExamined as the site writes it; empty where it does not."""
    return {BodyPartSaid.ABSENT: "", BodyPartSaid.LUMBAR: "LSPINE"}.get(habits.body_part, stack.body_part)


def tags_fat_saturation(stack: ImageStack, habits: Habits) -> bool:
    return stack.fat_saturated and habits.fat_saturation is not FatSaturationSaid.DESCRIPTION


def echo_train(stack: ImageStack) -> int:
    return _ECHO_TRAIN if stack.turbo else 1


def add_pixel_attributes(dataset: Dataset, stack: ImageStack) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stack.pixels.shape[1:]
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0


def add_rescale(dataset: Dataset, habits: Habits) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept = decimals(habits.rescale or (1.0, 0.0))
    dataset.RescaleType = "US"  # unspecified


def add_windows(dataset: Dataset, stack: ImageStack, habits: Habits) -> None:
    """In modality values (PS3.3 C.11.2): a site that rescales writes its window in rescaled values."""
    slope, intercept = habits.rescale or (1.0, 0.0)
    centre, width = stack.window[0] * slope + intercept, stack.window[1] * slope
    if habits.two_windows:
        dataset.WindowCenter = decimals((centre, centre * _WIDER))
        dataset.WindowWidth = decimals((width, width * _WIDER))
        dataset.WindowCenterWidthExplanation = ["SPINE", "WIDE"]
    else:
        dataset.WindowCenter, dataset.WindowWidth = decimals((centre, width))


def add_private_group(dataset: Dataset, stack: ImageStack) -> None:
    nested = Dataset()
    nested.SeriesNumber = stack.number
    block = dataset.private_block(_PRIVATE_GROUP, MANUFACTURER, create=True)
    block.add_new(0x01, "LO", "UnProtect")
    block.add_new(0x02, "DS", decimal(stack.te_ms))
    block.add_new(0x03, "OB", bytes(range(16)))
    block.add_new(0x04, "SQ", [nested])
