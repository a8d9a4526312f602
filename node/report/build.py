"""From findings to DICOM objects: one structured report, and beside it what the settings of the route name."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import structlog
from pydicom.dataset import Dataset

from config.reporting import ObjectName
from inference.findings import Findings, ImageReference
from inference.heads import is_disk_error
from node.report import wording
from node.report.captures.frames import build_overlay_frames
from node.report.captures.single import build_overlays, build_summary
from node.report.check import check_objects
from node.report.context import CheckedObject, ReportContext, ReportObject
from node.report.document.key_objects import build_key_objects
from node.report.document.measurement_report import build_measurement_report
from node.report.evidence import SourceImages, source_images
from node.report.identifiers import short_hash
from node.report.material import Material
from node.report.pdf import build_pdf
from node.report.pictures.overlay import drawn_subjects
from node.report.pictures.slice_picture import SlicePicture, load_slice_pictures
from node.report.pictures.summary import key_slices
from node.report.presentation.state import build_presentation_states
from node.report.segments.segmentation import build_segmentations
from node.report.tracking import with_tracking

log = structlog.get_logger(__name__)

Build = Callable[[Material], list[ReportObject]]

_BUILD: Final[dict[ObjectName, Build]] = {
    "overlays": build_overlays,
    "summary": build_summary,
    "pdf": build_pdf,
    "presentation_states": build_presentation_states,
    "key_objects": build_key_objects,
    "overlay_frames": build_overlay_frames,
    "segmentations": build_segmentations,
}
_SHOWS_LESIONS: Final = frozenset({"overlays", "overlay_frames", "presentation_states"})
_SHOWS_KEY_SLICES: Final = frozenset({"summary", "pdf"})


def build_report(findings: Findings, images: Mapping[str, Dataset], context: ReportContext) -> list[CheckedObject]:
    """All report objects of one case revision: the SR first, then the others in the order of the settings.

    `images` are the headers of the case by SOP Instance UID, read without pixels. Lesions that are not tracked yet
    (`with_tracking`) are taken for new ones. Findings that say "not analysed" or "no lesion" give a report too. What
    cannot be made beside the SR is left out, and the SR says so. The same inputs give the same bytes.

    Raises
    ------
    ReportError
        no header says which study this is, or findings name an image that was not given.
    ReportCheckError
        an object contradicts its source; report "not analysed" instead of sending it.
    OSError
        a file cannot be read; a retry may help.
    """
    findings = with_tracking(findings, context.group_key)
    sources = source_images(findings, images, context)
    checked = check_objects(
        build_objects(findings, sources, context),
        sources.headers,
        sources.source,
        findings=findings,
        one_patient=not context.released,
        predecessor=context.predecessor,
        rules=context.settings.rules,
    )
    log.info(
        "report_built",
        revision=context.revision,
        status=findings.status.value,
        objects=len(checked),
        bundle=short_hash(findings.bundle),
    )
    return checked


def build_objects(findings: Findings, sources: SourceImages, context: ReportContext) -> list[ReportObject]:
    """The objects before the last look at them. Every lesion of the findings is tracked (`with_tracking`)."""
    material = Material(
        findings=findings, sources=sources, context=context, pictures=_pictures(findings, sources, context)
    )
    beside: list[ReportObject] = []
    not_made: list[str] = []
    for name in context.settings.objects:
        try:
            beside += _BUILD[name](material)
        except Exception as error:  # the result matters more than one of its forms
            if is_disk_error(error):
                raise
            log.exception("report_object_not_made", object=name)
            not_made.append(wording.not_made(name, error))
    document = build_measurement_report(findings, sources, context, [*not_made, *material.left_out])
    return [ReportObject(kind="sr", dataset=document), *beside]


def _pictures(
    findings: Findings, sources: SourceImages, context: ReportContext
) -> Mapping[ImageReference, SlicePicture]:
    wanted: dict[str, dict[ImageReference, None]] = {}
    for series_uid, image in _shown(findings, frozenset(context.settings.objects)):
        wanted.setdefault(series_uid, {})[image] = None
    pictures: dict[ImageReference, SlicePicture] = {}
    for series in findings.series_used:
        images = wanted.get(series.series_instance_uid, {})
        pictures |= load_slice_pictures(series, images, sources.headers, context.files)
    return pictures


def _shown(findings: Findings, objects: frozenset[ObjectName]) -> Iterator[tuple[str, ImageReference]]:
    """Series Instance UID and image of what the wanted objects show."""
    if objects & _SHOWS_LESIONS:
        yield from ((one.series.series_instance_uid, one.image) for _, one in drawn_subjects(findings))
    if objects & _SHOWS_KEY_SLICES:
        yield from key_slices(findings).items()
