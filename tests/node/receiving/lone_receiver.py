"""A receiver in a process of its own, whose memory a test looks at: prints its port, ends with its standard input."""

import sys
from pathlib import Path

import structlog

from config.settings import ReceiverSettings
from node.receiver import Receiver
from storage.database import Database
from storage.files import FileStore
from storage.instances import InstanceRecorder
from tests.node.network.peers import LOOPBACK, NODE, SCANNER_ALLOWED


def main(folder: str, database_url: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    database = Database(database_url)
    receiver = Receiver(
        ReceiverSettings(ae_title=NODE, bind_address=LOOPBACK, port=0, minimum_free_bytes=0),
        SCANNER_ALLOWED,
        files=FileStore(Path(folder) / "files"),
        recorder=InstanceRecorder(database),
        clock=database.now,
    )
    receiver.start()
    sys.stdout.write(f"{receiver.port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    receiver.stop(0.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
