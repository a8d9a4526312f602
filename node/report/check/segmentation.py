"""Segmentation (PS3.3 A.51): each segment is a lesion of the report, where that lies, and as large as its box."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from node.report.check.boxes import SaidBox, said_boxes
from node.report.check.masks import Mask, form_faults, mask_faults, masks
from node.report.check.planes import plane_faults
from node.report.check.reading import NOTHING, ReadDataset, data, first, items, number, text
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers, referenced_series
from node.report.check.segments import segment_faults


def segmentation_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    yield from form_faults(dataset)
    if not text(dataset, "ContentLabel"):
        yield "ContentLabel is missing"
    segments = items(dataset, "SegmentSequence")
    if not segments or [number(one, "SegmentNumber") for one in segments] != list(range(1, len(segments) + 1)):
        yield "its segments are not numbered from 1"
    tracking = [text(segment, "TrackingUID") for segment in segments]
    if len(set(tracking)) < len(tracking):
        yield "a tracking UID stands in more than one segment"
    boxes = {box.tracking_uid: box for box in said_boxes(report)}
    for segment in segments:
        for fault in segment_faults(segment, boxes.get(text(segment, "TrackingUID"))):
            yield f"segment {number(segment, 'SegmentNumber')}: {fault}"
    by_number = {
        number(segment, "SegmentNumber"): boxes.get(uid) for segment, uid in zip(segments, tracking, strict=True)
    }
    yield from _frames(dataset, by_number, report)
    listed = {uid for _, uid in referenced_series(dataset)}
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    if unlisted := {uid for group in groups for uid, _ in _sources(group)} - listed:
        yield f"does not list {', '.join(sorted(unlisted))} among its instances"


def _frames(dataset: ReadDataset, boxes: Mapping[int, SaidBox | None], report: ReceivedReport) -> Iterable[str]:
    groups, found = items(dataset, "PerFrameFunctionalGroupsSequence"), masks(dataset)
    if len(groups) != number(dataset, "NumberOfFrames"):
        yield f"describes {len(groups)} of its {number(dataset, 'NumberOfFrames')} frames"
    elif not found:
        yield f"{len(data(dataset, 'PixelData'))} bytes of pixels do not hold {len(groups)} frames"
    frames: Counter[int] = Counter()
    for index, (group, mask) in enumerate(zip(groups, found, strict=False)):
        segment = number(first(group, "SegmentIdentificationSequence"), "ReferencedSegmentNumber")
        frames[segment] += 1
        if segment not in boxes:
            yield f"frame {index + 1} belongs to segment {segment}, which does not exist"
        elif (box := boxes[segment]) is not None:
            for fault in _frame(dataset, index, mask, box, report):
                yield f"frame {index + 1} {fault}"
    for segment in boxes:
        if found and not frames[segment]:
            yield f"segment {segment} has no frame"


def _frame(dataset: ReadDataset, index: int, mask: Mask, box: SaidBox, report: ReceivedReport) -> Iterable[str]:
    group = items(dataset, "PerFrameFunctionalGroupsSequence")[index]
    if (box.sop_instance_uid, box.frame) not in set(_sources(group)):
        yield "is derived from another image than the box of its lesion"
    yield from mask_faults(mask, box.corners)
    yield from plane_faults(dataset, index, report.images.get(box.sop_instance_uid, NOTHING), box.frame)


def _sources(group: ReadDataset) -> Iterator[tuple[str, int]]:
    """SOP Instance UID and frame of the images that a frame was derived from."""
    for derivation in items(group, "DerivationImageSequence"):
        for source in items(derivation, "SourceImageSequence"):
            for frame in frame_numbers(source) or [1]:
                yield text(source, "ReferencedSOPInstanceUID"), frame
