"""Table positions: which part of the spine one set of series shows, and how its images are planned."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from inference.datasets import SpineRegion


class Station(StrEnum):
    CERVICAL = "cervical"
    THORACIC = "thoracic"
    LUMBAR = "lumbar"
    LUMBOSACRAL = "lumbosacral"


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned stack of a station: its middle lies on the midline, `before_mm` before the posterior wall."""

    body_part: str  # BodyPartExamined. Source: PS3.16 Annex L.
    centre_level: str
    before_mm: float
    fov_mm: float  # of a site of middle habits
    neighbour: Station  # the station of a second set of series


PLANS: Final[dict[Station, Plan]] = {
    Station.CERVICAL: Plan("CSPINE", "C5", 8.0, 240.0, Station.THORACIC),
    Station.THORACIC: Plan("TSPINE", "T7", 34.0, 335.0, Station.LUMBAR),
    Station.LUMBAR: Plan("LSPINE", "L3", 34.0, 295.0, Station.THORACIC),
    Station.LUMBOSACRAL: Plan("LSSPINE", "S1", 14.0, 280.0, Station.LUMBAR),
}
# The station that shows a lesion of each region in its middle.
STATION_OF: Final[dict[SpineRegion, Station]] = {
    SpineRegion.CERVICAL: Station.CERVICAL,
    SpineRegion.THORACIC: Station.THORACIC,
    SpineRegion.LUMBAR: Station.LUMBAR,
    SpineRegion.SACRAL: Station.LUMBOSACRAL,
}
