"""Classic MR images: one instance per slice.

Source: PS3.3 A.4 (MR Image IOD) and C.8.3.1 (MR Image Module).
"""

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from inference.phantom.dicom import image_parts
from inference.phantom.dicom.form import PhantomStudy
from inference.phantom.dicom.habits import Habits
from inference.phantom.dicom.patient_study import STUDY_DATE, add_patient_and_study, clock_time
from inference.phantom.dicom.stacks import ImageStack
from inference.phantom.dicom.values import decimal, decimals, file_meta
from inference.phantom.scanner.sites import PhaseAxis


def classic_instance(
    study: PhantomStudy, stack: ImageStack, position: int, *, place: tuple[int, int], habits: Habits
) -> Dataset:
    """Slice `position` of the stack, without pixels; `place` is (number, count) of the image in its series, from 1.

    `habits` are those of the study's form, unless only its identity is wanted.
    """
    number, count = place
    uid = study.uid(stack.number, number)
    dataset = Dataset()
    dataset.file_meta = file_meta(MRImageStorage, uid, implicit_vr=habits.implicit_vr)
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = uid
    add_patient_and_study(dataset, study, habits)
    image_parts.add_image_series(dataset, study, stack, habits)
    if "BodyPartExamined" not in dataset:
        dataset.Laterality = ""  # Type 2C: only the body part could say that it is unpaired
    _add_acquisition(dataset, stack, habits)
    dataset.InPlanePhaseEncodingDirection = "ROW" if study.patient.style.phase_axis is PhaseAxis.ROW else "COL"
    _add_plane(dataset, stack, position, habits)
    _add_numbers(dataset, count + 1 - number if habits.reversed_numbers else number, habits)
    image_parts.add_pixel_attributes(dataset, stack)
    image_parts.add_windows(dataset, stack, habits)
    if habits.rescale is not None:
        image_parts.add_rescale(dataset, habits)
    if habits.functional_groups:
        _add_functional_groups(dataset, stack)
    if habits.private_group:
        image_parts.add_private_group(dataset, stack)
    return dataset


def _add_acquisition(dataset: Dataset, stack: ImageStack, habits: Habits) -> None:
    dataset.ImageType = ["DERIVED", "SECONDARY", stack.image_flavour, *habits.image_type_tail]
    dataset.DerivationDescription = image_parts.DERIVATION
    dataset.ContentDate = f"{STUDY_DATE:%Y%m%d}"
    dataset.ContentTime = clock_time(stack.number)
    dataset.ScanningSequence = ["SE", "IR"] if stack.ti_ms is not None else "SE"
    dataset.SequenceVariant = "SK" if stack.turbo else "NONE"
    dataset.ScanOptions = "FS" if image_parts.tags_fat_saturation(stack, habits) else ""
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime = stack.tr_ms
    dataset.EchoTime = stack.te_ms
    if stack.ti_ms is not None:  # Type 2C: not allowed without an inversion pulse, may be empty with one
        dataset.InversionTime = stack.ti_ms if habits.inversion_time else None
    dataset.EchoTrainLength = None if habits.empty_type_2 else image_parts.echo_train(stack)
    dataset.MagneticFieldStrength = image_parts.FIELD_STRENGTH_T


def _add_plane(dataset: Dataset, stack: ImageStack, position: int, habits: Habits) -> None:
    dataset.PixelSpacing = decimals(stack.pixel_spacing_mm)
    dataset.SliceThickness = None if habits.empty_type_2 else decimal(stack.thickness_mm)
    if habits.spacing_between_slices:
        dataset.SpacingBetweenSlices = decimal(stack.spacing_mm)
    dataset.ImageOrientationPatient = decimals(stack.orientation)
    dataset.ImagePositionPatient = decimals(stack.positions_mm[position])


def _add_numbers(dataset: Dataset, instance: int, habits: Habits) -> None:
    dataset.InstanceNumber = None if habits.empty_type_2 else instance
    dataset.AcquisitionNumber = None if habits.empty_type_2 else 1


def _add_functional_groups(dataset: Dataset, stack: ImageStack) -> None:
    """As a scanner was seen to write into classic images: a part of the groups of Enhanced MR."""
    modifier, groups = Dataset(), Dataset()
    modifier.T2Preparation = "NO"
    modifier.ParallelAcquisition = "NO"
    if stack.ti_ms is not None:
        modifier.InversionTimes = stack.ti_ms
    groups.MRModifierSequence = [modifier]
    groups.MRDiffusionSequence = []
    dataset.SharedFunctionalGroupsSequence = [groups]
    dataset.NumberOfFrames = 1
