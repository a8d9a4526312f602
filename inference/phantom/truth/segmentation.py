"""The planted lesions as DICOM Segmentations (PS3.3 A.51), BINARY: one object per series, one segment per lesion.

A segment is the lesion as it was planted, pixel by pixel, on the slices where it has a box. Specks smaller than any
box are left out, so that a reader who takes boxes from the parts of a mask finds lesions.
"""

from typing import Final

import numpy as np
from highdicom import UID, AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from scipy import ndimage

from inference.findings import Verdict
from inference.phantom.dicom.identifiers import MANUFACTURER, MODEL_NAME, NOTICE
from inference.phantom.identity import software_version
from inference.phantom.patient import PhantomPatient, PhantomSeries
from inference.phantom.truth import codes
from inference.phantom.truth.labelled_images import lesion_boxes, lesion_mask, tracking_identifier, tracking_uid
from inference.phantom.truth.objects import WrittenStudy, finish, source_images

_SERIES_OFFSET: Final = 500  # SeriesNumber of a segmentation over that of its images
_SMALLEST_PART_PX: Final = 3  # width and height
_TOUCHING: Final = np.ones((3, 3), dtype=np.bool_)  # pixels that share a corner belong together


def build_segmentation(study: WrittenStudy, number: int) -> Dataset | None:
    """Of the series with this number; None where no lesion shows in it."""
    files, verdict = study.files_of(number), study.patient.truth.label
    series = files[0].stack.series
    if series is None or verdict is None:
        return None
    masks = labelled_masks(series)
    if not masks:
        return None
    stored = [position for file in files for position in file.slices]
    dataset = Segmentation(
        source_images=source_images(study, number),
        pixel_array=np.stack(list(masks.values()), axis=-1)[stored].astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(study.patient, segment, lesion, verdict) for segment, lesion in enumerate(masks, start=1)
        ],
        series_instance_uid=study.uid("segmentation series", number),
        series_number=number + _SERIES_OFFSET,
        sop_instance_uid=study.uid("segmentation", number),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=software_version(),
        device_serial_number="0",
        content_label="PLANTED_LESIONS",
        content_description=NOTICE,
        content_creator_name="Phantom^Generator",
    )
    dataset.CodingSchemeIdentificationSequence = [codes.PRIVATE_SCHEME_ITEM]
    _name_dimensions(dataset, study.uid("segmentation dimensions", number))
    return finish(dataset, study, number=number + _SERIES_OFFSET, description="Planted lesions, masks")


def labelled_masks(series: PhantomSeries) -> dict[int, NDArray[np.bool_]]:
    """Lesion number -> (Z, Y, X) mask on the slices where the lesion has a box; lesions without any box are absent."""
    slices: dict[int, list[int]] = {}
    for position, boxes in enumerate(lesion_boxes(series)):
        for one in boxes:
            slices.setdefault(one.lesion, []).append(position)
    masks = {}
    for lesion, positions in sorted(slices.items()):
        planted = lesion_mask(series, lesion)
        masks[lesion] = np.zeros_like(planted)
        for position in positions:
            masks[lesion][position] = _without_specks(planted[position])
    return masks


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(Y, X) mask without the connected parts that are too narrow or too low; the largest part stays in any case."""
    parts, count = ndimage.label(mask, structure=_TOUCHING)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    kept = {
        number
        for number, place in enumerate(ndimage.find_objects(parts), start=1)
        if min(extent.stop - extent.start for extent in place) >= _SMALLEST_PART_PX
    }
    return np.isin(parts, [*kept, int(sizes.argmax()) + 1])


def _description(patient: PhantomPatient, segment: int, lesion: int, verdict: Verdict) -> SegmentDescription:
    level = patient.truth.lesions[lesion - 1].level
    return SegmentDescription(
        segment_number=segment,
        segment_label=f"{tracking_identifier(lesion)}, {verdict.value}",
        segmented_property_category=codes.ABNORMAL_STRUCTURE,
        segmented_property_type=codes.LESION,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,  # calculated; nobody drew it (PS3.3 C.8.20.2)
        algorithm_identification=AlgorithmIdentificationSequence(
            name=MODEL_NAME, family=codes.PLANTED, version=software_version(), source=MANUFACTURER
        ),
        tracking_uid=UID(tracking_uid(patient, lesion)),
        tracking_id=tracking_identifier(lesion),
        anatomic_regions=[codes.SITES.get(level[:1], codes.SPINE)],
    )


def _name_dimensions(dataset: Dataset, uid: str) -> None:
    """highdicom draws this UID by chance."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
