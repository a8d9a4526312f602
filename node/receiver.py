"""The node's own DICOM address: ports, limits, and the receivers behind them.

Success is answered only after an object's bytes are synced and its row is committed. `ReceiverPool` is what the
service runs: several receiver processes behind one acceptor. `Receiver` serves in this process (tests, the demo).
What happens on a connection is in `node.receiving.connection`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from config.settings import CallerSettings, ReceiverSettings, Settings
from node.admission import Admission
from node.errors import NodeError
from node.instance_sink import InstanceSink
from node.metrics import Metrics
from node.receiving.acceptor import Acceptor, Destination, Listener, listen
from node.receiving.connection import ConnectionServer
from node.receiving.disk_room import DiskRoom
from node.receiving.incoming import IncomingConnection
from node.receiving.places import PlaceTable
from node.receiving.receiver_child import PING_EVERY_S, Desk, ReceiverChild
from node.receiving.services import Services
from node.receiving.watchdog import Watchdog
from node.tls import ReloadingContext, server_context
from storage.files import FileStore
from storage.instances import InstanceRecorder
from storage.new_instance import Recorder

log = structlog.get_logger(__name__)

# After its drain time a process aborts what is left; a sync on a dying disk may hold it.
_LEAVE_GRACE_S: Final = 8.0
_SERVICE_THREADS: Final = 4  # storage commitment of several peers at a time


class _Ports:
    """The listening sockets and their acceptor, with the table of places."""

    def __init__(self, settings: ReceiverSettings, *, files: FileStore, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        room = DiskRoom(files.free_bytes, settings.minimum_free_bytes, metrics=metrics)
        self.places = PlaceTable(settings, room=room, metrics=metrics)
        self._listeners: list[Listener] = []
        self._acceptor: Acceptor | None = None

    def open(self, destination: Destination) -> None:
        """Bind every port, then accept. Raises NodeError when one cannot be had; then none is open."""
        settings = self._settings
        with ExitStack() as undo:
            undo.callback(self._close_listeners)
            if settings.plain:
                self._listeners.append(listen(settings.bind_address, settings.port, is_tls=False))
            if settings.tls is not None:
                self._listeners.append(listen(settings.bind_address, settings.tls.port, is_tls=True))
            undo.pop_all()
        self._acceptor = Acceptor(
            self._listeners,
            destination,
            places=self.places,
            silence_s=settings.acse_timeout_s,
            metrics=self._metrics,
        )
        self._acceptor.start()

    def port(self, *, is_tls: bool) -> int | None:
        return next((listener.port for listener in self._listeners if listener.is_tls is is_tls), None)

    def wake(self) -> None:
        if self._acceptor is not None:
            self._acceptor.wake()

    def close(self) -> None:
        """Accept nothing more, and give no place to those who ask for an association now."""
        self.places.close()
        if self._acceptor is not None:
            self._acceptor.stop()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.socket.close()


class _Front:
    """What a receiver in this process and one of several processes have in common."""

    def __init__(self) -> None:
        self._ports: _Ports | None = None

    @property
    def port(self) -> int:
        """The plain port it listens on, also when the settings say 0 (any free one); 0 when only TLS listens."""
        return self._opened().port(is_tls=False) or 0

    @property
    def tls_port(self) -> int | None:
        """The TLS port it listens on; None without."""
        return self._opened().port(is_tls=True)

    def _opened(self) -> _Ports:
        if self._ports is None:
            raise NodeError("the receiver is not started; call start() first")
        return self._ports

    def _announce(self, settings: ReceiverSettings, callers: Sequence[CallerSettings], processes: int) -> None:
        log.info(
            "receiver_started",
            ae_title=settings.ae_title,
            address=settings.bind_address,
            port=self.port,
            tls_port=self.tls_port,
            processes=processes,
        )
        if not callers:
            log.warning(
                "no_callers_allowed",
                effect="every association is refused",
                remedy="add a [[callers]] table with ae_title and addresses for each peer",
            )


class Receiver(_Front):
    """Listens for associations from the callers on the allow-list and keeps what they store, in this process."""

    def __init__(
        self,
        settings: ReceiverSettings,
        callers: Sequence[CallerSettings],
        *,
        files: FileStore,
        recorder: Recorder,
        clock: Callable[[], datetime],
        services: Services | None = None,
    ) -> None:
        """`services` None: no storage commitment is offered, and no refused object kept."""
        super().__init__()
        self._settings = settings
        self._callers = tuple(callers)
        self._files = files
        self._sink = InstanceSink(
            files,
            recorder,
            clock=clock,
            settings=settings,
            quarantined=None if services is None else services.quarantined,
        )
        self._services = services
        self.metrics = Metrics()
        self._server: ConnectionServer | None = None

    def start(self) -> None:
        """Bind and serve in threads of its own. Raises NodeError when a port or a TLS file cannot be had."""
        settings = self._settings
        ports = _Ports(settings, files=self._files, metrics=self.metrics)
        server = ConnectionServer(
            settings,
            Admission(settings.ae_title, self._callers, ports.places),
            self._sink,
            self._services,
            tls=None if settings.tls is None else ReloadingContext(settings.tls, self.metrics),
            metrics=self.metrics,
        )

        def serve(connection: IncomingConnection) -> bool:
            # its place is taken when it is admitted: `Admission` asks the table
            server.serve(connection, on_associated=lambda: None, on_end=lambda: ports.places.leave(connection.number))
            return True

        ports.open(Destination(hand_over=serve, end=server.end))
        self._ports, self._server = ports, server
        self._announce(settings, self._callers, processes=1)

    def stop(self, drain_s: float) -> None:
        """Take no new associations, let running ones end within `drain_s` seconds, then abort them."""
        if self._ports is None or self._server is None:
            return
        ports, self._ports = self._ports, None
        server, self._server = self._server, None
        ports.close()
        log.info("receiver_stopped", aborted_associations=server.stop(drain_s))


@dataclass(frozen=True, slots=True)
class _Launched:
    """What runs from the launch of the processes to their end."""

    ports: _Ports
    threads: ThreadPoolExecutor
    watchdog: Watchdog


class ReceiverPool(_Front):
    """The same behind `receiver.processes` processes of its own; rows are committed here, for all together."""

    def __init__(
        self,
        settings: Settings,
        *,
        files: FileStore,
        recorder: InstanceRecorder,
        services: Services,
        metrics: Metrics | None = None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._files = files
        self._recorder = recorder
        self._services = services
        self.metrics = metrics if metrics is not None else Metrics()
        self._children: list[ReceiverChild] = []
        self._launched: _Launched | None = None
        self._readiness = threading.Condition()

    @property
    def pids(self) -> list[int]:
        """Of the receiver processes that live."""
        return [pid for child in self._children if (pid := child.pid) is not None]

    @property
    def ready_pids(self) -> list[int]:
        """Of those that take connections."""
        return [pid for child in self._children if child.load is not None and (pid := child.pid) is not None]

    @property
    def loads(self) -> list[int]:
        """How many connections each of those has."""
        return [load for child in self._children if (load := child.load) is not None]

    def launch(self) -> None:
        """Start the processes, which need a moment until they can serve; no port is open yet.

        Raises NodeError when a TLS file cannot be used; then nothing was started.
        """
        part = self._settings.receiver
        if part.tls is not None:
            server_context(part.tls)  # its processes load it themselves; a fault must stop the start, here
        ports = _Ports(part, files=self._files, metrics=self.metrics)
        threads = ThreadPoolExecutor(_SERVICE_THREADS, thread_name_prefix="receiver-service")
        desk = Desk(self._recorder, self._services, ports.places, self.metrics, threads, partial(self._on_ready, ports))
        self._children = [ReceiverChild(self._settings, desk) for _ in range(part.processes)]
        self._launched = _Launched(ports, threads, Watchdog(self._children, every_s=PING_EVERY_S))
        for child in self._children:
            child.start()
        self._launched.watchdog.start()

    def start(self) -> None:
        """Bind; connections wait for the first process that is ready. Launches them if that is still to be done.

        Raises NodeError when a port or a TLS file cannot be had; then nothing runs.
        """
        if self._launched is None:
            self.launch()
        assert self._launched is not None  # noqa: S101 - for the type checker
        try:
            self._launched.ports.open(Destination(hand_over=self._hand_over, end=self._end))
        except BaseException:
            self.stop(drain_s=0.0)
            raise
        self._ports = self._launched.ports
        self._announce(self._settings.receiver, self._settings.callers, processes=len(self._children))

    def wait_until_ready(self, within_s: float) -> None:
        """Return when every process can serve, or at least one when the time is over; else raises NodeError."""
        deadline = time.monotonic() + within_s
        with self._readiness:
            self._readiness.wait_for(
                lambda: len(self.ready_pids) == len(self._children), max(0.0, deadline - time.monotonic())
            )
        if not self.ready_pids:
            raise NodeError(
                f"no receiver process could serve within {within_s:g} s; their log lines above say why "
                "(receiver_process_died), or the machine is too busy"
            )

    def stop(self, drain_s: float) -> None:
        """Take no new associations, let running ones end within `drain_s` seconds, then abort them."""
        if self._launched is None:
            return
        launched, self._launched = self._launched, None
        self._ports = None
        launched.ports.close()
        launched.watchdog.stop()
        for child in self._children:
            child.tell_to_leave(drain_s)
        for child in self._children:
            child.wait_until_gone(drain_s + _LEAVE_GRACE_S)
        launched.threads.shutdown()
        log.info("receiver_stopped", aborted_associations=sum(child.aborted_associations for child in self._children))

    def _on_ready(self, ports: _Ports) -> None:
        with self._readiness:
            self._readiness.notify_all()
        ports.wake()

    def _hand_over(self, connection: IncomingConnection) -> bool:
        """To the process with the fewest connections; to the next one when that does not take it."""
        loads = [(load, index) for index, child in enumerate(self._children) if (load := child.load) is not None]
        return any(self._children[index].hand_over(connection) for _, index in sorted(loads))

    def _end(self, number: int) -> None:
        any(child.end(number) for child in self._children)
