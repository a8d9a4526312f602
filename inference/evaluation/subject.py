"""What was evaluated, and on whom."""

from dataclasses import dataclass
from typing import Final

PHANTOM_HEADING: Final = "synthetic phantom, no clinical meaning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    bundle_name: str
    bundle_version: str
    bundle_sha256: str
    trained_on: str  # one sentence
    runs_with: str = ""  # sizes other than the bundle's own; empty: none
    data_set: str
    data_sha256: str
    part: str  # of the data set; empty: all patients
    patients_sha256: str  # of the identifiers of the evaluated patients
    is_phantom: bool  # the bundle was trained on the phantom, or the data set is made of it
    seen_before: str  # what is known of the bundle's training having seen these patients, one sentence; "" nothing

    @property
    def heading(self) -> str:
        """Stands over everything that was measured; empty for patients."""
        return PHANTOM_HEADING if self.is_phantom else ""
