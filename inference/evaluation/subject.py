"""What was evaluated, on whom, and with what: all that it takes to repeat an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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

    split_sha256: str = ""  # over the identifiers of its parts; empty: no split was given
    readers_sha256: str = ""  # of their file; empty: none was given
    device: str = ""  # "cpu" or the name of the GPU; empty, as are the next two: nothing has run
    precision: str = ""  # number format of the detector, e.g. "float32"
    versions: Mapping[str, str] = field(default_factory=dict)  # by package

    @property
    def heading(self) -> str:
        """Stands over everything that was measured; empty for patients."""
        return PHANTOM_HEADING if self.is_phantom else ""

    @property
    def record(self) -> list[tuple[str, str]]:
        """Names and values, for people; without what was not given."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        rows = [
            ("sha256 of the bundle", self.bundle_sha256),
            ("sha256 of the data set", self.data_sha256),
            ("sha256 of the list of evaluated patients", self.patients_sha256),
            ("sha256 of the split", self.split_sha256),
            ("sha256 of the readers' file", self.readers_sha256),
            ("Trained on", self.trained_on),
            ("Device", self.device),
            ("Number format of the detector", self.precision),
            ("Versions", versions),
        ]
        return [(name, value) for name, value in rows if value]
