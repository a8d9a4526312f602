"""What becomes of an object whose file, or a changed copy of it, cannot be read or made."""

from pathlib import Path

from node.errors import CannotUnderstand
from node.own_faults import is_own_fault, told
from node.sending.results import NoAnswer, StoreOutcome, StoreResult


def unreadable(path: Path, error: CannotUnderstand | OSError | MemoryError) -> StoreResult:
    """Refused for good when the object is at fault or gone; not sent for now when this machine is."""
    is_ours = is_own_fault(error, path)
    if is_ours:
        reason = told(error)
    elif isinstance(error, OSError):
        reason = f"cannot be read: {error.strerror or error}"
    else:
        reason = str(error)
    return StoreResult(
        path=path,
        sop_instance_uid="",
        status=None,
        outcome=StoreOutcome.REFUSED_FOR_NOW if is_ours else StoreOutcome.REFUSED,
        reason=reason,
        no_answer=NoAnswer.OWN_FAULT if is_ours else None,
    )
