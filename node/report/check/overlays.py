"""Overlay pictures together: each image with a box once, in the order of the findings."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from config import codes
from inference.findings import Findings, SeriesUsed
from node.report.check.boxes import said_boxes
from node.report.check.content import key
from node.report.check.reading import ReadDataset, items, named, number, text, texts
from node.report.check.received import ReceivedReport
from node.report.check.references import frame_numbers
from node.report.check.words import tells

_Place = tuple[str, int]  # SOP Instance UID, frame from 1

_LACKING: Final = re.compile(r"overlays lack (\d+) of (\d+) images? with a box")
_POSITION: Final = re.compile(r" (\d+)/(\d+)$")
_LONGEST_LABEL: Final = 16  # VR SH: a longer one is cut


def overlay_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    """Of one overlay, or of the object whose frames are overlays."""
    kind = report.kind_of(dataset)
    shown = list(_shown(dataset))
    boxed = {(box.sop_instance_uid, box.frame) for box in said_boxes(report)}
    yield from (f"shows {uid}, on which there is no box" for uid, frame in shown if (uid, frame) not in boxed)
    if len(shown) != (number(dataset, "NumberOfFrames") or 1):
        yield f"shows {len(shown)} images in {number(dataset, 'NumberOfFrames') or 1} frames"
    alike = [one for of_kind, one in report.objects if of_kind == kind]
    together = [place for one in alike for place in _shown(one)]
    if any(together.count(place) > 1 for place in shown):
        yield "shows an image that is shown already"
    missing = boxed - set(together)
    if missing and dataset is alike[0] and not _is_told(report, len(missing), len(boxed)):
        yield f"with its like lacks {len(missing)} of {len(boxed)} images with a box, and the report does not tell"
    if report.findings is not None:
        yield from _order(dataset, shown, report.findings)


def _order(dataset: ReadDataset, shown: list[_Place], findings: Findings) -> Iterable[str]:
    lesions = {(one.image.sop_instance_uid, one.image.frame_number or 1) for one in findings.lesions}
    places = list(_places(findings))
    with_box = [place for place, _, _ in places if place in lesions]
    labels = texts(dataset, "FrameLabelVector")
    if not labels:
        index = number(dataset, "InstanceNumber") - 1
        if shown != with_box[max(0, index) : index + 1]:
            yield "shows another image than that of its Instance Number"
        return
    if shown != [place for place in with_box if place in shown]:
        yield "its frames are not in the order of the images"
    by_place = {place: (position, series) for place, position, series in places}
    for place, label in zip(shown, labels, strict=False):
        if place in by_place and not _is_label(label, *by_place[place]):
            yield "a frame has the label of another image"


def _places(findings: Findings) -> Iterator[tuple[_Place, int, SeriesUsed]]:
    """All images used, each with its position in its series, from 1."""
    for series in findings.series_used:
        for position, image in enumerate(series.images, start=1):
            yield (image.sop_instance_uid, image.frame_number or 1), position, series


def _is_label(label: str, position: int, series: SeriesUsed) -> bool:
    """E.g. "T2FS 7/13", or "T2FS-2 7/13" in a second series of a kind."""
    if len(label) >= _LONGEST_LABEL:
        return True
    return re.split("[ -]", label)[0] == series.kind.value and tells(label, _POSITION, position, len(series.images))


def _is_told(report: ReceivedReport, missing: int, count: int) -> bool:
    documents = [one for kind, one in report.objects if kind == "sr"]
    comments = [text(item, "TextValue") for one in documents for item in named(one, key(codes.COMMENT))]
    return any(tells(comment, _LACKING, missing, count) for comment in comments)


def _shown(dataset: ReadDataset) -> Iterator[_Place]:
    for image in items(dataset, "SourceImageSequence"):
        for frame in frame_numbers(image) or [1]:
            yield text(image, "ReferencedSOPInstanceUID"), frame
