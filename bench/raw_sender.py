"""The one sender of every benchmark of receiving: it replays preloaded PDUs and waits for each answer.

One process per association, TCP_NODELAY, one C-STORE at a time (PS3.7 9.1.1). All processes start together; each sends
its share, or what it can until the time is over, and waits for its last answer: slow servers get fewer instances.
Only identifiers and the message ID change from message to message: same length, written over the preloaded bytes.
"""

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, build_context

from bench.instances import Identifiers
from bench.messages import CONTEXT_ID, ELEMENT, P_DATA, PDU_HEADER, PDV_HEADER, SHORT, Message, Payload

AE_TITLE = "BENCH"
LARGEST_PDU = 131072  # the most that DCMTK can receive; PDUs to a peer that takes any length have this one
TIMEOUT_S = 30.0
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_IMPLEMENTATION = "2.25.244999860765877843914999801249091140188"

# PS3.8 9.3: types of PDU
_ASSOCIATE_AC, _RELEASE_RP = 0x02, 0x06
_RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
_C_STORE_RSP = 0x8001  # PS3.7 E.1


class SendingFailed(Exception):
    """An association was refused or lost, or an instance was not stored."""


@dataclass(frozen=True, slots=True)
class SentBy:
    """What one association sent: the numbers 0 to `acknowledged` - 1 of its run."""

    acknowledged: int
    began: float  # monotonic clock, the same for all processes
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """All associations of one run. `run` and the counts name every acknowledged instance."""

    run: int
    acknowledged: tuple[int, ...]  # by association
    seconds: float  # from the common start to the last answer

    @property
    def total(self) -> int:
        return sum(self.acknowledged)

    @property
    def instances_per_s(self) -> float:
        return self.total / self.seconds

    def sop_instance_uids(self) -> set[str]:
        return {
            Identifiers.numbered(self.run, association, number).sop_instance_uid
            for association, count in enumerate(self.acknowledged)
            for number in range(count)
        }


class RawAssociation:
    """One association as requestor; opened on construction. Raises SendingFailed, OSError."""

    def __init__(self, port: int, called_ae_title: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(association_request(called_ae_title))
        kind, body = self._read_pdu()
        if kind != _ASSOCIATE_AC:
            raise SendingFailed(f"the association was answered by a PDU of type {kind:#04x}")
        accepted = A_ASSOCIATE_AC()
        accepted.decode(PDU_HEADER.pack(kind, len(body)) + body)
        answer = accepted.to_primitive()
        (context,) = answer.presentation_context_definition_results_list
        if context.result != 0:
            raise SendingFailed(f"MR Image Storage, explicit VR little endian, was refused ({context.result})")
        self.maximum_pdu = min(answer.maximum_length_received or LARGEST_PDU, LARGEST_PDU)

    def store(self, message: bytearray, message_id: int) -> None:
        self._socket.sendall(message)
        kind, body = self._read_pdu()
        if kind != P_DATA:
            raise SendingFailed(f"the request was answered by a PDU of type {kind:#04x}")
        command = dict(_command_elements(body[PDV_HEADER.size :]))
        answered = command.get(0x0100), command.get(0x0120), command.get(0x0900)
        if answered != (_C_STORE_RSP, message_id, 0):
            raise SendingFailed(f"command, message ID, status were answered {answered}, awaited success {message_id}")

    def release(self) -> None:
        self._socket.sendall(_RELEASE_RQ)
        kind, _ = self._read_pdu()
        if kind != _RELEASE_RP:
            raise SendingFailed(f"the release was answered by a PDU of type {kind:#04x}")

    def close(self) -> None:
        self._socket.close()

    def _read_pdu(self) -> tuple[int, bytes]:
        kind, length = PDU_HEADER.unpack(self._read(PDU_HEADER.size))
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        received = self._socket.recv(length)
        while len(received) < length:
            more = self._socket.recv(length - len(received))
            if not more:
                raise SendingFailed("the peer closed the connection")
            received += more
        return received


def association_request(called_ae_title: str) -> bytes:
    """An A-ASSOCIATE-RQ PDU for MR Image Storage."""
    primitive, context = _association_primitive(called_ae_title)
    primitive.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def association_acceptance(called_ae_title: str) -> bytes:
    """The A-ASSOCIATE-AC PDU that accepts what `association_request` asks for."""
    primitive, context = _association_primitive(called_ae_title)
    context.result = 0
    primitive.presentation_context_definition_results_list = [context]
    primitive.result = 0
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    return bytes(pdu.encode())


def _association_primitive(called_ae_title: str) -> tuple[A_ASSOCIATE, PresentationContext]:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = _APPLICATION_CONTEXT
    primitive.calling_ae_title, primitive.called_ae_title = AE_TITLE, called_ae_title
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = LARGEST_PDU
    implementation.implementation_class_uid = _IMPLEMENTATION
    primitive.user_information = [length, implementation]
    context = build_context(MRImageStorage, ExplicitVRLittleEndian)
    context.context_id = CONTEXT_ID
    return primitive, context


def _command_elements(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Element number and value of each number (US) of a command set."""
    at = 0
    while at + ELEMENT.size <= len(encoded):
        _, element, length = ELEMENT.unpack_from(encoded, at)
        at += ELEMENT.size
        if length == SHORT.size:
            yield element, SHORT.unpack_from(encoded, at)[0]
        at += length


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    port: int
    ae_title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is sent in one run: `instances` shared out evenly, or fewer where `duration_s` is over before."""

    associations: int
    instances: int
    duration_s: float

    @property
    def share(self) -> int:
        return max(1, self.instances // self.associations)


def send_burst(
    payload: Payload,
    target: Target,
    load: Load,
    *,
    run: int,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> Burst:
    """Send new instances over all associations at once.

    `before` is called when all are associated and nothing is sent, `after` when all is answered and nobody has
    released. Raises SendingFailed unless every instance was answered with success.
    """
    associations = load.associations
    fork = multiprocessing.get_context("fork")  # the encoded images are shared, not copied
    payload.templates(LARGEST_PDU)
    barrier = fork.Barrier(associations + 1)
    pipes = [fork.Pipe(duplex=False) for _ in range(associations)]
    processes = [
        fork.Process(target=_send, args=(payload, target, load, run, number, barrier, writing), daemon=True)
        for number, (_, writing) in enumerate(pipes)
    ]
    for process, (_, writing) in zip(processes, pipes, strict=True):
        process.start()
        writing.close()
    reading = [pipe for pipe, _ in pipes]
    try:
        _gather(reading)  # all are associated
        before()
        barrier.wait(TIMEOUT_S)
        sent: list[SentBy] = _gather(reading)
        after()
        barrier.wait(TIMEOUT_S)
        _gather(reading)  # all have released
    finally:
        barrier.abort()
        for process in processes:
            process.join(TIMEOUT_S)
    seconds = max(one.ended for one in sent) - min(one.began for one in sent)
    return Burst(run=run, acknowledged=tuple(one.acknowledged for one in sent), seconds=seconds)


def _gather(pipes: Sequence[Connection]) -> list[Any]:
    """One message of each sender. Raises SendingFailed with the first fault that one reports."""
    answers = []
    for pipe in pipes:
        try:
            answer = pipe.recv()
        except EOFError:
            answer = "a sender ended without a word"
        if isinstance(answer, str):
            raise SendingFailed(answer)
        answers.append(answer)
    return answers


def _send(
    payload: Payload,
    target: Target,
    load: Load,
    run: int,
    association_number: int,
    barrier: Barrier,
    report: Connection,
) -> None:
    """The life of one sender process. Its report is None twice around a SentBy, or the text of a fault."""
    try:
        with closing(RawAssociation(target.port, target.ae_title)) as association:
            messages = [Message(template) for template in payload.templates(association.maximum_pdu)]
            report.send(None)
            barrier.wait()
            report.send(_store_share(association, messages, load, run, association_number))
            barrier.wait()
            association.release()
            report.send(None)
    except Exception as error:  # noqa: BLE001 - process boundary: told to the parent, which raises
        report.send(f"association {association_number} of run {run}: {type(error).__name__}: {error}")


def _store_share(
    association: RawAssociation, messages: Sequence[Message], load: Load, run: int, association_number: int
) -> SentBy:
    began = now = time.monotonic()
    number = 0
    while number < load.share and now - began < load.duration_s:
        message_id = number % 0xFFFF + 1
        identifiers = Identifiers.numbered(run, association_number, number)
        association.store(messages[number % len(messages)].become(identifiers, message_id), message_id)
        number += 1
        now = time.monotonic()
    return SentBy(acknowledged=number, began=began, ended=now)
