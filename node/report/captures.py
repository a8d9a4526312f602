"""The pictures as Secondary Captures: one overlay per image with a box, and the summary."""

import structlog

from node.report.context import ReportObject
from node.report.evidence import identity_note
from node.report.finish import written_at
from node.report.material import Material
from node.report.overlay import draw_overlay, overlay_subjects
from node.report.secondary_capture import Capture, build_secondary_capture
from node.report.summary import draw_summary, key_slices

log = structlog.get_logger(__name__)

OVERLAY_DESCRIPTION = "Source slice with AI lesion boxes burned in, enlarged, footer added"


def build_overlays(material: Material) -> list[ReportObject]:
    """One object per image with a box; an image whose pixels cannot be read is left out and logged."""
    findings, objects = material.findings, []
    for index, subject in enumerate(overlay_subjects(findings), start=1):
        picture = material.pictures.get(subject.image)
        if picture is None:
            log.warning("overlay_left_out", sop_instance_uid=subject.image.sop_instance_uid)
            continue
        capture = Capture(
            picture=draw_overlay(subject, picture, findings.bundle),
            identity=material.identity("overlay", index),
            shown=[subject.image],
            description=OVERLAY_DESCRIPTION,
            orientation=picture.orientation,
        )
        dataset = build_secondary_capture(
            capture, sources=material.sources, bundle=findings.bundle, context=material.context
        )
        objects.append(ReportObject(kind="overlay", dataset=dataset))
    return objects


def build_summary(material: Material) -> list[ReportObject]:
    findings, sources, context = material.findings, material.sources, material.context
    capture = Capture(
        picture=draw_summary(
            findings,
            material.pictures,
            note=context.settings.institution_note,
            made_at=written_at(sources.source, context).strftime("%Y-%m-%d %H:%M"),
            warning=identity_note(findings, sources, context),
        ),
        identity=material.identity("summary", 1),
        shown=[image for image in key_slices(findings).values() if image in material.pictures],
        description="Summary of the AI result with one key slice per sequence",
    )
    dataset = build_secondary_capture(capture, sources=sources, bundle=findings.bundle, context=context)
    return [ReportObject(kind="summary", dataset=dataset)]
