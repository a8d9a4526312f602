"""A receiver process: takes accepted sockets, serves their associations, writes the files; imports no database.

It lives and dies with its supervisor: when either socket to it ends, nothing that was received could be recorded any
more, so the process ends at once. What was not acknowledged is sent again by its sender.
"""

import os
import signal
import socket
import threading
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog

from config.settings import Settings
from node.admission import Admission
from node.instance_sink import InstanceSink
from node.metrics import RelayedMetrics
from node.receiving.channel import ChannelClient
from node.receiving.connection import ConnectionServer
from node.receiving.hand_over import EndConnection, LostConnection, Ping, receive_order
from node.receiving.incoming import IncomingConnection
from node.receiving.remote import Call, RemotePlaces, RemoteRecorder, RemoteServices
from node.tls import ReloadingContext
from storage.files import FileStore

log = structlog.get_logger(__name__)

_METRICS_EVERY_S: Final = 1.0


def run_receiver(settings: Settings, *, orders: socket.socket, channel: socket.socket) -> int:
    """Serve connections until the supervisor says stop. Returns the exit status."""
    # a signal to the whole group (Ctrl-C, systemd's stop) reaches the supervisor too, and it decides
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    client = ChannelClient(channel, on_closed=partial(os._exit, 0))
    metrics = RelayedMetrics()
    server = _connection_server(settings, client, metrics)
    client.start()
    threading.Thread(target=_send_metrics, args=(client, metrics), name="metrics", daemon=True).start()
    client.tell(Call.READY, None)
    drain_s = _obey(orders, server, client)
    aborted = server.stop(drain_s)
    client.tell(Call.METRICS, metrics.take())
    client.tell(Call.STOPPED, aborted)
    return 0


def _connection_server(settings: Settings, client: ChannelClient, metrics: RelayedMetrics) -> ConnectionServer:
    part, services = settings.receiver, RemoteServices(client)
    sink = InstanceSink(
        FileStore(settings.storage.data_dir),
        RemoteRecorder(client),
        clock=partial(datetime.now, UTC),
        settings=part,
        quarantined=services.quarantined,
    )
    return ConnectionServer(
        part,
        Admission(part.ae_title, settings.callers, RemotePlaces(client)),
        sink,
        services,
        tls=None if part.tls is None else ReloadingContext(part.tls, metrics),
        metrics=metrics,
    )


def _obey(orders: socket.socket, server: ConnectionServer, client: ChannelClient) -> float:
    """Carry out orders until the one to stop; returns how long associations may still run."""
    while (order := receive_order(orders)) is not None:
        match order:
            case IncomingConnection():
                _serve(order, server, client)
            case EndConnection(number):
                server.end(number)
            case Ping():
                client.tell(Call.PONG, None)
            case LostConnection(number):
                log.error("connection_lost", remedy="raise the limit of open files (ulimit -n, LimitNOFILE)")
                client.tell(Call.LEFT, number)
            case _:
                return order.drain_s
    os._exit(0)  # the supervisor is gone


def _serve(connection: IncomingConnection, server: ConnectionServer, client: ChannelClient) -> None:
    left = partial(client.tell, Call.LEFT, connection.number)
    try:
        # its place was taken when it was admitted: `Admission` asks the supervisor
        server.serve(connection, on_associated=_nothing, on_end=left)
    except Exception:  # one connection's fault must not end those of the others
        log.exception("connection_not_served", address=connection.address)
        connection.socket.close()
        left()


def _send_metrics(client: ChannelClient, metrics: RelayedMetrics) -> None:
    pause = threading.Event()
    while not pause.wait(_METRICS_EVERY_S):
        if increments := metrics.take():
            client.tell(Call.METRICS, increments)


def _nothing() -> None:
    return None
