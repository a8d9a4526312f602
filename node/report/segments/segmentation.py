"""The boxes as DICOM Segmentations (PS3.3 A.51), BINARY: one object per series, one segment and frame per lesion.

A segment is the box, not an outline of the lesion, and says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from highdicom import UID, AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationTypeValues,
    SegmentDescription,
    SegmentsOverlapValues,
)
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from config import codes
from inference.findings import BundleIdentity, ImageReference, Lesion, SeriesUsed
from inference.plane import normal
from node.report import wording
from node.report.coding import concept
from node.report.context import ReportObject
from node.report.document.finding_site import finding_site
from node.report.evidence import SourceImages, reference_only
from node.report.finish import CHARACTER_SET, ObjectIdentity, finish
from node.report.identifiers import MANUFACTURER, algorithm_version, derived_uid, device_uid, model_name
from node.report.material import Material
from node.report.pictures import drawing
from node.report.segments.masks import any_overlap, label_maps, layers_of
from node.report.segments.planes import LesionPlanes, lesion_planes
from node.report.source_references import copy_lossy_compression, set_referenced_instances, source_items
from node.report.tracking import tracking_identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class _SeriesLesions:
    """The lesions of one series, in the order of their segments, and where they lie."""

    lesions: tuple[Lesion, ...]
    planes: LesionPlanes

    @property
    def images(self) -> list[ImageReference]:
        """Each image with a lesion once, in spatial order."""
        return list(self.planes.positions_mm)


def build_segmentations(material: Material) -> list[ReportObject]:
    """One object per series with a lesion; none without lesions.

    Raises
    ------
    NotMadeError
        a series does not say where its images lie. Then no object is made: those of the other series would look like
        all that was found.
    """
    found = {}
    for number, series in enumerate(material.findings.series_used, start=1):
        if any(lesion.series_instance_uid == series.series_instance_uid for lesion in material.findings.lesions):
            found[number] = _lesions_of(series, material)
    return [
        ReportObject(
            kind="segmentation", dataset=_segmentation(group, material, material.identity("segmentation", number))
        )
        for number, group in found.items()
    ]


def _lesions_of(series: SeriesUsed, material: Material) -> _SeriesLesions:
    uid = series.series_instance_uid
    lesions = tuple(lesion for lesion in material.findings.lesions if lesion.series_instance_uid == uid)
    images = {lesion.image for lesion in lesions}
    return _SeriesLesions(lesions=lesions, planes=lesion_planes(series, images, material.sources))


def _segmentation(group: _SeriesLesions, material: Material, identity: ObjectIdentity) -> Dataset:
    findings, sources = material.findings, material.sources
    size = group.planes.rows, group.planes.columns
    layers = layers_of(group.lesions, size)
    dataset = Segmentation(
        source_images=[_stand_in(number, group, sources) for number in range(len(layers))],
        pixel_array=label_maps(layers, group.lesions, size),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(index, group, material) for index in range(len(group.lesions))],
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=model_name(findings.bundle),
        software_versions=algorithm_version(findings.bundle),
        device_serial_number=device_uid(findings.bundle.sha256),
        content_label="LESION_BOXES",
        content_creator_name=f"{MANUFACTURER}^",  # VR PN: a family name alone
        content_description="Boxes of an AI detector, no outlines",
        specific_character_set=CHARACTER_SET,
    )
    _set_frames(dataset, group, sources, identity)
    dataset.BodyPartExamined = "SPINE"  # unpaired, so no Laterality (PS3.3 C.7.3.1, 2C)
    dataset.ImageComments = wording.caveats(findings.bundle)
    dataset.SourceImageSequence = source_items(group.images, sources, preserved=True)
    set_referenced_instances(dataset, group.images, sources)
    copy_lossy_compression(group.images, sources, dataset)
    return finish(dataset, sources.source, identity=identity, bundle=findings.bundle, context=material.context)


def _description(index: int, group: _SeriesLesions, material: Material) -> SegmentDescription:
    lesion, bundle = group.lesions[index], material.findings.bundle
    colour = drawing.verdict_colours(material.context.settings.palette)[lesion.verdict]
    description = SegmentDescription(
        segment_number=index + 1,
        segment_label=f"Lesion {lesion.tracking_number}, {lesion.verdict.value}",
        segmented_property_category=concept(codes.MORPHOLOGICALLY_ABNORMAL_STRUCTURE),
        segmented_property_type=concept(codes.LESION),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(bundle),
        tracking_uid=UID(lesion.tracking_uid),
        tracking_id=tracking_identifier(lesion),
        anatomic_regions=[concept(finding_site(material.sources.header(lesion.image), lesion.box))],
        display_color=CIELabColor.from_rgb(*colour),
    )
    description.SegmentDescription = wording.segment(lesion)
    return description


def _algorithm(bundle: BundleIdentity) -> AlgorithmIdentificationSequence:
    """The names that the structured report gives (TID 4019)."""
    return AlgorithmIdentificationSequence(
        name=model_name(bundle),
        version=algorithm_version(bundle),
        source=MANUFACTURER,
        family=concept(codes.ARTIFICIAL_INTELLIGENCE),
        parameters={"bundle": bundle.name, "bundle sha256": bundle.sha256},
    )


def _stand_in(number: int, group: _SeriesLesions, sources: SourceImages) -> Dataset:
    """What highdicom may take for the image of a layer: a classic MR image of the report's study.

    highdicom wants single-frame images at different positions, or one multi-frame image. So the layers are stacked up
    here, and each frame gets its image and position afterwards.
    """
    planes = group.planes
    header = reference_only(sources.header(group.images[0]))
    header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, derived_uid("stand-in", number)
    header.StudyInstanceUID, header.Modality = sources.study_instance_uid, "MR"
    header.Rows, header.Columns = planes.rows, planes.columns
    header.FrameOfReferenceUID = planes.frame_of_reference_uid
    header.PositionReferenceIndicator = ""
    header.ImagePositionPatient = _decimal_strings([number * part for part in normal(planes.orientation)])
    header.ImageOrientationPatient = _decimal_strings(planes.orientation)
    header.PixelSpacing = _decimal_strings(planes.pixel_spacing_mm)
    header.SliceThickness = format_number_as_ds(planes.thickness_mm)
    return header


def _decimal_strings(values: Sequence[float]) -> list[str]:
    return [format_number_as_ds(value) for value in values]


def _set_frames(dataset: Dataset, group: _SeriesLesions, sources: SourceImages, identity: ObjectIdentity) -> None:
    """What highdicom cannot know: images and positions behind the stand-ins, which boxes overlap, UIDs that stay.

    Frame i is that of segment i, for each lesion lies on one image.
    """
    organization = derived_uid("dimension organization", identity.sop_instance_uid)
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    size = group.planes.rows, group.planes.columns
    overlap = SegmentsOverlapValues.YES if any_overlap(group.lesions, size) else SegmentsOverlapValues.NO
    dataset.SegmentsOverlap = overlap.value
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.pop("SegmentIdentificationSequence", None)  # it is there for a single segment
    shared.PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)  # of the stand-ins
    if group.planes.spacing_mm is not None:
        shared.PixelMeasuresSequence[0].SpacingBetweenSlices = format_number_as_ds(group.planes.spacing_mm)
    for number, (lesion, frame) in enumerate(
        zip(group.lesions, dataset.PerFrameFunctionalGroupsSequence, strict=True), start=1
    ):
        identification, derivation = Dataset(), Dataset()
        identification.ReferencedSegmentNumber = number
        derivation.SourceImageSequence = source_items([lesion.image], sources, preserved=True)
        derivation.DerivationCodeSequence = [concept(codes.SEGMENTATION)]
        frame.SegmentIdentificationSequence = [identification]
        frame.DerivationImageSequence = [derivation]
        frame.PlanePositionSequence[0].ImagePositionPatient = _decimal_strings(group.planes.positions_mm[lesion.image])
        frame.FrameContentSequence[0].DimensionIndexValues = [number, group.images.index(lesion.image) + 1]
