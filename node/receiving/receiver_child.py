"""The supervisor's side of one receiver process: it is kept running, handed connections, and answered."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from config.settings import Settings
from node.child_process import ChildProcess, Program
from node.metrics import Metrics
from node.receiving.channel import Frame, Frames, answer
from node.receiving.hand_over import EndConnection, Ping, StopReceiving, order_sockets, send_order
from node.receiving.incoming import IncomingConnection
from node.receiving.places import PlaceTable
from node.receiving.remote import Call, body_of, new_instance, service_argument
from node.receiving.services import Services
from storage.errors import StorageError
from storage.instances import Done, InstanceRecorder, Outcome

log = structlog.get_logger(__name__)

PROGRAM: Final = Program(
    name="receiver_process",
    command=(sys.executable, "-m", "node.cli", "receiver", "--settings-from-stdin"),
    leaves_within_s=15.0,
    effect_of_kill="its associations are lost; what was not acknowledged is sent again by the senders",
)


PING_EVERY_S: Final = 2.0
# Over 30 s: nothing that a process does between two orders takes so long, however busy the machine is. What is counted
# are pings, not seconds: a supervisor that was itself held up must not kill anybody for it.
UNANSWERED_PINGS_OF_A_HUNG_PROCESS: Final = 15
# A process that misses one ping may only wait for a processor; at two the others take what comes.
_UNANSWERED_PINGS_OF_A_BUSY_PROCESS: Final = 2


@dataclass(frozen=True, slots=True)
class Desk:
    """Who answers the calls of the receiver processes."""

    recorder: InstanceRecorder
    services: Services
    places: PlaceTable
    metrics: Metrics
    threads: Executor  # for calls that wait for the database
    on_ready: Callable[[], None]  # a process can take connections now


class ReceiverChild(ChildProcess):
    """One receiver process, started again when it dies. Safe for many threads."""

    def __init__(self, settings: Settings, desk: Desk) -> None:
        super().__init__(PROGRAM, settings)
        self._desk = desk
        self._link_lock = threading.Lock()
        self._link: _Link | None = None
        self._drain_s = 0.0
        self.aborted_associations = 0  # of the process that was told to leave

    @property
    def load(self) -> int | None:
        """How many connections it has; None: it cannot take any now."""
        with self._link_lock:
            link = self._link
            return None if link is None or not link.takes_connections else len(link.connections)

    def hand_over(self, connection: IncomingConnection) -> bool:
        """Give it a connection, whose socket is closed here then; False when it cannot take it now."""
        with self._link_lock:
            link = self._link
            if link is None or not link.takes_connections or not send_order(link.orders, connection):
                return False
            link.connections.add(connection.number)
        connection.socket.close()
        return True

    def end(self, number: int) -> bool:
        """Close this connection if it has it."""
        with self._link_lock:
            if self._link is None or number not in self._link.connections:
                return False
            return send_order(self._link.orders, EndConnection(number))

    def ping(self) -> None:
        """Ask it for a sign of life. One that has not answered for too long is killed, and started again."""
        with self._link_lock:
            link, process = self._link, self._process
            if link is None or process is None or not link.is_ready or self.is_stopping:
                return
            is_hung = link.unanswered_pings >= UNANSWERED_PINGS_OF_A_HUNG_PROCESS
            link.is_ready = not is_hung
            link.unanswered_pings += 1
            send_order(link.orders, Ping())  # without room for it there will be no answer either
        if is_hung:
            log.error(
                "receiver_process_hung",
                pid=process.pid,
                silent_s=UNANSWERED_PINGS_OF_A_HUNG_PROCESS * PING_EVERY_S,
                effect=PROGRAM.effect_of_kill,
            )
            process.kill()

    def tell_to_leave(self, drain_s: float) -> None:
        """Let its associations end within this time; returns at once. `wait_until_gone` waits for it."""
        self._drain_s = drain_s
        self.tell_to_stop()

    def popen(self, command: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.Popen[str]:
        orders, its_orders = order_sockets()
        channel, its_channel = socket.socketpair()
        with its_orders, its_channel:
            files = (its_orders.fileno(), its_channel.fileno())
            process = subprocess.Popen(  # noqa: S603 - our own command
                (*command, "--orders", str(files[0]), "--channel", str(files[1])),
                stdin=subprocess.PIPE,
                text=True,
                env=environment,
                pass_fds=files,
            )
        link = _Link(orders, Frames(channel))
        with self._link_lock:
            self._link = link
        link.reader = threading.Thread(target=self._answer_all, args=(link,), name="receiver-channel", daemon=True)
        link.reader.start()
        self._desk.metrics.add_to("receiver_processes", 1)
        return process

    def hang_up(self, process: subprocess.Popen[str]) -> None:
        with self._link_lock:
            if self._link is not None:
                send_order(self._link.orders, StopReceiving(self._drain_s))
        super().hang_up(process)

    def ended(self, process: subprocess.Popen[str]) -> None:
        with self._link_lock:
            link, self._link = self._link, None
        if link is None:
            return
        self._desk.metrics.add_to("receiver_processes", -1)
        if not self.is_stopping:
            self._desk.metrics.count("receiver_process_deaths")
        if link.reader is not None:
            link.reader.join()  # what it had said before its end is heard
        link.orders.close()
        link.frames.close()
        for number in link.connections:
            self._desk.places.leave(number)

    def _answer_all(self, link: "_Link") -> None:
        try:
            while frames := link.frames.receive():
                self._answer(frames, link)
        except Exception:  # thread boundary; without its answers the process must not go on
            log.exception("receiver_channel_fault", pid=self.pid)
        link.frames.hang_up()

    def _answer(self, frames: list[Frame], link: "_Link") -> None:
        """Answer all frames that wait; the rows among them are committed together."""
        rows = [frame for frame in frames if frame["call"] == Call.RECORD]
        if rows:
            self._record(rows, link)
        for frame in frames:
            if frame["call"] != Call.RECORD:
                self._answer_one(frame["call"], frame["body"], frame.get("id"), link)

    def _record(self, rows: list[Frame], link: "_Link") -> None:
        now = self._desk.recorder.now()
        waiting = [(new_instance(row["body"], now), _reply(link.frames, row["id"])) for row in rows]
        try:
            self._desk.recorder.submit(waiting)
        except StorageError as error:  # it is closed: the node is stopping
            for _, reply in waiting:
                reply(error)

    def _answer_one(self, call: str, body: Any, number: int | None, link: "_Link") -> None:
        desk = self._desk
        match call:
            case Call.TAKE_PLACE if number is not None:
                refusal = desk.places.take(body)
                link.frames.send_at_once(answer(number, None if refusal is None else refusal.name))
            case Call.LEFT:
                with self._link_lock:
                    link.connections.discard(body)
                desk.places.leave(body)
            case Call.METRICS:
                desk.metrics.add((name, tuple(values), by) for name, values, by in body)
            case Call.READY:
                with self._link_lock:
                    link.is_ready = True
                desk.on_ready()
            case Call.PONG:
                with self._link_lock:
                    was_silent = not link.takes_connections
                    link.unanswered_pings = 0
                if was_silent:
                    desk.on_ready()
            case Call.STOPPED:
                self.aborted_associations = body
            case _ if number is not None:
                desk.threads.submit(self._serve, call, body, number, link)

    def _serve(self, call: str, body: Any, number: int, link: "_Link") -> None:
        result: Exception | dict[str, object] | None = None
        try:
            value = getattr(self._desk.services, call)(service_argument(call, body))
            result = None if value is None else body_of(value)
        except Exception as error:  # noqa: BLE001 - it goes to the process that asked, where it is logged or answered
            result = error
        link.frames.send_at_once(answer(number, result))


@dataclass(slots=True)
class _Link:
    """The two sockets to one process, and what it has."""

    orders: socket.socket
    frames: Frames
    connections: set[int] = field(default_factory=set)
    is_ready: bool = False
    unanswered_pings: int = 0
    reader: threading.Thread | None = None

    @property
    def takes_connections(self) -> bool:
        return self.is_ready and self.unanswered_pings < _UNANSWERED_PINGS_OF_A_BUSY_PROCESS


def _reply(frames: Frames, number: int) -> Done:
    def done(result: Outcome | Exception) -> None:
        frames.send_at_once(answer(number, result))

    return done
