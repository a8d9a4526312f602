"""The result of a storage commitment as an N-EVENT-REPORT, over whichever association. Imports no database.

Source: PS3.4 J.3.3.
"""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association

from node.commitment.parsing import ALL_COMMITTED, FAILURES_EXIST, PUSH_MODEL, PUSH_MODEL_INSTANCE, CommitmentResult

SYNTAXES: Final = [str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)]


def send_result(association: Association, result: CommitmentResult) -> int | None:
    """The peer's status, None when there was none."""
    event_type = FAILURES_EXIST if result.failed else ALL_COMMITTED
    try:
        answer, _ = association.send_n_event_report(
            _event_information(result), event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
    except RuntimeError:  # the association ended
        return None
    return int(answer.Status) if "Status" in answer else None


def _event_information(result: CommitmentResult) -> Dataset:
    """Source: PS3.4 Table J.3-2."""
    dataset = Dataset()
    dataset.TransactionUID = result.transaction_uid
    if result.committed:  # an empty sequence is not allowed
        dataset.ReferencedSOPSequence = ItemSequence(_reference(*pair) for pair in result.committed)
    if result.failed:
        items = []
        for sop_class_uid, sop_instance_uid, reason in result.failed:
            item = _reference(sop_class_uid, sop_instance_uid)
            item.FailureReason = reason
            items.append(item)
        dataset.FailedSOPSequence = ItemSequence(items)
    return dataset


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item
