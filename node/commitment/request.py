"""Asks archives to take responsibility for what they acknowledged (storage commitment, as SCU).

The question and its transaction UID are durable before they are sent. The result comes by N-EVENT-REPORT, over the
same association or over a new one to our receiver; both end in `CommitmentServices.commitment_result`.
"""

import threading
import time
import uuid
from datetime import timedelta
from typing import Any, Final

import structlog
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.events import Event
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context

from config.settings import DestinationSettings, SenderSettings
from node.commitment.delay import commitment_patience, delay_s
from node.commitment.handlers import CommitmentServices, handle_n_event_report
from node.commitment.parsing import FAILURE_REASONS, PUSH_MODEL, PUSH_MODEL_INSTANCE, REQUEST_COMMITMENT
from node.commitment.peer import commitment_address, open_association
from node.commitment.results import SYNTAXES
from node.errors import SUCCESS, PeerUnavailable
from storage import commitments
from storage.commitments import Question
from storage.database import Database

log = structlog.get_logger(__name__)

_INSTANCES_PER_QUESTION: Final = 500
# Objects of one batch are asked about together, and the archive has a moment to write them.
_SETTLING_S: Final = 5.0
# Archives that answer over the same association do so within seconds, or not at all.
_SAME_ASSOCIATION_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.05


class CommitmentAsker:
    """Asks one destination about the deliveries that it acknowledged."""

    def __init__(
        self,
        database: Database,
        destination: DestinationSettings,
        settings: SenderSettings,
        ae_title: str,
        services: CommitmentServices,
        *,
        settling_s: float = _SETTLING_S,
        same_association_s: float = _SAME_ASSOCIATION_S,
    ) -> None:
        self._database = database
        self._destination = destination
        self._settings = settings
        self._services = services
        self._address = commitment_address(destination, ae_title)
        self._settling = timedelta(seconds=settling_s)
        self._same_association_s = same_association_s
        self._failures_in_a_row = 0
        self._never_answered = False

    @property
    def name(self) -> str:
        return self._destination.name

    def ask_once(self) -> int:
        """Ask about all that is due and return how many questions that took; nothing is sent when nothing is due.

        Raises PeerUnavailable when the archive cannot be asked, or refuses the question; StorageError.
        """
        self._expire()
        if not self._is_due():
            return 0
        self._tell_never_answered()
        try:
            asked = self._ask_all()
        except PeerUnavailable:
            self._failures_in_a_row += 1
            raise
        self._failures_in_a_row = 0
        return asked

    def _expire(self) -> None:
        now = self._database.now()
        with self._database.reading() as session:  # a reader waits for nobody, and this is asked every second
            if not commitments.is_overdue(session, destination=self.name, now=now):
                return
        with self._database.transaction() as session:
            expired = commitments.expire(session, destination=self.name, now=now)
        if expired:
            log.warning(
                "commitments_unanswered",
                destination=self.name,
                questions=expired,
                waited_s=self._settings.commitment_wait_s,
                effect="they are asked again",
                remedy="let the archive send its results to the node's AE title, and add it to [[callers]]",
            )

    def _tell_never_answered(self) -> None:
        """Once: what is never committed is never removed, and it goes on being asked about."""
        sent_before = self._database.now() - commitment_patience(self._settings)
        with self._database.reading() as session:
            number = commitments.never_answered(session, destination=self.name, sent_before=sent_before)
        if number and not self._never_answered:
            log.warning(
                "commitment_never_answered",
                destination=self.name,
                deliveries=number,
                effect="they stay, whatever retention says, and are asked about again",
                remedy="let the archive answer to this node, or take `commitment` out of the destination's settings",
            )
        self._never_answered = bool(number)

    def _is_due(self) -> bool:
        now = self._database.now()
        with self._database.reading() as session:
            return commitments.is_due(session, destination=self.name, now=now, sent_before=now - self._settling)

    def _ask_all(self) -> int:
        reports = _Reports(self._services)
        context = build_context(PUSH_MODEL, SYNTAXES)
        asked, patience_s = 0, self._same_association_s
        with open_association(self._address, [context], handlers=reports.handlers) as association:
            while association.is_established and (question := self._next_question()) is not None:
                reports.expect()
                self._send(association, question)
                asked += 1
                log.info(
                    "commitment_asked",
                    destination=self.name,
                    transaction_uid=question.transaction_uid,
                    instances=len(question.instances),
                )
                if not reports.wait(association, patience_s):
                    patience_s = 0.0  # it answers over associations of its own: no need to wait again and again
        return asked

    def _next_question(self) -> Question | None:
        with self._database.transaction() as session:
            now = self._database.now()
            return commitments.ask(
                session,
                destination=self.name,
                transaction_uid=f"2.25.{uuid.uuid4().int}",  # PS3.5 B.2
                now=now,
                sent_before=now - self._settling,
                answer_due_at=now + timedelta(seconds=self._settings.commitment_wait_s),
                limit=_INSTANCES_PER_QUESTION,
            )

    def _send(self, association: Association, question: Question) -> None:
        """Raises PeerUnavailable when the archive does not take the question; it is due again later then."""
        try:
            answer, _ = association.send_n_action(
                _action_information(question), REQUEST_COMMITMENT, PUSH_MODEL, PUSH_MODEL_INSTANCE
            )
        except (RuntimeError, ValueError) as error:  # the association ended, or its context is not for our role
            self._not_answered(question, f"{self._address}: {error}")
        status = int(answer.Status) if "Status" in answer else None
        if status is None:
            self._not_answered(question, f"{self._address} gave no answer to the question for storage commitment")
        elif status != SUCCESS:
            meaning = FAILURE_REASONS.get(status, "failure")
            self._not_answered(question, f"{self._address} refused storage commitment: 0x{status:04X} {meaning}")

    def _not_answered(self, question: Question, reason: str) -> None:
        delay = timedelta(seconds=delay_s(self._failures_in_a_row + 1, self._settings))
        with self._database.transaction() as session:
            again_at = self._database.now() + delay
            commitments.not_answered(session, question.commitment_id, reason=reason, ask_again_at=again_at)
        raise PeerUnavailable(reason)


class _Reports:
    """Takes the results that come over our own association, and knows when the answer to one is on the wire."""

    def __init__(self, services: CommitmentServices) -> None:
        self._services = services
        self._answered = threading.Event()
        self._answering = False
        self.handlers: list[tuple[Any, Any]] = [
            (evt.EVT_N_EVENT_REPORT, lambda event: handle_n_event_report(event, self._services)),
            (evt.EVT_DIMSE_SENT, self._on_message),
            (evt.EVT_PDU_SENT, self._on_pdu),
        ]

    def expect(self) -> None:
        self._answering = False
        self._answered.clear()

    def wait(self, association: Association, timeout_s: float) -> bool:
        """Until a result came and was answered (True), the association ended, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while association.is_established and time.monotonic() < deadline and not self._answered.wait(_LOOK_EVERY_S):
            pass
        return self._answered.is_set()

    def _on_message(self, event: Event) -> None:
        self._answering = self._answering or isinstance(event.message, N_EVENT_REPORT_RSP)

    def _on_pdu(self, event: Event) -> None:
        # a release must not overtake the response, which is one PDU
        if self._answering and isinstance(event.pdu, P_DATA_TF):
            self._answered.set()


def _action_information(question: Question) -> Dataset:
    """Source: PS3.4 Table J.3-1."""
    dataset = Dataset()
    dataset.TransactionUID = question.transaction_uid
    items = []
    for sop_class_uid, sop_instance_uid in question.instances:
        item = Dataset()
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
        items.append(item)
    dataset.ReferencedSOPSequence = ItemSequence(items)
    return dataset
