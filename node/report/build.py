"""From findings to DICOM objects: one structured report, one overlay per image with a box, one summary picture."""

from collections.abc import Mapping

import structlog
from pydicom.dataset import Dataset

from inference.findings import Findings, ImageReference
from node.report import wording
from node.report.check import check_objects
from node.report.context import ReportContext, ReportObject
from node.report.evidence import SourceImages, identity_note, source_images
from node.report.finish import object_identity, written_at
from node.report.identifiers import short_hash
from node.report.measurement_report import build_measurement_report
from node.report.overlay import draw_overlay, overlay_subjects
from node.report.secondary_capture import Capture, build_secondary_capture
from node.report.slice_picture import SlicePicture, load_slice_pictures
from node.report.summary import draw_summary, key_slices

log = structlog.get_logger(__name__)

Pictures = Mapping[ImageReference, SlicePicture]


def build_report(findings: Findings, images: Mapping[str, Dataset], context: ReportContext) -> list[ReportObject]:
    """All report objects of one case revision: the SR first, then overlays, then the summary picture.

    `images` are the headers of the case by SOP Instance UID, read without pixels. Findings that say "not analysed"
    or "no lesion" give an SR and a summary picture too. The same inputs give the same bytes.

    Raises
    ------
    ReportError
        no header says which study this is, or findings name an image that was not given.
    ReportCheckError
        an object contradicts its source; report "not analysed" instead of sending it.
    """
    sources = source_images(findings, images, context)
    objects = [ReportObject(kind="sr", dataset=build_measurement_report(findings, sources, context))]
    pictures = _pictures(findings, sources, context)
    if context.settings.overlays:
        objects += _overlays(findings, sources, pictures, context)
    if context.settings.summary_picture:
        objects.append(_summary(findings, sources, pictures, context))
    check_objects(objects, sources.headers, sources.source, one_patient=not context.released)
    log.info(
        "report_built",
        revision=context.revision,
        status=findings.status.value,
        objects=len(objects),
        bundle=short_hash(findings.bundle),
    )
    return objects


def _pictures(findings: Findings, sources: SourceImages, context: ReportContext) -> Pictures:
    wanted: dict[str, dict[ImageReference, None]] = {}
    if context.settings.overlays:
        for lesion in findings.lesions:
            wanted.setdefault(lesion.series_instance_uid, {})[lesion.image] = None
    if context.settings.summary_picture:
        for series_uid, image in key_slices(findings).items():
            wanted.setdefault(series_uid, {})[image] = None
    pictures: dict[ImageReference, SlicePicture] = {}
    for series in findings.series_used:
        images = wanted.get(series.series_instance_uid, {})
        pictures |= load_slice_pictures(series, images, sources.headers, context.files)
    return pictures


def _overlays(
    findings: Findings, sources: SourceImages, pictures: Pictures, context: ReportContext
) -> list[ReportObject]:
    objects = []
    for index, subject in enumerate(overlay_subjects(findings), start=1):
        picture = pictures.get(subject.image)
        if picture is None:
            log.warning("overlay_left_out", sop_instance_uid=subject.image.sop_instance_uid)
            continue
        capture = Capture(
            picture=draw_overlay(subject, picture, findings.bundle),
            identity=object_identity(
                "overlay", index, bundle=findings.bundle, context=context, outcome=wording.outcome(findings)
            ),
            shown=[subject.image],
            description="Source slice with AI lesion boxes burned in, enlarged, footer added",
            orientation=picture.orientation,
        )
        dataset = build_secondary_capture(capture, sources=sources, bundle=findings.bundle, context=context)
        objects.append(ReportObject(kind="overlay", dataset=dataset))
    return objects


def _summary(findings: Findings, sources: SourceImages, pictures: Pictures, context: ReportContext) -> ReportObject:
    shown = [image for image in key_slices(findings).values() if image in pictures]
    made_at = written_at(sources.source, context).strftime("%Y-%m-%d %H:%M")
    capture = Capture(
        picture=draw_summary(
            findings,
            pictures,
            note=context.settings.institution_note,
            made_at=made_at,
            warning=identity_note(findings, sources, context),
        ),
        identity=object_identity(
            "summary", 1, bundle=findings.bundle, context=context, outcome=wording.outcome(findings)
        ),
        shown=shown,
        description="Summary of the AI result with one key slice per sequence",
    )
    dataset = build_secondary_capture(capture, sources=sources, bundle=findings.bundle, context=context)
    return ReportObject(kind="summary", dataset=dataset)
