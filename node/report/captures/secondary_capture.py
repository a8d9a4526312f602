"""RGB pictures as Secondary Capture Images, tied to the images they were made from.

One picture is a Secondary Capture Image (PS3.3 A.8.1); pictures with labels are the frames of one Multi-frame True
Color Secondary Capture Image (PS3.3 A.8.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage, SecondaryCaptureImageStorage

from inference.findings import BundleIdentity, ImageReference
from node.report.context import ReportContext
from node.report.evidence import SourceImages
from node.report.finish import ObjectIdentity, finish
from node.report.source_references import copy_lossy_compression, source_items
from node.report.wording import caveats

_CLEAR_DIRECTION = 0.5  # a direction cosine above this is worth naming; both letters of a 45 degree tilt are
_DIRECTIONS = (("L", "R"), ("P", "A"), ("H", "F"))  # +x, +y, +z of LPS, PS3.3 C.7.6.1.1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What is particular to one object."""

    pictures: Sequence[Image.Image]  # one, or as many as labels; RGB, all of one size
    identity: ObjectIdentity
    shown: Sequence[ImageReference]  # the images that the pictures show
    description: str  # one sentence: how the pictures came to be
    orientation: Sequence[float] | None = None  # of the shown slices, 6 direction cosines; None: no common one
    labels: Sequence[str] = ()  # of the frames, at most 16 characters each; empty: a single-frame object


def build_secondary_capture(
    capture: Capture, *, sources: SourceImages, bundle: BundleIdentity, context: ReportContext
) -> Dataset:
    """The finished object. No patient's name or number is drawn, so Burned In Annotation is NO (PS3.3 C.7.6.1)."""
    dataset = Dataset()
    dataset.SOPClassUID = (
        MultiFrameTrueColorSecondaryCaptureImageStorage if capture.labels else SecondaryCaptureImageStorage
    )
    dataset.SOPInstanceUID = capture.identity.sop_instance_uid
    dataset.StudyInstanceUID = sources.study_instance_uid
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"  # Workstation
    dataset.BodyPartExamined = "SPINE"  # unpaired, so no Laterality (PS3.3 C.7.3.1, 2C)
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.DerivationDescription = capture.description
    dataset.ImageComments = caveats(bundle)  # what the pixels say too, for those who read attributes
    dataset.PatientOrientation = patient_orientation(capture.orientation)
    dataset.BurnedInAnnotation = "NO"
    if capture.shown:
        dataset.SourceImageSequence = source_items(capture.shown, sources, preserved=False)  # enlarged, with a footer
        copy_lossy_compression(capture.shown, sources, dataset)
    if capture.labels:
        _frames(dataset, capture.labels)
    _pixels(dataset, capture.pictures)
    finish(dataset, sources.source, identity=capture.identity, bundle=bundle, context=context)
    dataset.DateOfSecondaryCapture = dataset.ContentDate
    dataset.TimeOfSecondaryCapture = dataset.ContentTime
    return dataset


def patient_orientation(orientation: Sequence[float] | None) -> list[str]:
    """Directions of the rows and columns as letters, e.g. ["P", "F"]; empty when unknown (Type 2C).

    Source: PS3.3 C.7.6.1.1.1; the strongest direction comes first.
    """
    if orientation is None:
        return []
    return [_letters(orientation[:3]), _letters(orientation[3:])]


def _letters(direction: Sequence[float]) -> str:
    strongest_first = sorted(zip(direction, _DIRECTIONS, strict=True), key=lambda pair: -abs(pair[0]))
    named = [letters[0] if cosine > 0 else letters[1] for cosine, letters in strongest_first]
    clear = [name for name, (cosine, _) in zip(named, strongest_first, strict=True) if abs(cosine) > _CLEAR_DIRECTION]
    return "".join(clear) or named[0]


def _frames(dataset: Dataset, labels: Sequence[str]) -> None:
    """PS3.3 C.7.6.6 and C.8.6.4: frames follow each other by their labels."""
    dataset.NumberOfFrames = len(labels)
    dataset.FrameIncrementPointer = tag_for_keyword("FrameLabelVector")
    dataset.FrameLabelVector = list(labels)


def _pixels(dataset: Dataset, pictures: Sequence[Image.Image]) -> None:
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = pictures[0].height, pictures[0].width
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    data = b"".join(picture.tobytes() for picture in pictures)
    dataset.PixelData = data + b"\0" * (len(data) % 2)  # PS3.5 8.1.1: even length
    dataset["PixelData"].VR = "OB"
