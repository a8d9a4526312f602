"""Segmentations: whose segments, and which pixels."""

import numpy as np
from pydicom.dataset import Dataset

from tests.node.report.defects.planting import Collection, Objects
from tests.node.report.report_sources import COLUMNS, ROOT, ROWS

COLLECTION = Collection()
defect = COLLECTION.defect

KIND = "segmentation"


def segment(objects: Objects) -> Dataset:
    item: Dataset = objects[KIND].SegmentSequence[0]
    return item


def frame(objects: Objects) -> Dataset:
    item: Dataset = objects[KIND].PerFrameFunctionalGroupsSequence[0]
    return item


def fill(objects: Objects, *, rows: slice, columns: slice) -> None:
    """Only these pixels of the first frame."""
    seg = objects[KIND]
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    first = bits[: ROWS * COLUMNS].reshape(ROWS, COLUMNS)
    first[:] = 0
    first[rows, columns] = 1
    seg.PixelData = np.packbits(bits, bitorder="little").tobytes()


@defect("its tracking UID is none of the structured report", kind=KIND)
def segment_of_another_lesion(objects: Objects) -> None:
    segment(objects).TrackingUID = "2.25.4711"


@defect("its tracking identifier is not that of the structured report", kind=KIND)
def segment_under_another_name(objects: Objects) -> None:
    segment(objects).TrackingID = "SpineNode lesion 99"


@defect("a tracking UID stands in more than one segment", kind=KIND)
def two_segments_of_one_lesion(objects: Objects) -> None:
    segment(objects).TrackingUID = objects[KIND].SegmentSequence[1].TrackingUID


@defect("its segments are not numbered from 1", kind=KIND)
def segment_number_left_out(objects: Objects) -> None:
    segment(objects).SegmentNumber = 9


@defect("does not say that an algorithm made it", kind=KIND)
def segment_drawn_by_hand(objects: Objects) -> None:
    segment(objects).SegmentAlgorithmType = "MANUAL"


@defect("describes 2 of its 3 frames", kind=KIND)
def frame_without_description(objects: Objects) -> None:
    del objects[KIND].PerFrameFunctionalGroupsSequence[2]


@defect("belongs to segment 9, which does not exist", kind=KIND)
def frame_of_no_segment(objects: Objects) -> None:
    frame(objects).SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9


@defect("frame 1 is derived from another image than the box of its lesion", kind=KIND)
def frame_of_the_neighbouring_slice(objects: Objects) -> None:
    source = frame(objects).DerivationImageSequence[0].SourceImageSequence[0]
    source.ReferencedSOPInstanceUID = f"{ROOT}.1.1.4"


@defect("frame 1 is empty", kind=KIND)
def frame_without_a_pixel(objects: Objects) -> None:
    fill(objects, rows=slice(0, 0), columns=slice(0, 0))


@defect("frame 1 reaches beyond the box of its lesion", kind=KIND)
def segment_larger_than_its_box(objects: Objects) -> None:
    fill(objects, rows=slice(9, 22), columns=slice(9, 23))


@defect("bytes of pixels do not hold 3 frames", kind=KIND)
def segmentation_cut_short(objects: Objects) -> None:
    objects[KIND].PixelData = objects[KIND].PixelData[:-2]


@defect(r"code \(52988007, SCT\) is not in the vocabulary", kind=KIND)
def segment_of_an_unknown_type(objects: Objects) -> None:
    segment(objects).SegmentedPropertyTypeCodeSequence[0].CodeValue = "52988007"


@defect("frame 1 has another ImagePositionPatient than its image", kind=KIND)
def segment_beside_the_patient(objects: Objects) -> None:
    frame(objects).PlanePositionSequence[0].ImagePositionPatient = [400, 0, 0]


@defect("has another ImageOrientationPatient than its image", kind=KIND)
def segment_turned_around(objects: Objects) -> None:
    shared = objects[KIND].SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [0, 1, 0, 0, 0, 1]


@defect("is in another Frame of Reference than its image", kind=KIND)
def segmentation_of_another_frame_of_reference(objects: Objects) -> None:
    objects[KIND].FrameOfReferenceUID = f"{ROOT}.404"


@defect("under another series", kind=KIND)
def segmentation_of_another_series(objects: Objects) -> None:
    objects[KIND].ReferencedSeriesSequence[0].SeriesInstanceUID = f"{ROOT}.1.2"


@defect("among its instances", kind=KIND)
def segmentation_that_lists_no_images(objects: Objects) -> None:
    del objects[KIND].ReferencedSeriesSequence


@defect("AlgorithmVersion of a segment and SoftwareVersions differ", kind=KIND)
def segment_of_another_version(objects: Objects) -> None:
    segment(objects).SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion = "0.1.0"
