"""The errors of storage, ordered by what the caller must do next.

StorageError          the database or the file store failed: retry later, keep nothing acknowledged
  StorageFull         no space left: refuse new objects until a person or retention makes room
  LeaseLost           another worker has this unit of work now: drop the result, do not retry
  IllegalTransition   the row is not in the state this step starts from: read it again
"""


class StorageError(Exception):
    """Base of every error that storage raises on purpose. Messages hold no patient data."""


class StorageFull(StorageError):
    """No space left on the disk of the file store or of the database."""


class LeaseLost(StorageError):
    """The lease ran out and someone else claimed the work (or finished it): this result must not be written."""


class IllegalTransition(StorageError):
    """The transition table has no such step, or the row changed since it was read."""
