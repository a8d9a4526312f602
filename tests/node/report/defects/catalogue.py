"""All defects."""

from typing import Final

from tests.node.report.defects import (
    agreement,
    boxes,
    codes,
    companions,
    content,
    document,
    header,
    presentation,
    segments,
    words,
)
from tests.node.report.defects.planting import Defect, Objects

DEFECTS: Final[tuple[Defect, ...]] = tuple(
    one
    for room in (header, document, content, codes, boxes, companions, presentation, segments, agreement, words)
    for one in room.COLLECTION.defects
)

__all__ = ["DEFECTS", "Defect", "Objects"]
