"""What connections need of the node besides the sink: the real thing, on the database. Lives in the supervisor."""

from node.commitment.services import CommitmentMemory
from storage import quarantine
from storage.new_quarantined import NewQuarantined


class NodeServices(CommitmentMemory):
    """`node.receiving.services.Services`. Durable when a method returns; raises NodeError or StorageError."""

    def quarantined(self, refused: NewQuarantined) -> None:
        """Record a refused object whose file is already durable; the oldest give way where room is short."""
        quarantine.add(self._database, self._files, refused, limit_bytes=self._settings.receiver.quarantine_bytes)
