"""Byte streams of real senders: pynetdicom, DCMTK and our own, recorded by a tap before a receiver."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from node.store_scu import store
from tests.node.network.objects import dicom_file, encoded, mr_image
from tests.node.network.peers import NODE, SCANNER, request_association, send_files

_STORESCU: Final = shutil.which("storescu")
_TIMEOUT_S: Final = 30.0
_SMALL_PDU: Final = 4096  # so that data sets come in several fragments


@contextmanager
def tap(port: int, streams: list[bytes]) -> Iterator[int]:
    """A proxy before `port`; gives its own port and appends what each client has sent when it hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(listener, port, streams, threads), daemon=True)
        accepting.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(_TIMEOUT_S)
        for thread in threads:
            thread.join(_TIMEOUT_S)


def _accept(listener: socket.socket, port: int, streams: list[bytes], threads: list[threading.Thread]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:  # shut down
            return
        server = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        client.settimeout(_TIMEOUT_S)
        for target, arguments in ((_copy, (server, client, None)), (_copy, (client, server, streams))):
            thread = threading.Thread(target=target, args=arguments, daemon=True)
            threads.append(thread)
            thread.start()


def _copy(source: socket.socket, target: socket.socket, streams: list[bytes] | None) -> None:
    copied = bytearray()
    try:
        while content := source.recv(1 << 16):
            copied += content
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # either side has gone: what came is recorded
        pass
    if streams is not None:
        streams.append(bytes(copied))


def record(port: int, folder: Path) -> list[bytes]:
    """What several senders say to the receiver on `port`, one stream per association."""
    files = [
        dicom_file(folder / f"{number}.dcm", encoded(mr_image(number, PixelData=b"\1\0" * size)), sop_instance_uid=uid)
        for number, size in enumerate((100, 3000, 9000), start=1)
        if (uid := str(mr_image(number).SOPInstanceUID))
    ]
    senders: list[Callable[[int], object]] = [
        lambda at: send_files(at, files),
        lambda at: _echo(at),
        lambda at: store(
            files, host="127.0.0.1", port=at, called_ae_title=NODE, calling_ae_title=SCANNER, timeout_s=_TIMEOUT_S
        ),
    ]
    if _STORESCU is not None:
        senders += [
            lambda at: _storescu(at, files, []),
            lambda at: _storescu(at, files, ["-pdu", str(_SMALL_PDU), "-xe"]),
        ]
    streams: list[bytes] = []
    with tap(port, streams) as at:
        for send in senders:
            send(at)
    return sorted({stream for stream in streams if stream}, key=lambda stream: (len(stream), stream))


def _echo(port: int) -> None:
    association = request_association(port)
    association.send_c_echo()
    association.release()


def _storescu(port: int, files: list[Path], options: list[str]) -> None:
    assert _STORESCU is not None
    command = [_STORESCU, "-aet", SCANNER, "-aec", NODE, *options, "127.0.0.1", str(port), *map(str, files)]
    subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
