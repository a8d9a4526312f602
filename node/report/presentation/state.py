"""Boxes over the source images themselves: Grayscale Softcopy Presentation States (PS3.3 A.33.1).

One per series with a finding; of a multi-frame series, one per instance. A viewer that knows presentation states
shows all slices of the series with the window of the pictures, and each box on its own slice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import structlog
from highdicom.pr import GrayscaleSoftcopyPresentationState
from pydicom.dataset import Dataset

from inference.findings import ImageReference, SeriesUsed
from node.report import wording
from node.report.context import ReportObject
from node.report.errors import NotMadeError
from node.report.evidence import SourceImages, reference_only
from node.report.finish import CHARACTER_SET, finish
from node.report.identifiers import MANUFACTURER, model_name, software_version
from node.report.material import Material
from node.report.pictures.drawing import verdict_colours
from node.report.pictures.overlay import OverlaySubject, overlay_subjects
from node.report.presentation.annotation import Canvas, Layers, graphic_annotations, graphic_layers
from node.report.presentation.grayscale import grayscale_transformations

log = structlog.get_logger(__name__)

_DESCRIPTION = "AI lesion boxes, research use only, not for diagnosis"
_PHANTOM_DESCRIPTION = "AI boxes, research use only, phantom model: no clinical meaning"  # 64 characters hold no more
_FINEST_ASPECT = 1000  # the pixel aspect ratio is written as whole numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Presented:
    """What one presentation state shows: the images of a series, and those of them with a finding."""

    series: SeriesUsed
    images: tuple[ImageReference, ...]
    subjects: tuple[OverlaySubject, ...]


def build_presentation_states(material: Material) -> list[ReportObject]:
    """None without a lesion.

    Raises
    ------
    NotMadeError
        no image with a finding is in the study of the report.
    """
    subjects = overlay_subjects(material.findings)
    if not subjects:
        return []
    presented, elsewhere = [], 0
    for one in _presented(subjects, material.sources):
        if _study(one.images[0], material.sources) == material.sources.study_instance_uid:
            presented.append(one)
        else:
            log.warning("presentation_state_left_out", series_instance_uid=one.series.series_instance_uid)
            elsewhere += 1
    if not presented:  # PS3.3 C.11.11: images of its own study alone
        raise NotMadeError("All images with a finding are in another study than the report.")
    if elsewhere:
        material.left_out.append(wording.states_left_out(elsewhere))
    return [
        ReportObject(kind="presentation_state", dataset=_presentation_state(one, index, material))
        for index, one in enumerate(presented, start=1)
    ]


def _presented(subjects: Iterable[OverlaySubject], sources: SourceImages) -> list[_Presented]:
    by_target: dict[tuple[str, str], list[OverlaySubject]] = {}
    for subject in subjects:
        by_target.setdefault(_target(subject.series, subject.image), []).append(subject)
    return [
        _Presented(
            series=together[0].series,
            images=tuple(
                image
                for image in together[0].series.images
                if _target(together[0].series, image) == target and image.sop_instance_uid in sources.headers
            ),
            subjects=tuple(together),
        )
        for target, together in by_target.items()
    ]


def _target(series: SeriesUsed, image: ImageReference) -> tuple[str, str]:
    return series.series_instance_uid, "" if image.frame_number is None else image.sop_instance_uid


def _study(image: ImageReference, sources: SourceImages) -> str:
    return str(sources.header(image).StudyInstanceUID)


def _presentation_state(presented: _Presented, index: int, material: Material) -> Dataset:
    findings, sources, context = material.findings, material.sources, material.context
    identity = material.identity("presentation_state", index)
    uids = dict.fromkeys(image.sop_instance_uid for image in presented.images)
    references = {uid: _reference(sources.headers[uid], is_first=not place) for place, uid in enumerate(uids)}
    aspect = next((material.pictures[one].aspect for one in presented.images if one in material.pictures), 1.0)
    layers, annotations = _graphics(presented, references, aspect, material)
    grayscale = grayscale_transformations(presented.images, sources.headers, material.pictures)
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=list(references.values()),
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=model_name(findings.bundle),
        software_versions=software_version(),
        device_serial_number=None,  # type: ignore[arg-type]  # its docstring allows None; no object of ours has one
        content_label=f"AI BOXES {presented.series.kind.value}",  # what viewers list it by; 16 characters
        content_description=_PHANTOM_DESCRIPTION if findings.bundle.phantom_trained else _DESCRIPTION,
        graphic_layers=layers.in_order,
        modality_lut_transformation=grayscale.modality,
        voi_lut_transformations=grayscale.voi,
        presentation_lut_transformation=grayscale.presentation,
        specific_character_set=CHARACTER_SET,
    )
    state.GraphicAnnotationSequence = annotations  # highdicom takes frames of few SOP classes
    _whole_image(state, aspect)
    state.BodyPartExamined = "SPINE"  # unpaired, so no Laterality (PS3.3 C.7.3.1, 2C)
    finish(state, sources.source, identity=identity, bundle=findings.bundle, context=context)
    state.PresentationCreationDate, state.PresentationCreationTime = state.ContentDate, state.ContentTime
    return state


def _graphics(
    presented: _Presented, references: Mapping[str, Dataset], aspect: float, material: Material
) -> tuple[Layers, list[Dataset]]:
    """`references` are the rebuilt headers by SOP Instance UID, all of one size."""
    bundle = material.findings.bundle
    lesions = [lesion for subject in presented.subjects for lesion in subject.lesions]
    layers = graphic_layers(lesions, verdict_colours(material.context.settings.palette), bundle)
    first = references[presented.images[0].sop_instance_uid]
    canvas = Canvas.of(first.Columns, first.Rows, aspect)
    annotations = [graphic_annotations(subject, canvas, layers, bundle) for subject in presented.subjects]
    return layers, [annotation for of_one_image in annotations for annotation in of_one_image]


def _reference(header: Dataset, *, is_first: bool) -> Dataset:
    """What highdicom may see of an image: its four UIDs and its size."""
    reference = reference_only(header, is_first=is_first)
    reference.Rows, reference.Columns, reference.SamplesPerPixel = int(header.Rows), int(header.Columns), 1
    if header.get("SharedFunctionalGroupsSequence"):
        # highdicom looks here for a window when none is known
        reference.SharedFunctionalGroupsSequence = [Dataset()]
        reference.PerFrameFunctionalGroupsSequence = []
    return reference


def _whole_image(state: Dataset, aspect: float) -> None:
    """Displayed area (PS3.3 C.10.4): highdicom takes every pixel for a square, and every image for a slide."""
    ratio = Fraction(aspect).limit_denominator(_FINEST_ASPECT)
    for area in state.DisplayedAreaSelectionSequence:
        area.PresentationPixelAspectRatio = [ratio.numerator, ratio.denominator]  # vertical, horizontal
        del area.PixelOriginInterpretation
