"""Storage SCU: files to a peer by C-STORE, as they are on disk wherever the peer accepts that."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from node.dicom_stack import prepare_dicom_stack
from node.sending.association import MAXIMUM_CONTEXTS, Peer
from node.sending.batch import AssociationPlan, DicomCarrier, plan_associations
from node.sending.results import Shipment, StoreOutcome, StoreResult, classify

__all__ = [
    "MAXIMUM_CONTEXTS",
    "AssociationPlan",
    "Peer",
    "StoreOutcome",
    "StoreResult",
    "classify",
    "plan_associations",
    "store",
    "store_each",
]


def store(
    files: Sequence[Path],
    *,
    host: str,
    port: int,
    called_ae_title: str,
    calling_ae_title: str,
    timeout_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> list[StoreResult]:
    """Send files and return one result for each, in the order of `files`. Raises nothing for a peer's refusals.

    `progress` is called with the number of files done and of all files.
    """
    peer = Peer(
        host=host,
        port=port,
        called_ae_title=called_ae_title,
        calling_ae_title=calling_ae_title,
        timeout_s=timeout_s,
    )
    results: dict[Path, StoreResult] = {}
    distinct = list(dict.fromkeys(files))
    for done, result in enumerate(store_each(distinct, peer), start=1):
        results[result.path] = result
        if progress is not None:
            progress(done, len(distinct))
    return [results[path] for path in files]


def store_each(files: Sequence[Path], peer: Peer) -> Generator[StoreResult, None, None]:
    """Send files one by one and yield each result as it comes; closing the iterator ends the association.

    Files are sent in their order, but for those that need another association because of their contexts, and
    unreadable ones come first. No two may be the same.
    """
    prepare_dicom_stack()
    carrier = DicomCarrier(lambda: peer)
    try:
        yield from carrier.carry([Shipment(path=path) for path in files])
    finally:
        carrier.close()
