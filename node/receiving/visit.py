"""One association, for its log lines and for what it is told at its end."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Visit:
    """Who came, and how its requests were answered."""

    number: int  # of the connection
    address: str
    calling_ae_title: str = ""
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def log_fields(self) -> dict[str, object]:
        return {"association": self.number, "calling_ae_title": self.calling_ae_title, "address": self.address}
