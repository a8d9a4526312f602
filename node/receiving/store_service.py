"""The C-STORE service of one association: each request streamed to the sink, and its answer.

Source: PS3.4 B.2.3 (statuses), PS3.7 9.1.1 (C-STORE).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from pynetdicom.presentation import PresentationContext

from node.errors import SUCCESS, CannotUnderstand, InputRejected, NodeError, dimse_status
from node.instance_sink import AnnouncedObject, InstanceSink, InstanceStream
from node.receiving.command_set import StoreRequest, store_response
from node.receiving.measures import Measures
from node.receiving.visit import Visit
from node.storage_contexts import STORAGE_CLASSES
from storage.errors import StorageError
from storage.new_instance import Outcome

log = structlog.get_logger(__name__)

_CANNOT_NOW: Final = "cannot be kept now; the log of the node says why"


class StoreService:
    """Takes the C-STORE messages of `p_data.PDataPath`. Belongs to one thread."""

    def __init__(
        self, sink: InstanceSink, visit: Visit, measures: Measures, answer: Callable[[int, bytes], None]
    ) -> None:
        """`answer` sends a command set on a presentation context."""
        self._sink = sink
        self._visit = visit
        self._measures = measures
        self._answer = answer
        self.contexts: Mapping[int, PresentationContext] = {}  # the accepted ones by their ID
        self._context_id = 0
        self._request: StoreRequest | None = None
        self._stream: InstanceStream | None = None
        self._error: Exception | None = None

    def begin(self, context_id: int, request: StoreRequest) -> None:
        self._context_id, self._request = context_id, request
        self._error = None
        try:
            self._stream = self._sink.open(self._announced(request))
        except Exception as error:  # noqa: BLE001 - one object must not end the association; `end` logs and answers
            self._fail(error)

    def data(self, fragments: Sequence[memoryview]) -> None:
        """More of the data set; of one that failed already the rest is let go by."""
        if self._stream is None:
            return
        try:
            self._stream.write(fragments)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)

    def end(self) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - for the type checker: begin() came before
        outcome = self._finish()
        if outcome is not None:
            response = store_response(request, SUCCESS)
            self._tell_kept(request, outcome)
        else:
            assert self._error is not None  # noqa: S101 - the same: there is no stream without one
            status = dimse_status(self._error)
            # what is the sender's to mend is told to it; our paths and database are not
            comment = str(self._error) if isinstance(self._error, InputRejected) else _CANNOT_NOW
            response = store_response(request, status, comment)
            self._tell_refused(self._error, status)
        self._request = self._error = None
        self._answer(self._context_id, response)

    def abandon(self) -> None:
        """The association has ended, perhaps within a data set."""
        if self._stream is not None:
            self._stream.discard()
            self._stream = None

    def _finish(self) -> Outcome | None:
        stream = self._stream
        if stream is None:
            return None
        try:
            outcome = stream.finish()
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)
            return None
        self._stream = None
        self._measures.count("received_bytes", stream.byte_count)
        return outcome

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.abandon()

    def _announced(self, request: StoreRequest) -> AnnouncedObject:
        context = self.contexts[self._context_id]
        if context.abstract_syntax not in STORAGE_CLASSES:
            raise CannotUnderstand("the presentation context is not for storage; repair the sender")
        return AnnouncedObject(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            calling_ae_title=self._visit.calling_ae_title,
            negotiated_sop_class_uid=str(context.abstract_syntax),
        )

    def _tell_kept(self, request: StoreRequest, outcome: Outcome) -> None:
        self._visit.answers[outcome.value] += 1
        self._measures.count("instances", outcome=outcome.value)
        if outcome is Outcome.OTHER_CONTENT:
            log.warning(
                "instance_with_other_content",
                **self._visit.log_fields,
                sop_instance_uid=request.sop_instance_uid,
                effect="kept, not analysed: the SOP Instance UID is known with other bytes",
            )

    def _tell_refused(self, error: Exception, status: int) -> None:
        """One log line that says why and what to do."""
        self._visit.answers["refused"] += 1
        self._measures.count("instances", outcome="refused")
        self._measures.count("refused_instances", status=f"0x{status:04X}")
        expected = isinstance(error, NodeError | StorageError)
        fields = {
            **self._visit.log_fields,
            "status": f"0x{status:04X}",
            "transfer_syntax_uid": str(self.contexts[self._context_id].transfer_syntax[0]),
            "reason": str(error) if expected else f"unexpected {type(error).__name__}",
        }
        if isinstance(error, InputRejected):
            log.warning("instance_refused", **fields)
        elif expected:
            log.error("instance_not_kept", **fields)
        else:
            log.error("instance_not_kept", **fields, exc_info=error)
