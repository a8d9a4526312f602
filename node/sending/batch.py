"""A batch of files to a Storage SCP: which contexts they need, in which syntax each goes, what the peer answers.

An object is sent unchanged when the peer accepts its stored transfer syntax, else uncompressed. Sending the same
object again is harmless: a peer knows it by its SOP Instance UID.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydicom.uid import UID

from node.errors import CannotUnderstand, InputRejected, PeerUnavailable
from node.outgoing import NATIVE_SYNTAXES, OutgoingObject, in_syntax, read_outgoing
from node.own_faults import OwnFault
from node.part10 import read_file_meta
from node.sending.association import MAXIMUM_CONTEXTS, Association, ContextKey, NothingAccepted, Peer
from node.sending.coercion import coerced_file
from node.sending.pool import AssociationPool
from node.sending.results import NoAnswer, Shipment, StoreOutcome, StoreResult, classify
from node.sending.store_path import AnswerMissing, DataSet, send_object
from node.sending.unreadable import unreadable

# A peer that breaks one association may dislike one object; one that breaks three in a row dislikes all.
_LOST_ASSOCIATIONS_IN_A_ROW: Final = 3


@dataclass(slots=True)
class AssociationPlan:
    """Objects that share one association, and the contexts that they need."""

    contexts: dict[ContextKey, None] = field(default_factory=dict)
    objects: list[OutgoingObject] = field(default_factory=list)


class DicomCarrier:
    """The way to a Storage SCP, over associations that are kept between two batches."""

    def __init__(self, peer: Callable[[], Peer]) -> None:
        self._pool = AssociationPool(peer)

    def carry(self, shipments: Sequence[Shipment]) -> Generator[StoreResult, None, None]:
        """Files are sent in their order, but for those that need another association because of their contexts, and
        unreadable ones come first. Closing the iterator keeps the association for the next batch.
        """
        objects = []
        for shipment in shipments:
            try:
                objects.append(read_outgoing(shipment.path))
            except (CannotUnderstand, OSError, MemoryError) as error:
                yield unreadable(shipment.path, error)
        coercions = {shipment.path: shipment.coerce for shipment in shipments if shipment.coerce}
        for plan in plan_associations(objects):
            yield from _Batch(self._pool, coercions).send(plan)

    def rest(self) -> None:
        self._pool.close_idle()

    def close(self) -> None:
        self._pool.close()


def plan_associations(objects: Sequence[OutgoingObject]) -> list[AssociationPlan]:
    """Share objects out to as few associations as their presentation contexts allow.

    Each object asks for its stored transfer syntax and for both native ones, each in a context of its own: a peer
    that may choose within one context would choose for all objects of the class.
    """
    plans: list[AssociationPlan] = []
    for outgoing in objects:
        syntaxes = (outgoing.transfer_syntax_uid, *NATIVE_SYNTAXES)
        needed = dict.fromkeys((outgoing.sop_class_uid, syntax) for syntax in syntaxes)
        for plan in plans:
            if len(plan.contexts | needed) <= MAXIMUM_CONTEXTS:
                break
        else:
            plan = AssociationPlan()
            plans.append(plan)
        plan.contexts |= needed
        plan.objects.append(outgoing)
    return plans


class _Batch:
    """Sends the objects of one plan, over a new association whenever one breaks."""

    def __init__(self, pool: AssociationPool, coercions: Mapping[Path, Mapping[str, str]]) -> None:
        self._pool = pool
        self._coercions = coercions

    def send(self, plan: AssociationPlan) -> Iterator[StoreResult]:
        remaining = deque(plan.objects)
        lost_in_a_row = 0
        while remaining:
            try:
                with self._pool.borrowed(plan.contexts) as association:
                    while remaining and association.is_open:
                        started = time.monotonic()
                        result = self._store(association, remaining.popleft())
                        yield result
                        if result.no_answer is not NoAnswer.LOST:
                            lost_in_a_row = 0
                            continue
                        lost_in_a_row += 1
                        _check_worth_going_on(association.peer, lost_in_a_row, time.monotonic() - started)
            except (PeerUnavailable, NothingAccepted, OwnFault) as error:
                for outgoing in remaining:
                    yield _not_sent(outgoing, error)
                return

    def _store(self, association: Association, outgoing: OutgoingObject) -> StoreResult:
        syntax = _accepted_syntax(association, outgoing)
        if syntax is None:
            sop_class, stored = UID(outgoing.sop_class_uid).name, UID(outgoing.transfer_syntax_uid).name
            reason = f"{association.peer.name} accepts {sop_class} neither in {stored} nor uncompressed"
            return _unanswered(outgoing, StoreOutcome.REFUSED, reason)
        context_id = association.accepted[outgoing.sop_class_uid, syntax]
        try:
            with self._as_sent(outgoing, syntax) as data_set:
                answer = send_object(association, context_id, data_set)
        except InputRejected as error:
            return _unanswered(outgoing, StoreOutcome.REFUSED, str(error))
        except AnswerMissing as error:
            reason = f"{association.peer.name} gave no answer: {error}"
            return _unanswered(outgoing, StoreOutcome.REFUSED_FOR_NOW, reason, NoAnswer.LOST)
        except (OSError, MemoryError) as error:
            return unreadable(outgoing.path, error)
        outcome, meaning = classify(answer.status)
        comment = f" ({answer.comment})" if answer.comment else ""
        return StoreResult(
            path=outgoing.path,
            sop_instance_uid=outgoing.sop_instance_uid,
            status=answer.status,
            outcome=outcome,
            reason="" if outcome is StoreOutcome.SENT else f"0x{answer.status:04X} {meaning}{comment}",
        )

    @contextmanager
    def _as_sent(self, outgoing: OutgoingObject, syntax: str) -> Iterator[DataSet]:
        """Where the bytes to send are: in the original, or in a temporary file with what had to be changed."""
        path, offset = outgoing.path, outgoing.data_set_offset
        with ExitStack() as temporary:
            if syntax != outgoing.transfer_syntax_uid:
                path = temporary.enter_context(in_syntax(outgoing, syntax))
                offset = read_file_meta(path).data_set_offset
            if values := self._coercions.get(outgoing.path):
                path = temporary.enter_context(coerced_file(path, offset, syntax, values))
            yield DataSet(
                path=path,
                offset=offset,
                sop_class_uid=outgoing.sop_class_uid,
                sop_instance_uid=outgoing.sop_instance_uid,
            )


def _check_worth_going_on(peer: Peer, lost_in_a_row: int, waited_s: float) -> None:
    if waited_s >= peer.timeout_s:
        raise PeerUnavailable(f"{peer.name} did not answer within {peer.timeout_s:g} s")
    if lost_in_a_row >= _LOST_ASSOCIATIONS_IN_A_ROW:
        raise PeerUnavailable(f"{peer.name} broke {lost_in_a_row} associations in a row")


def _accepted_syntax(association: Association, outgoing: OutgoingObject) -> str | None:
    candidates = (outgoing.transfer_syntax_uid, *NATIVE_SYNTAXES)
    return next((one for one in candidates if (outgoing.sop_class_uid, one) in association.accepted), None)


def _not_sent(outgoing: OutgoingObject, error: PeerUnavailable | NothingAccepted | OwnFault) -> StoreResult:
    if isinstance(error, OwnFault):
        return _unanswered(outgoing, StoreOutcome.REFUSED_FOR_NOW, str(error), NoAnswer.OWN_FAULT)
    if isinstance(error, NothingAccepted):  # a matter of the peer's settings, which change
        return _unanswered(outgoing, StoreOutcome.REFUSED_FOR_NOW, str(error))
    return _unanswered(outgoing, StoreOutcome.REFUSED_FOR_NOW, str(error), NoAnswer.UNREACHED)


def _unanswered(
    outgoing: OutgoingObject, outcome: StoreOutcome, reason: str, no_answer: NoAnswer | None = None
) -> StoreResult:
    return StoreResult(
        path=outgoing.path,
        sop_instance_uid=outgoing.sop_instance_uid,
        status=None,
        outcome=outcome,
        reason=reason,
        no_answer=no_answer,
    )
