"""The P-DATA path: from the content of P-DATA-TF PDUs to C-STORE messages, without a copy of the data sets.

PDV headers are read where they lie. When the command set of a message is whole and is a C-STORE-RQ, the fragments of
its data set go to the store service as slices of the receive buffer; every other message goes to pynetdicom, its PDVs
untouched. Knows no socket.
Source: PS3.8 9.3.5 and annex E, PS3.7 6.3.1.
"""

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol

from node.receiving.command_set import StoreRequest, parse_store_request
from node.receiving.pdu import COMMAND, LAST, PDV_CONTROL_BYTES, PDV_HEADER, InvalidPdu

# A command set has a dozen elements of at most 64 bytes.
_LONGEST_COMMAND_SET: Final = 1 << 16
# pynetdicom holds the data sets of other messages in memory. The longest one, a question for storage commitment of
# 20,000 instances, takes 4 MB.
_LONGEST_OTHER_MESSAGE: Final = 1 << 24
# What a fragment takes in memory besides its bytes (measured: 146); without it empty ones would count nothing.
_FRAGMENT_BYTES: Final = 160

Pdv = tuple[int, bytes]  # presentation context, message control header and fragment


class StoreMessages(Protocol):
    """Who takes C-STORE messages. Its methods raise nothing: whatever goes wrong becomes the status of the answer."""

    def begin(self, context_id: int, request: StoreRequest) -> None: ...

    def data(self, fragments: Sequence[memoryview]) -> None:
        """More of the data set; the slices are valid until this returns."""

    def end(self) -> None:
        """The data set is whole: keep it and answer."""


class OtherMessages(Protocol):
    """Who takes all other messages."""

    def take(self, pdvs: Sequence[Pdv]) -> bool:
        """Take PDVs of one message; returns whether the message is unfinished."""


class _At(Enum):
    START = "between two messages"
    COMMAND = "within a command set"
    STORE = "within the data set of a C-STORE-RQ"
    OTHER = "within a message of pynetdicom's"


class PDataPath:
    """The messages of one association. Belongs to one thread."""

    def __init__(self, *, is_accepted: Callable[[int], bool], stores: StoreMessages, others: OtherMessages) -> None:
        self._is_accepted = is_accepted
        self._stores = stores
        self._others = others
        self._at = _At.START
        self._pdu_left = 0  # bytes of the PDU's content that are still to come
        self._pdv_left = 0  # the same of the fragment
        self._within_pdv = False
        self._context_id = 0  # of the message
        self._control = 0  # of the fragment
        self._fragment = bytearray()  # of a message that is not streamed
        self._command_pdvs: list[Pdv] = []
        self._kept_bytes = 0  # of this message in memory, ours or pynetdicom's
        self._streamed: list[memoryview] = []  # slices of what is being consumed

    @property
    def is_within_pdu(self) -> bool:
        return self._pdu_left > 0

    @property
    def is_within_message(self) -> bool:
        return self._at is not _At.START

    def begin_pdu(self, length: int) -> None:
        """A P-DATA-TF PDU begins whose content has `length` bytes."""
        self._pdu_left = length

    def consume(self, received: memoryview) -> int:
        """Take what came of the PDU's content and return how many bytes that were.

        What is left begins with an incomplete PDV header, or belongs to the next PDU, or waits until pynetdicom has
        answered a message. Slices of `received` are kept until `flush`. Raises InvalidPdu.
        """
        at, end = 0, len(received)
        must_wait = False
        while self._pdu_left and not must_wait:
            if not self._within_pdv:
                if not self._begin_pdv(received[at : at + PDV_HEADER.size]):
                    break
                at += PDV_HEADER.size
            fragment = received[at : min(at + self._pdv_left, end)]
            at += len(fragment)
            self._pdv_left -= len(fragment)
            self._pdu_left -= len(fragment)
            if self._at is _At.STORE:
                if fragment:
                    self._streamed.append(fragment)
            else:
                self._keep(fragment)
            if self._pdv_left:
                break
            self._within_pdv = False
            must_wait = self._end_fragment()
        return at

    def _begin_pdv(self, header: memoryview) -> bool:
        """Read the header of the next PDV; False when it is not whole."""
        if self._pdu_left < PDV_HEADER.size:
            raise InvalidPdu("a PDU ends within the header of a PDV")
        if len(header) < PDV_HEADER.size:
            return False
        length, context_id, control = PDV_HEADER.unpack(header)
        self._pdu_left -= PDV_HEADER.size
        self._pdv_left = length - PDV_CONTROL_BYTES
        if not 0 <= self._pdv_left <= self._pdu_left:
            raise InvalidPdu("the length of a PDV does not fit into its PDU")
        if not self._is_accepted(context_id):
            raise InvalidPdu("a PDV on a presentation context that was not accepted")
        if self._at is _At.START:
            self._context_id = context_id
            self._kept_bytes = 0
            self._at = _At.COMMAND if control & COMMAND else _At.OTHER
        elif context_id != self._context_id:
            raise InvalidPdu("a PDV of another presentation context within a message")
        elif self._at is _At.STORE and control & COMMAND:
            raise InvalidPdu("a command within the data set of a C-STORE request")
        self._control = control
        self._kept_bytes += _FRAGMENT_BYTES
        self._within_pdv = True
        return True

    def flush(self) -> None:
        """Pass on what was gathered of a data set; before the received bytes are written over."""
        if self._streamed:
            self._stores.data(self._streamed)
            self._streamed = []

    def _keep(self, fragment: memoryview) -> None:
        self._kept_bytes += len(fragment)
        if self._kept_bytes > (_LONGEST_COMMAND_SET if self._at is _At.COMMAND else _LONGEST_OTHER_MESSAGE):
            raise InvalidPdu(f"a message that is too long {self._at.value}")
        self._fragment += fragment

    def _end_fragment(self) -> bool:
        """A fragment is whole; returns whether pynetdicom has a message to answer first."""
        if self._at is _At.STORE:
            if self._control & LAST:
                self.flush()
                self._at = _At.START
                self._stores.end()
            return False
        pdv = self._context_id, bytes((self._control,)) + self._fragment
        self._fragment = bytearray()
        if self._at is _At.OTHER:
            return self._hand_over([pdv])
        self._command_pdvs.append(pdv)
        if not self._control & COMMAND:  # data in the midst of a command set: pynetdicom may judge
            return self._hand_over(self._command_pdvs)
        return bool(self._control & LAST) and self._end_command_set()

    def _end_command_set(self) -> bool:
        request = parse_store_request(b"".join(fragment[1:] for _, fragment in self._command_pdvs))
        if request is None:
            return self._hand_over(self._command_pdvs)
        self._command_pdvs = []
        self._stores.begin(self._context_id, request)
        self._at = _At.STORE if request.has_data_set else _At.START
        if not request.has_data_set:
            self._stores.end()
        return False

    def _hand_over(self, pdvs: Sequence[Pdv]) -> bool:
        self._command_pdvs = []
        unfinished = self._others.take(pdvs)
        self._at = _At.OTHER if unfinished else _At.START
        return not unfinished
