"""RGB pictures as Secondary Capture Images (PS3.3 A.8.1), one frame each, tied to the images they were made from."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from config import codes
from inference.findings import BundleIdentity, ImageReference
from node.report.coding import concept
from node.report.context import ReportContext
from node.report.evidence import SourceImages
from node.report.finish import ObjectIdentity, finish
from node.report.patient_study import copy_elements, decoded_text
from node.report.wording import caveats

_CLEAR_DIRECTION = 0.5  # a direction cosine above this is worth naming; both letters of a 45 degree tilt are
_DIRECTIONS = (("L", "R"), ("P", "A"), ("H", "F"))  # +x, +y, +z of LPS, PS3.3 C.7.6.1.1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What is particular to one picture."""

    picture: Image.Image
    identity: ObjectIdentity
    shown: Sequence[ImageReference]  # the images that the picture shows
    description: str  # one sentence: how the picture came to be
    orientation: Sequence[float] | None = None  # of the shown slice, 6 direction cosines; None: no common one


def build_secondary_capture(
    capture: Capture, *, sources: SourceImages, bundle: BundleIdentity, context: ReportContext
) -> Dataset:
    """The finished object. No patient's name or number is drawn, so Burned In Annotation is NO (PS3.3 C.7.6.1)."""
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
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
    _references(dataset, capture.shown, sources)
    _pixels(dataset, capture.picture)
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


def _references(dataset: Dataset, shown: Sequence[ImageReference], sources: SourceImages) -> None:
    by_instance: dict[str, list[int]] = {}
    for image in shown:
        frames = by_instance.setdefault(image.sop_instance_uid, [])
        if image.frame_number is not None:
            frames.append(image.frame_number)
    items = []
    for uid, frames in by_instance.items():
        item = Dataset()
        item.ReferencedSOPClassUID = str(sources.headers[uid].SOPClassUID)
        item.ReferencedSOPInstanceUID = uid
        if frames:
            item.ReferencedFrameNumber = frames
        item.SpatialLocationsPreserved = "NO"  # enlarged, with a footer
        item.PurposeOfReferenceCodeSequence = [concept(codes.SOURCE_IMAGE_FOR_PROCESSING)]
        items.append(item)
    if not items:
        return
    dataset.SourceImageSequence = items
    shown_headers = (sources.headers[uid] for uid in by_instance)
    lossy = next((one for one in shown_headers if decoded_text(one, "LossyImageCompression") == "01"), None)
    if lossy is not None:  # once lossy, always lossy (PS3.3 C.7.6.1.1.5)
        copy_elements(
            lossy, dataset, ["LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"]
        )


def _pixels(dataset: Dataset, picture: Image.Image) -> None:
    rgb = picture.convert("RGB")
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rgb.height, rgb.width
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    data = rgb.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)  # PS3.5 8.1.1: even length
    dataset["PixelData"].VR = "OB"
