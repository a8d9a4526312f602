"""A program that runs a receiver pool and prints its port and the pids of its processes; killed by a test."""

import sys
import threading
from pathlib import Path

from node.logs import configure_logging
from tests.node.receiving.pools import receiving_pool

if __name__ == "__main__":
    configure_logging()
    with receiving_pool(Path(sys.argv[1]), sys.argv[2]) as node:
        sys.stdout.write(f"{node.port} {' '.join(map(str, node.receiver.pids))}\n")
        sys.stdout.flush()
        threading.Event().wait()
