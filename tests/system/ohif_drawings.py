"""What OHIF draws, in the pixels of the image it draws on: worked out from the headers, not asked of OHIF."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from inference.findings import Box, ImageReference
from tests.node.report.report_sources import Study
from tests.system.ohif_viewer import OhifViewer

# Expressions for the page
ANNOTATIONS: Final = """() => window.cornerstoneTools.annotation.state.getAllAnnotations()
    .filter(one => one.metadata.toolName === 'DICOMSRDisplay')
    .map(one => ({image: one.metadata.referencedImageId, points: one.data.handles.points}))"""
MEASURED_IMAGES: Final = "() => window.services.measurementService.getMeasurements().map(one => one.SOPInstanceUID)"
LABELMAPS: Final = """() => window.services.segmentationService.getSegmentations()
    .flatMap(one => one.representationData.Labelmap.imageIds.map(id => window.cornerstone.cache.getImage(id)))
    .map(image => ({image: image.referencedImageId, columns: image.columns,
        marked: Array.from(image.voxelManager.getScalarData()).flatMap((value, index) => value ? [index] : [])}))"""
PDF: Final = """async () => { const file = await fetch(document.querySelector('object[type="application/pdf"]').data);
    return Array.from(new Uint8Array(await file.arrayBuffer())) }"""
_ON_SCREEN: Final = """points => { const id = window.services.viewportGridService.getState().activeViewportId;
    const shown = window.services.cornerstoneViewportService.getCornerstoneViewport(id);
    return points.map(point => shown.worldToCanvas(point)) }"""

_TOLERANCE_PIXELS: Final = 1.0
_TOLERANCE_MM: Final = 0.01  # off the plane of the slice
_GREEN: Final = (0, 255, 0)  # OHIF's colour of a report's first box
_LEAST_DRAWN: Final = 0.3  # of each side: the lines are dashed

Array = NDArray[np.float64]


def sop_of(image_id: str) -> str:
    """SOP Instance UID of one of OHIF's image identifiers, which are WADO-RS addresses."""
    return image_id.partition("/instances/")[2].partition("/")[0]


def box_of(annotation: dict[str, Any], study: Study) -> tuple[ImageReference, Box]:
    """The image that OHIF draws on, and the rectangle in its pixels (PS3.3 C.7.6.2.1.1)."""
    image = _image_of(str(annotation["image"]), study)
    position, orientation, spacing = _plane_of(study.images[image.sop_instance_uid], image.frame_number)
    offsets = np.array(annotation["points"]) - position
    columns = offsets @ orientation[:3] / spacing[1] + 0.5  # 0 is the outer corner, the position is a pixel's centre
    rows = offsets @ orientation[3:] / spacing[0] + 0.5
    off_plane = np.abs(offsets @ np.cross(orientation[:3], orientation[3:])).max()
    assert off_plane < _TOLERANCE_MM
    return image, Box(x0=columns.min(), y0=rows.min(), x1=columns.max(), y1=rows.max())


def alike(wanted: tuple[ImageReference, Box], found: tuple[ImageReference, Box]) -> bool:
    """The same image, and no side farther off than a pixel."""
    return wanted[0] == found[0] and bool(np.abs(_sides(wanted[1]) - _sides(found[1])).max() < _TOLERANCE_PIXELS)


def rectangle(labelmap: dict[str, Any]) -> Box:
    """Around all marked pixels of one slice."""
    rows, columns = np.divmod(np.array(labelmap["marked"]), labelmap["columns"])
    return Box(x0=columns.min(), y0=rows.min(), x1=columns.max() + 1, y1=rows.max() + 1)


def paints(viewer: OhifViewer, box: Box, header: Dataset) -> bool:
    """Whether the dashed lines of the box are on the screen: green along each of its sides."""
    position, orientation, spacing = _plane_of(header, None)
    corners = [
        list(position + (x - 0.5) * spacing[1] * orientation[:3] + (y - 0.5) * spacing[0] * orientation[3:])
        for x, y in ((box.x0, box.y0), (box.x1, box.y1))
    ]
    (left, top), (right, bottom) = np.rint(viewer.evaluate(_ON_SCREEN, corners)).astype(int)
    green = np.all(np.abs(np.asarray(viewer.picture()).astype(int) - _GREEN) < 60, axis=2)
    around = 3  # pixels of the screen: the pen's width and the pane's border
    sides = (
        green[top - around : top + around, left:right].any(axis=0),
        green[bottom - around : bottom + around, left:right].any(axis=0),
        green[top:bottom, left - around : left + around].any(axis=1),
        green[top:bottom, right - around : right + around].any(axis=1),
    )
    return min(float(side.mean()) for side in sides) > _LEAST_DRAWN


def difference(screen: Image.Image, drawn: Image.Image) -> float:
    """Mean difference in grey levels between a picture and the viewport that shows it, fitted and centred."""
    scale = min(screen.width / drawn.width, screen.height / drawn.height)
    fitted = drawn.resize((round(drawn.width * scale), round(drawn.height * scale)), Image.Resampling.BILINEAR)
    left, top = (screen.width - fitted.width) // 2, (screen.height - fitted.height) // 2
    cut = screen.crop((left, top, left + fitted.width, top + fitted.height))
    return float(np.abs(np.asarray(cut, float) - np.asarray(fitted, float)).mean())


def blank(picture: Image.Image) -> bool:
    """Whether nearly all pixels have the same brightness."""
    return float(np.asarray(picture.convert("L"), float).std()) < 5


def _image_of(image_id: str, study: Study) -> ImageReference:
    uid = sop_of(image_id)
    header = study.images[uid]
    frame = int(image_id.rpartition("/frames/")[2]) if "NumberOfFrames" in header else None
    return ImageReference(sop_class_uid=str(header.SOPClassUID), sop_instance_uid=uid, frame_number=frame)


def _plane_of(header: Dataset, frame: int | None) -> tuple[Array, Array, Array]:
    """Position (3,) mm, orientation (6,), spacing (row, column) mm."""
    position = orientation = spacing = header
    if frame is not None:
        shared = header.SharedFunctionalGroupsSequence[0]
        position = header.PerFrameFunctionalGroupsSequence[frame - 1].PlanePositionSequence[0]
        orientation, spacing = shared.PlaneOrientationSequence[0], shared.PixelMeasuresSequence[0]
    return (
        np.array(position.ImagePositionPatient, float),
        np.array(orientation.ImageOrientationPatient, float),
        np.array(spacing.PixelSpacing, float),
    )


def _sides(box: Box) -> Array:
    return np.array([box.x0, box.y0, box.x1, box.y1])
