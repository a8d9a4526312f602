"""All defects."""

from typing import Final

from tests.node.report.defects import boxes, codes, companions, content, document, header, presentation, segments
from tests.node.report.defects.planting import Defect, Objects

DEFECTS: Final[tuple[Defect, ...]] = tuple(
    one
    for room in (header, document, content, codes, boxes, companions, presentation, segments)
    for one in room.COLLECTION.defects
)

__all__ = ["DEFECTS", "Defect", "Objects"]
