"""What a connection needs of the node besides the sink: things that only the supervisor's database can keep."""

from typing import Protocol

from node.commitment.handlers import CommitmentServices
from storage.new_quarantined import NewQuarantined


class Services(CommitmentServices, Protocol):
    """Durable when a method returns. Methods raise NodeError or StorageError."""

    def quarantined(self, refused: NewQuarantined) -> None:
        """Record a refused object whose file is already durable."""
