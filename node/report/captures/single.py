"""The pictures as Secondary Captures: one overlay per image with a box, and the summary."""

from node.report.captures.secondary_capture import Capture, build_secondary_capture
from node.report.context import ReportObject
from node.report.errors import NotMadeError
from node.report.finish import written_at
from node.report.material import Material
from node.report.pictures.summary import draw_summary, key_slices

PIXELS_UNREADABLE = "The pixels of the images with a box cannot be read."
OVERLAY_DESCRIPTION = "Source slice with AI lesion boxes burned in, enlarged, footer added"


def build_overlays(material: Material) -> list[ReportObject]:
    """One object per image with a box.

    Raises
    ------
    NotMadeError
        no image with a box can be read.
    """
    if material.boxed_images and not material.overlays:
        raise NotMadeError(PIXELS_UNREADABLE)
    objects = []
    for overlay in material.overlays:
        capture = Capture(
            pictures=[overlay.picture],
            identity=material.identity("overlay", overlay.number),
            shown=[overlay.subject.image],
            description=OVERLAY_DESCRIPTION,
            orientation=overlay.orientation,
        )
        dataset = build_secondary_capture(
            capture, sources=material.sources, bundle=material.findings.bundle, context=material.context
        )
        objects.append(ReportObject(kind="overlay", dataset=dataset))
    return objects


def build_summary(material: Material) -> list[ReportObject]:
    findings, sources, context = material.findings, material.sources, material.context
    picture = draw_summary(
        findings,
        material.pictures,
        context.settings.palette,
        note=context.settings.institution_note,
        made_at=written_at(sources.source, context).strftime("%Y-%m-%d %H:%M"),
        warning=material.warning,
    )
    capture = Capture(
        pictures=[picture],
        identity=material.identity("summary", 1),
        shown=[image for image in key_slices(findings).values() if image in material.pictures],
        description="Summary of the AI result with one key slice per sequence",
    )
    dataset = build_secondary_capture(capture, sources=sources, bundle=findings.bundle, context=context)
    return [ReportObject(kind="summary", dataset=dataset)]
