"""Functional groups of an Enhanced MR image: what all frames share, and what each has of its own.

Source: PS3.3 C.7.6.16.2 (general macros) and C.8.13.5 (macros of MR).
"""

from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from inference.phantom.dicom import image_parts
from inference.phantom.dicom.habits import Habits
from inference.phantom.dicom.identifiers import MANUFACTURER
from inference.phantom.dicom.stacks import ImageStack
from inference.phantom.dicom.values import decimal, decimals
from inference.phantom.patient import PhantomPatient
from inference.phantom.scanner.sites import PhaseAxis

_STACK_ID: Final = "1"
# SNOMED CT by BodyPartExamined, PS3.16 Table L-1
_REGIONS: Final = {
    "CSPINE": ("122494005", "Cervical spine"),
    "TSPINE": ("122495006", "Thoracic spine"),
    "LSPINE": ("122496007", "Lumbar spine"),
    "LSSPINE": ("1217253001", "Lumbo-sacral spine"),
    "SSPINE": ("54735007", "Sacrum"),
}
_BANDWIDTH_HZ: Final = 200
_PROTON_MHZ_PER_T: Final = 42.577
_SPINE: Final = ("421060004", "Spine")


def common_to_frames(patient: PhantomPatient, stack: ImageStack, habits: Habits) -> Dataset:
    groups = Dataset()
    groups.PixelMeasuresSequence = [_pixel_measures(stack, habits)]
    groups.PlaneOrientationSequence = [_orientation(stack)]
    groups.FrameAnatomySequence = [anatomy(image_parts.body_part(stack, habits))]
    groups.FrameVOILUTSequence = [_window(stack, habits)]
    groups.PixelValueTransformationSequence = [_rescale(habits)]
    groups.MRTimingAndRelatedParametersSequence = [_timing(stack)]
    groups.MREchoSequence = [_echo(stack)]
    groups.MRModifierSequence = [_modifier(stack, habits)]
    groups.MRImagingModifierSequence = [_imaging_modifier()]
    groups.MRFOVGeometrySequence = [_field_of_view(patient, stack)]
    groups.MRAveragesSequence = [_averages()]
    groups.MRReceiveCoilSequence = [_receive_coil()]
    groups.MRTransmitCoilSequence = [_transmit_coil()]
    return groups


def duration_s(stack: ImageStack) -> float:
    """Of the whole series: one repetition per excitation."""
    return float(stack.tr_ms * np.ceil(stack.pixels.shape[1] / image_parts.echo_train(stack)) / 1000.0)


def of_frame(stack: ImageStack, position: int, *, moment: str) -> Dataset:
    """Of the slice at `position` in the stack; `moment` (VR DT) is when the series began."""
    content, place, groups = Dataset(), Dataset(), Dataset()
    content.FrameAcquisitionDateTime = moment
    content.FrameReferenceDateTime = moment
    content.FrameAcquisitionDuration = 1000.0 * duration_s(stack)
    content.FrameAcquisitionNumber = 1
    content.StackID = _STACK_ID
    content.InStackPositionNumber = position + 1
    content.DimensionIndexValues = [1, position + 1]
    place.ImagePositionPatient = decimals(stack.positions_mm[position])
    groups.FrameContentSequence = [content]
    groups.PlanePositionSequence = [place]
    return groups


def anatomy(body_part: str) -> Dataset:
    """Frame Anatomy of a BodyPartExamined; the spine where that is empty."""
    value, meaning = _REGIONS.get(body_part, _SPINE)
    region, group = Dataset(), Dataset()
    region.CodeValue = value
    region.CodingSchemeDesignator = "SCT"
    region.CodeMeaning = meaning
    group.AnatomicRegionSequence = [region]
    group.FrameLaterality = "U"
    return group


def _pixel_measures(stack: ImageStack, habits: Habits) -> Dataset:
    measures = Dataset()
    measures.PixelSpacing = decimals(stack.pixel_spacing_mm)
    measures.SliceThickness = decimal(stack.thickness_mm)
    if habits.spacing_between_slices:
        measures.SpacingBetweenSlices = decimal(stack.spacing_mm)
    return measures


def _orientation(stack: ImageStack) -> Dataset:
    orientation = Dataset()
    orientation.ImageOrientationPatient = decimals(stack.orientation)
    return orientation


def _window(stack: ImageStack, habits: Habits) -> Dataset:
    window = Dataset()
    image_parts.add_windows(window, stack, habits)
    return window


def _rescale(habits: Habits) -> Dataset:
    transformation = Dataset()
    image_parts.add_rescale(transformation, habits)
    return transformation


def _timing(stack: ImageStack) -> Dataset:
    timing = Dataset()
    timing.RepetitionTime = stack.tr_ms
    timing.FlipAngle = 90
    timing.EchoTrainLength = image_parts.echo_train(stack)
    timing.RFEchoTrainLength = image_parts.echo_train(stack)
    timing.GradientEchoTrainLength = 0
    timing.OperatingModeSequence = [_operating_mode(kind) for kind in ("STATIC FIELD", "RF", "GRADIENT")]
    timing.SpecificAbsorptionRateSequence = [_no_absorption()]
    timing.GradientOutputType = "DB_DT"
    timing.GradientOutput = 0.0
    return timing


def _operating_mode(kind: str) -> Dataset:
    mode = Dataset()
    mode.OperatingModeType = kind
    mode.OperatingMode = "IEC_NORMAL"
    return mode


def _no_absorption() -> Dataset:
    """Nobody lay in a scanner."""
    rate = Dataset()
    rate.SpecificAbsorptionRateDefinition = "IEC_WHOLE_BODY"
    rate.SpecificAbsorptionRateValue = 0.0
    return rate


def _echo(stack: ImageStack) -> Dataset:
    echo = Dataset()
    echo.EffectiveEchoTime = stack.te_ms
    return echo


def _modifier(stack: ImageStack, habits: Habits) -> Dataset:
    modifier = Dataset()
    modifier.InversionRecovery = "NO" if stack.ti_ms is None else "YES"
    if stack.ti_ms is not None:
        modifier.InversionTimes = stack.ti_ms
    modifier.FlowCompensation = "NONE"
    modifier.Spoiling = "NONE"
    modifier.T2Preparation = "NO"
    modifier.SpectrallySelectedExcitation = "NONE"
    modifier.SpatialPresaturation = "NONE"
    modifier.ParallelAcquisition = "NO"
    modifier.PartialFourier = "NO"
    return modifier


def _imaging_modifier() -> Dataset:
    modifier = Dataset()
    modifier.PixelBandwidth = _BANDWIDTH_HZ
    modifier.TransmitterFrequency = round(_PROTON_MHZ_PER_T * image_parts.FIELD_STRENGTH_T, 3)
    modifier.MagnetizationTransfer = "NONE"
    modifier.BloodSignalNulling = "NO"
    modifier.Tagging = "NONE"
    return modifier


def _field_of_view(patient: PhantomPatient, stack: ImageStack) -> Dataset:
    """The acquired matrix, which is smaller than that of the image, and coarser along the phase axis."""
    rows, columns = stack.pixels.shape[1:]
    along_rows = patient.style.phase_axis is PhaseAxis.ROW
    phase, frequency = patient.style.acquired_share(stack.pixel_spacing_mm[0])
    steps = round((columns if along_rows else rows) * phase), round((rows if along_rows else columns) * frequency)
    geometry = Dataset()
    geometry.InPlanePhaseEncodingDirection = "ROW" if along_rows else "COLUMN"
    geometry.MRAcquisitionPhaseEncodingStepsInPlane, geometry.MRAcquisitionFrequencyEncodingSteps = steps
    geometry.PercentSampling = decimal(round(100.0 * steps[0] / steps[1], 1))
    geometry.PercentPhaseFieldOfView = 100
    return geometry


def _averages() -> Dataset:
    averages = Dataset()
    averages.NumberOfAverages = 1
    return averages


def _receive_coil() -> Dataset:
    coil = Dataset()
    coil.ReceiveCoilName = "SPINE"
    coil.ReceiveCoilManufacturerName = MANUFACTURER
    coil.ReceiveCoilType = "SURFACE"
    coil.QuadratureReceiveCoil = "NO"
    return coil


def _transmit_coil() -> Dataset:
    coil = Dataset()
    coil.TransmitCoilName = "BODY"
    coil.TransmitCoilManufacturerName = MANUFACTURER
    coil.TransmitCoilType = "BODY"
    return coil
