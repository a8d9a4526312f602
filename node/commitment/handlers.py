"""Storage commitment on an association: contexts and roles to negotiate, and what answers N-ACTION / N-EVENT-REPORT.

Bind them to pynetdicom's EVT_N_ACTION and EVT_N_EVENT_REPORT. Success is answered only when the row is committed.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, cast

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_ACTION_RSP
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.events import Event
from pynetdicom.presentation import PresentationContext, build_context

from node.commitment.encoded import decoded
from node.commitment.parsing import (
    PROCESSING_FAILURE,
    PUSH_MODEL,
    Addressed,
    CommitmentRefused,
    CommitmentRequest,
    CommitmentResult,
    OwedResult,
    ToldResult,
    parse_commitment_request,
    parse_commitment_result,
)
from node.commitment.results import SYNTAXES, send_result
from node.errors import SUCCESS, NodeError
from storage.errors import StorageError

log = structlog.get_logger(__name__)

# After its response the peer gets a moment to release; then the result goes over its association, if it still stands.
_REPORT_AFTER_S: Final = 0.5
_RESPONSE_WITHIN_S: Final = 30.0


class CommitmentServices(Protocol):
    """Durable when they return; raise CommitmentRefused or StorageError."""

    def commitment_requested(self, request: CommitmentRequest) -> None: ...

    def commitment_result(self, result: CommitmentResult) -> None: ...

    def commitment_outcome(self, request: CommitmentRequest) -> OwedResult | None:
        """The result that the peer gets over the association of its request; None when it gets it otherwise."""

    def commitment_told(self, told: ToldResult) -> None:
        """What the peer answered to such a result."""


def commitment_context() -> PresentationContext:
    """For the receiver: peers may ask us (as SCU), and archives may bring results (as SCP, PS3.4 J.3.3)."""
    context = build_context(PUSH_MODEL, SYNTAXES)
    context.scu_role = context.scp_role = True
    return context


def handle_n_action(event: Event, services: CommitmentServices) -> tuple[int, Dataset | None]:
    """Answer a peer's question for storage commitment; the result follows by N-EVENT-REPORT."""

    def take() -> None:
        command = cast(N_ACTION, event.request)
        request = parse_commitment_request(
            decoded(command.ActionInformation, event.context.transfer_syntax),
            Addressed(
                sop_class_uid=str(command.RequestedSOPClassUID),
                sop_instance_uid=str(command.RequestedSOPInstanceUID),
                type_id=int(command.ActionTypeID or 0),
            ),
            calling_ae_title=peer_ae_title(event),
            address=event.assoc.requestor.address,
        )
        services.commitment_requested(request)
        _report_here(event.assoc, request, services)

    return _answer(take, event, "commitment_request_refused"), None


def handle_n_event_report(event: Event, services: CommitmentServices) -> tuple[int, Dataset | None]:
    """Answer an archive's result of a storage commitment that we asked for."""

    def take() -> None:
        command = cast(N_EVENT_REPORT, event.request)
        result = parse_commitment_result(
            decoded(command.EventInformation, event.context.transfer_syntax),
            Addressed(
                sop_class_uid=str(command.AffectedSOPClassUID),
                sop_instance_uid=str(command.AffectedSOPInstanceUID),
                type_id=int(command.EventTypeID or 0),
            ),
            calling_ae_title=peer_ae_title(event),
        )
        services.commitment_result(result)

    return _answer(take, event, "commitment_result_refused"), None


def peer_ae_title(event: Event) -> str:
    """Of the other side of the association, whoever opened it."""
    association = event.assoc
    other = association.requestor if association.is_acceptor else association.acceptor
    return str(other.ae_title).strip()


def _report_here(association: Association, request: CommitmentRequest, services: CommitmentServices) -> None:
    """Once the response to the request is on its way, bring the peer its result over the same association.

    In a thread of its own: the association's goes on serving the peer, which may release meanwhile.
    """
    responded = threading.Event()

    def on_sent(event: Event) -> None:
        if isinstance(event.message, N_ACTION_RSP):
            association.unbind(evt.EVT_DIMSE_SENT, on_sent)
            responded.set()

    def report() -> None:
        try:
            if responded.wait(_RESPONSE_WITHIN_S):
                time.sleep(_REPORT_AFTER_S)
                _tell(association, request, services)
        except (NodeError, StorageError) as error:  # the row is there: the supervisor's timer finds it
            log.warning("commitment_not_told_here", ae_title=request.calling_ae_title, reason=str(error))
        except Exception:  # thread boundary
            log.exception("commitment_not_told_here", ae_title=request.calling_ae_title)

    association.bind(evt.EVT_DIMSE_SENT, on_sent)
    threading.Thread(target=report, name="commitment-same-association", daemon=True).start()


def _tell(association: Association, request: CommitmentRequest, services: CommitmentServices) -> None:
    if not association.is_established or (owed := services.commitment_outcome(request)) is None:
        return
    result = CommitmentResult(
        calling_ae_title=request.calling_ae_title,
        transaction_uid=request.transaction_uid,
        committed=owed.committed,
        failed=owed.failed,
    )
    status = send_result(association, result)
    services.commitment_told(
        ToldResult(report_id=owed.report_id, fence=owed.fence, attempt=owed.attempt, status=status)
    )


def _answer(take: Callable[[], None], event: Event, refusal: str) -> int:
    peer = peer_ae_title(event)
    try:
        take()
    except CommitmentRefused as error:
        log.warning(refusal, ae_title=peer, status=f"0x{error.dimse_status:04X}", reason=str(error))
        return error.dimse_status
    except StorageError as error:
        log.error(refusal, ae_title=peer, status=f"0x{PROCESSING_FAILURE:04X}", reason=str(error))  # noqa: TRY400
        return PROCESSING_FAILURE
    except Exception:  # thread boundary: the data set may be anything
        log.exception(refusal, ae_title=peer, status=f"0x{PROCESSING_FAILURE:04X}")
        return PROCESSING_FAILURE
    return SUCCESS
