"""Enhanced MR images: one multi-frame instance per series.

Source: PS3.3 A.36.2 (Enhanced MR Image IOD), C.7.6.16 (functional groups), C.8.13 (modules and groups of MR).
"""

from copy import deepcopy
from typing import Final

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import EnhancedMRImageStorage

from inference.phantom.dicom import functional_groups, image_parts
from inference.phantom.dicom.form import PhantomStudy
from inference.phantom.dicom.habits import Habits
from inference.phantom.dicom.patient_study import STUDY_DATE, add_patient_and_study, clock_time
from inference.phantom.dicom.stacks import ImageStack
from inference.phantom.dicom.values import file_meta
from inference.phantom.dicom.wording import Protocol
from inference.phantom.patient import PhantomPatient

_CONTRAST: Final = {Protocol.T1: "T1", Protocol.STIR: "STIR"}  # every other protocol is T2
_DIMENSIONS: Final = ("StackID", "InStackPositionNumber")
# Derived would mean: from other images. It would also forbid to say how the image was weighted (PS3.3 C.8.13.4).
_FRAME_TYPE: Final = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]


def stored_order(stack: ImageStack, habits: Habits) -> range:
    """Places in the stack, in the order of the frames."""
    return range(stack.slices)[::-1] if habits.reversed_numbers else range(stack.slices)


def enhanced_instance(study: PhantomStudy, stack: ImageStack, habits: Habits) -> Dataset:
    """All slices of the stack as frames, without pixels.

    `habits` are those of the study's form, unless only its identity is wanted.
    """
    uid = study.uid(stack.number, 1)
    dataset = Dataset()
    dataset.file_meta = file_meta(EnhancedMRImageStorage, uid, implicit_vr=habits.implicit_vr)
    dataset.SOPClassUID = EnhancedMRImageStorage
    dataset.SOPInstanceUID = uid
    add_patient_and_study(dataset, study, habits)
    image_parts.add_image_series(dataset, study, stack, habits)
    _add_acquisition(dataset, stack)
    _add_pulse_sequence(dataset, stack, habits)
    _add_dimensions(dataset, study, stack)
    image_parts.add_pixel_attributes(dataset, stack)
    dataset.LossyImageCompression = "00"
    dataset.PresentationLUTShape = "IDENTITY"
    _add_groups(dataset, study.patient, stack, habits)
    if habits.private_group:
        image_parts.add_private_group(dataset, stack)
    return dataset


def _add_acquisition(dataset: Dataset, stack: ImageStack) -> None:
    dataset.ImageType = _FRAME_TYPE
    dataset.InstanceNumber = 1
    dataset.AcquisitionNumber = 1
    dataset.ContentDate = f"{STUDY_DATE:%Y%m%d}"
    dataset.ContentTime = clock_time(stack.number)
    dataset.AcquisitionDateTime = dataset.ContentDate + dataset.ContentTime
    dataset.ContentQualification = "RESEARCH"
    dataset.AcquisitionDuration = functional_groups.duration_s(stack)
    dataset.AcquisitionContextSequence = []
    _add_frame_description(dataset, stack)


def _add_frame_description(dataset: Dataset, stack: ImageStack) -> None:
    """Common to the image and to the frame type of each frame (PS3.3 Tables C.8-84 and C.8-131)."""
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent = "MAGNITUDE"
    dataset.AcquisitionContrast = _CONTRAST.get(stack.protocol, "T2")


def _add_pulse_sequence(dataset: Dataset, stack: ImageStack, habits: Habits) -> None:
    """PS3.3 C.8.13.4 (MR Pulse Sequence Module): a spin echo, turbo or not."""
    dataset.PulseSequenceName = "TSE" if stack.turbo else "SE"
    dataset.MRAcquisitionType = "2D"
    dataset.EchoPulseSequence = "SPIN"
    dataset.MultipleSpinEcho = "YES" if stack.turbo else "NO"
    dataset.MultiPlanarExcitation = "YES"
    dataset.PhaseContrast = "NO"
    dataset.TimeOfFlightContrast = "NO"
    dataset.SteadyStatePulseSequence = "NONE"
    dataset.EchoPlanarPulseSequence = "NO"
    dataset.SaturationRecovery = "NO"
    dataset.SpectrallySelectedSuppression = "FAT" if image_parts.tags_fat_saturation(stack, habits) else "NONE"
    dataset.OversamplingPhase = "NONE"
    dataset.GeometryOfKSpaceTraversal = "RECTILINEAR"
    dataset.SegmentedKSpaceTraversal = "PARTIAL" if stack.turbo else "SINGLE"
    dataset.RectilinearPhaseEncodeReordering = "LINEAR"
    dataset.NumberOfKSpaceTrajectories = 1
    dataset.ResonantNucleus = "1H"
    dataset.KSpaceFiltering = "NONE"
    dataset.MagneticFieldStrength = image_parts.FIELD_STRENGTH_T
    dataset.ApplicableSafetyStandardAgency = "IEC"


def _add_dimensions(dataset: Dataset, study: PhantomStudy, stack: ImageStack) -> None:
    organization = Dataset()
    organization.DimensionOrganizationUID = study.uid("dimensions", stack.number)
    dataset.DimensionOrganizationSequence = [organization]
    dataset.DimensionIndexSequence = []
    for keyword in _DIMENSIONS:
        index = Dataset()
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        index.DimensionIndexPointer = Tag(keyword)
        index.FunctionalGroupPointer = Tag("FrameContentSequence")
        index.DimensionDescriptionLabel = keyword
        dataset.DimensionIndexSequence.append(index)


def _add_groups(dataset: Dataset, patient: PhantomPatient, stack: ImageStack, habits: Habits) -> None:
    common = functional_groups.common_to_frames(patient, stack, habits)
    frame_type = Dataset()
    frame_type.FrameType = _FRAME_TYPE
    _add_frame_description(frame_type, stack)
    common.MRImageFrameTypeSequence = [frame_type]
    frames = [
        functional_groups.of_frame(stack, position, moment=dataset.AcquisitionDateTime)
        for position in stored_order(stack, habits)
    ]
    if habits.groups_per_frame:
        for frame in frames:
            frame.update(deepcopy(common))
        common = Dataset()
    dataset.NumberOfFrames = len(frames)
    dataset.SharedFunctionalGroupsSequence = [common]
    dataset.PerFrameFunctionalGroupsSequence = frames
