"""Storage SCU: files to a peer by C-STORE, as they are on disk wherever the peer accepts that.

An object is sent unchanged when the peer accepts its stored transfer syntax, else uncompressed. Sending the same
object again is harmless: a peer knows it by its SOP Instance UID.
"""

import itertools
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context

from node.dicom_stack import prepare_dicom_stack
from node.errors import CannotUnderstand, InputRejected, PeerUnavailable
from node.outgoing import NATIVE_SYNTAXES, OutgoingObject, in_syntax, read_outgoing
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

log = structlog.get_logger(__name__)

MAXIMUM_CONTEXTS: Final = 128  # odd identifiers from 1 to 255, PS3.8 9.3.2.2
# The time that an answer may take counts from before the object is on the wire; slower links than this are none.
_SLOWEST_LINK_BYTES_PER_S: Final = 1_000_000
# A peer that breaks one association may dislike one object; one that breaks three in a row dislikes all.
_LOST_ASSOCIATIONS_IN_A_ROW: Final = 3
_MEDIUM_PRIORITY: Final = 0

_ContextKey = tuple[str, str]  # SOP Class UID, Transfer Syntax UID


class StoreOutcome(StrEnum):
    SENT = "sent"
    SENT_WITH_WARNING = "sent_with_warning"  # the peer holds it, perhaps changed
    REFUSED_FOR_NOW = "refused_for_now"  # the same object may be taken later
    REFUSED = "refused"  # the same object will be refused again


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResult:
    """What became of one file. `status` is the peer's C-STORE status, None when none came."""

    path: Path
    sop_instance_uid: str  # empty when the file could not be read
    status: int | None
    outcome: StoreOutcome
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A Storage SCP and how to reach it."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str
    timeout_s: float  # for the connection, the association and each answer


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
    objects = []
    for path in files:
        try:
            objects.append(read_outgoing(path))
        except (CannotUnderstand, OSError) as error:
            reason = str(error) if isinstance(error, CannotUnderstand) else f"cannot be read: {error.strerror}"
            yield StoreResult(path=path, sop_instance_uid="", status=None, outcome=StoreOutcome.REFUSED, reason=reason)
    for plan in plan_associations(objects):
        yield from _store_planned(plan, peer)


@dataclass(slots=True)
class AssociationPlan:
    """Objects that share one association, and the contexts that they need."""

    contexts: dict[_ContextKey, None] = field(default_factory=dict)
    objects: list[OutgoingObject] = field(default_factory=list)


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


class _NothingAccepted(InputRejected):
    """The peer takes none of the offered presentation contexts."""


def _store_planned(plan: AssociationPlan, peer: Peer) -> Iterator[StoreResult]:
    """Send the objects of one plan, over a new association whenever the peer breaks one."""
    remaining = deque(plan.objects)
    lost_in_a_row = 0
    while remaining:
        try:
            with _association(peer, plan.contexts) as association:
                while remaining and association.is_established:
                    started = time.monotonic()
                    result = _store_one(association, remaining.popleft(), peer)
                    yield result
                    if not _association_lost(result):
                        lost_in_a_row = 0
                        continue
                    # The library may still call it established; a request over it would wait in vain.
                    association.abort()
                    lost_in_a_row += 1
                    _check_worth_going_on(peer, lost_in_a_row, time.monotonic() - started)
        except (PeerUnavailable, _NothingAccepted) as error:
            for_now = isinstance(error, PeerUnavailable)
            outcome = StoreOutcome.REFUSED_FOR_NOW if for_now else StoreOutcome.REFUSED
            for outgoing in remaining:
                yield _unanswered(outgoing, outcome, str(error))
            return


def _association_lost(result: StoreResult) -> bool:
    return result.status is None and result.outcome is StoreOutcome.REFUSED_FOR_NOW


def _check_worth_going_on(peer: Peer, lost_in_a_row: int, waited_s: float) -> None:
    if waited_s >= peer.timeout_s:
        raise PeerUnavailable(f"{_name(peer)} did not answer within {peer.timeout_s:g} s")
    if lost_in_a_row >= _LOST_ASSOCIATIONS_IN_A_ROW:
        raise PeerUnavailable(f"{_name(peer)} broke {lost_in_a_row} associations in a row")


@contextmanager
def _association(peer: Peer, contexts: dict[_ContextKey, None]) -> Iterator[Association]:
    entity = AE(ae_title=peer.calling_ae_title)
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.acse_timeout = entity.connection_timeout = entity.dimse_timeout = peer.timeout_s
    try:
        association = entity.associate(
            peer.host,
            peer.port,
            contexts=[build_context(sop_class_uid, syntax) for sop_class_uid, syntax in contexts],
            ae_title=peer.called_ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)],
        )
    except (OSError, UnicodeError) as error:  # a host name that nobody knows, or that no host can have
        raise PeerUnavailable(f"{_name(peer)} cannot be reached: {error}") from error
    if not association.is_established:
        _raise_not_established(association, peer)
    try:
        yield association
    finally:
        association.release()


def _send_at_once(event: Event) -> None:
    """Switch Nagle's algorithm off: with it each object waits for a delayed acknowledgement (40 ms)."""
    peer = event.assoc.dul.socket
    if peer is not None and peer.socket is not None:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _raise_not_established(association: Association, peer: Peer) -> None:
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        raise PeerUnavailable(f"{_name(peer)} refused the association: {answer.reason_str}")
    if answer is not None and answer.result == 0:
        raise _NothingAccepted(f"{_name(peer)} accepts none of the offered SOP classes and transfer syntaxes")
    raise PeerUnavailable(f"{_name(peer)} cannot be reached, or it ended the association request")


def _name(peer: Peer) -> str:
    return f"{peer.called_ae_title} at {peer.host}:{peer.port}"


_message_ids = itertools.cycle(range(1, 65536))  # US, PS3.7 E.1; any thread may take the next


def _store_one(association: Association, outgoing: OutgoingObject, peer: Peer) -> StoreResult:
    syntax = _accepted_syntax(association.accepted_contexts, outgoing)
    if syntax is None:
        sop_class, stored = UID(outgoing.sop_class_uid).name, UID(outgoing.transfer_syntax_uid).name
        reason = f"{_name(peer)} accepts {sop_class} neither in {stored} nor uncompressed"
        return _unanswered(outgoing, StoreOutcome.REFUSED, reason)
    association.dimse_timeout = peer.timeout_s + outgoing.byte_count / _SLOWEST_LINK_BYTES_PER_S
    try:
        with in_syntax(outgoing, syntax) as path:
            answer = association.send_c_store(path, msg_id=next(_message_ids), priority=_MEDIUM_PRIORITY)
    except InputRejected as error:
        return _unanswered(outgoing, StoreOutcome.REFUSED, str(error))
    except RuntimeError:  # the association ended between two objects
        return _unanswered(outgoing, StoreOutcome.REFUSED_FOR_NOW, f"{_name(peer)} ended the association")
    except (ValueError, OSError, AttributeError) as error:
        return _unanswered(outgoing, StoreOutcome.REFUSED, f"cannot be sent: {error}")
    return _answered(outgoing, answer, peer)


def _accepted_syntax(accepted: Sequence[PresentationContext], outgoing: OutgoingObject) -> str | None:
    keys = {(str(context.abstract_syntax), str(context.transfer_syntax[0])) for context in accepted}
    candidates = (outgoing.transfer_syntax_uid, *NATIVE_SYNTAXES)
    return next((syntax for syntax in candidates if (outgoing.sop_class_uid, syntax) in keys), None)


def _unanswered(outgoing: OutgoingObject, outcome: StoreOutcome, reason: str) -> StoreResult:
    return StoreResult(
        path=outgoing.path,
        sop_instance_uid=outgoing.sop_instance_uid,
        status=None,
        outcome=outcome,
        reason=reason,
    )


def _answered(outgoing: OutgoingObject, answer: Dataset, peer: Peer) -> StoreResult:
    if "Status" not in answer:
        return _unanswered(outgoing, StoreOutcome.REFUSED_FOR_NOW, f"{_name(peer)} gave no answer")
    status = int(answer.Status)
    outcome, meaning = classify(status)
    comment = f" ({answer.ErrorComment})" if answer.get("ErrorComment") else ""
    return StoreResult(
        path=outgoing.path,
        sop_instance_uid=outgoing.sop_instance_uid,
        status=status,
        outcome=outcome,
        reason="" if outcome is StoreOutcome.SENT else f"0x{status:04X} {meaning}{comment}",
    )


def classify(status: int) -> tuple[StoreOutcome, str]:
    """What a C-STORE status means for the object.  Source: PS3.4 Table B.2-1, PS3.7 Annex C."""
    if status == 0:
        return StoreOutcome.SENT, "success"
    if status == 0x0111:
        return StoreOutcome.SENT_WITH_WARNING, "duplicate SOP instance: the peer holds it already"
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return StoreOutcome.SENT_WITH_WARNING, "stored with a warning"
    if 0xA700 <= status <= 0xA7FF:
        return StoreOutcome.REFUSED_FOR_NOW, "out of resources"
    if status == 0x0110:
        return StoreOutcome.REFUSED_FOR_NOW, "processing failure"
    if status == 0x0124:  # a matter of the peer's settings, which change
        return StoreOutcome.REFUSED_FOR_NOW, "not authorized"
    if 0xA900 <= status <= 0xA9FF:
        return StoreOutcome.REFUSED, "data set does not match SOP class"
    if 0xC000 <= status <= 0xCFFF:
        return StoreOutcome.REFUSED, "cannot understand"
    return StoreOutcome.REFUSED, "failure"
