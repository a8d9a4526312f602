"""All overlays of a case in one object: the frames of a Multi-frame True Color Secondary Capture (PS3.3 A.8.5)."""

from collections.abc import Sequence

from PIL import Image

from inference.findings import Findings, SeriesUsed
from node.report.captures.secondary_capture import Capture, build_secondary_capture
from node.report.captures.single import OVERLAY_DESCRIPTION, PIXELS_UNREADABLE
from node.report.context import ReportObject
from node.report.errors import NotMadeError
from node.report.material import Material
from node.report.pictures import drawing
from node.report.pictures.overlay import Overlay

_LARGEST_BYTES = 2**29  # of pixels: what an archive or a viewer can still take at once


def build_overlay_frames(material: Material) -> list[ReportObject]:
    """One object with one frame per image with a box; none where there is no box.

    Raises
    ------
    NotMadeError
        no image with a box can be read, or the frames together are too large.
    """
    count = material.boxed_images
    if not count:
        return []
    overlays = material.overlays
    if not overlays:
        raise NotMadeError(PIXELS_UNREADABLE)
    orientations = {overlay.orientation for overlay in overlays}
    left_out = f"; {count - len(overlays)} of {count} slices unreadable" if len(overlays) < count else ""
    capture = Capture(
        pictures=_of_one_size([overlay.picture for overlay in overlays]),
        identity=material.identity("overlay_frames", 1),
        shown=[overlay.subject.image for overlay in overlays],
        description=f"{OVERLAY_DESCRIPTION}{left_out}",
        orientation=orientations.pop() if len(orientations) == 1 else None,
        labels=[_label(overlay, material.findings) for overlay in overlays],
    )
    dataset = build_secondary_capture(
        capture, sources=material.sources, bundle=material.findings.bundle, context=material.context
    )
    return [ReportObject(kind="overlay_frames", dataset=dataset)]


def _of_one_size(pictures: Sequence[Image.Image]) -> list[Image.Image]:
    """Padded at the sides and below, never scaled: every frame keeps the pixels of its single overlay."""
    width, height = (max(sides) for sides in zip(*(picture.size for picture in pictures), strict=True))
    if 3 * width * height * len(pictures) > _LARGEST_BYTES:
        raise NotMadeError(f"{len(pictures)} frames of {width} x {height} pixels are too large for one object.")
    padded = []
    for picture in pictures:
        if picture.size == (width, height):
            padded.append(picture)
            continue
        frame = Image.new("RGB", (width, height), drawing.BACKGROUND)
        frame.paste(picture, ((width - picture.width) // 2, 0))
        padded.append(frame)
    return padded


def _label(overlay: Overlay, findings: Findings) -> str:
    """E.g. "T2FS 7/13", in a second T2FS series "T2FS-2 7/13": at most 16 characters, VR SH."""
    series = overlay.subject.series
    return f"{_sequence(series, findings)} {series.images.index(overlay.subject.image) + 1}/{len(series.images)}"[:16]


def _sequence(series: SeriesUsed, findings: Findings) -> str:
    alike = [one for one in findings.series_used if one.kind is series.kind]
    return series.kind.value if len(alike) == 1 else f"{series.kind.value}-{alike.index(series) + 1}"
