"""pynetdicom's association as acceptor, without its two polling threads.

What stays pynetdicom's: negotiation, release and abort, and every service but C-STORE, whose messages go past it.
"""

import threading
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationSocket

from node.receiving.messages import Messages
from node.receiving.upper_layer import AWAITING_CLOSE, DATA_TRANSFER, Peer, UpperLayer


class ReceivingAssociation(Association):
    """An association as acceptor, run by the thread that calls `run_connection`; its own is never started."""

    def __init__(self, entity: AE, peer: Peer) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self._transport = peer.transport
        self.upper_layer = UpperLayer(self, peer)
        self.dul = self.upper_layer
        self._messages = Messages(self)
        self.dimse = self._messages
        self._reporting = threading.Lock()
        self._message_id = 0
        self.acse_timeout = entity.acse_timeout
        self.network_timeout = entity.network_timeout

    def run_connection(self) -> None:
        """Serve the peer until the connection has ended; an interrupt of the transport ends it at once."""
        layer = self.upper_layer
        layer.attach(AssociationSocket(self, client_socket=self._transport.socket))
        while not layer.is_over:
            if self._transport.is_interrupted:
                self._end_now()
            layer.run_events()
            self._serve_user()
            if not layer.run_events() and not layer.is_over and not layer.consume():
                layer.wait()
        self._serve_user()  # of an end that came while something was served

    def send_n_event_report(
        self,
        dataset: Dataset | None,
        event_type: int,
        class_uid: str,
        instance_uid: str,
        msg_id: int | None = None,
        meta_uid: str | None = None,
    ) -> tuple[Dataset, Dataset | None]:
        """As pynetdicom's, from any thread but the connection's; what the peer asks meanwhile is served."""
        with self._reporting:
            self._message_id = msg_id or self._message_id % 0xFFFF + 1
            self._messages.expect(self._message_id)
            return super().send_n_event_report(dataset, event_type, class_uid, instance_uid, self._message_id, meta_uid)

    def kill(self) -> None:
        """pynetdicom's word for: nothing is served any more. What was queued before is still sent."""
        self._messages.give_up()
        self._reactor_checkpoint.set()
        self._kill = True
        self.is_established = False
        self._is_paused = True

    def _abort_blocking(self, block: bool = True) -> None:
        del block  # the thread that would be waited for is our own
        if self._sent_abort or self.is_released:
            return
        self._sent_abort = True
        self.acse.send_abort(0x00)
        evt.trigger(self, evt.EVT_ABORTED, {})
        self.kill()

    def _end_now(self) -> None:
        self._transport.is_interrupted = False
        if self.upper_layer.state == DATA_TRANSFER:
            self._abort_blocking()
        else:
            self.upper_layer.kill_dul()

    def _serve_user(self) -> None:
        """What pynetdicom's reactor does for the user of the association, once."""
        if self._kill:
            if self.upper_layer.state != AWAITING_CLOSE and self.upper_layer.to_provider_queue.empty():
                self.upper_layer.kill_dul()
        elif not self.is_established:
            self._negotiate()
        else:
            self._is_paused = False  # in this order: another thread that wants to send waits until it is set
            if self._reactor_checkpoint.is_set():
                self._serve_messages()
            self._is_paused = True

    def _negotiate(self) -> None:
        primitive = self.dul.receive_pdu(wait=False)
        if primitive is None:
            return
        if not isinstance(primitive, A_ASSOCIATE):  # the peer ended the connection after its request
            self.kill()
            return
        self.requestor.primitive = primitive
        evt.trigger(self, evt.EVT_REQUESTED, {})
        if not self.is_aborted and not self.is_rejected:
            self.acse.negotiate_association()
        if self.is_established:
            self.upper_layer.enlarge_buffer()

    def _serve_messages(self) -> None:
        if self.dimse.msg_queue.queue:
            context_id, message = self.dimse.get_msg(block=False)
            if message is not None:
                self._serve_request(message, cast(int, context_id))
        if not self.dul.to_user_queue.queue:
            return
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            evt.trigger(self, evt.EVT_RELEASED, {})
            self.kill()
        elif self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted = True
            evt.trigger(self, evt.EVT_ABORTED, {})
            self.kill()
