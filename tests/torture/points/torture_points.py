"""The places in the node's work at which a process can be killed, and how a process finds out that it is at one.

A place is told by what the process does to the world, not by the name of a function: a sync of an instance's file, a
transaction that inserts an instance, the first bytes of a C-STORE response. So the code may be rewritten as long as it
still does these things, and the table is checked by a test that reaches every point.

This file and `sitecustomize.py` beside it are loaded into each process of a node whose PYTHONPATH names this folder.
They do nothing unless TORTURE_FOLDER is set, and strike once for each arming: the harness writes `armed` into that
folder, the process that comes by at the right passage renames it to `struck` and kills itself, or the whole node.
"""

import os
import signal
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "TORTURE_FOLDER"
ARMED: Final = "armed"
STRUCK: Final = "struck"
VICTIM: Final = "victim"  # its process id

# point -> what has just happened, or is about to happen, in the process that dies
POINTS: Final = {
    "after_write": "an instance's bytes are written, not synced",
    "after_sync": "an instance's file is synced",
    "after_rename": "an instance's file has its name, which is not synced",
    "before_commit": "rows of instances are written, their transaction is not committed",
    "after_commit": "rows of instances are committed, nobody is told",
    "before_response": "the C-STORE response is made, not sent",
    "after_response": "the C-STORE response is sent",
    "before_placing": "instances were grouped, the transaction is not committed",
    "while_claiming": "a worker took a case, the transaction is not committed",
    "after_claiming": "the claim of a case is committed",
    "while_running": "the networks are about to read the case",
    "while_building_reports": "a report object has its file, the case knows nothing of it",
    "before_report_commit": "the answer of a case is written, the transaction is not committed",
    "after_report_commit": "the answer of a case is committed",
    "after_delivery_claim": "the sender took deliveries from the outbox",
    "while_sending": "the first part of an object is on its way to the peer",
    "after_peer_success": "the peer has answered success, the outbox is not committed",
    "after_delivery_commit": "the outbox knows that the object was sent",
}

# The command field (0000,0100) of a command set in implicit VR little endian, PS3.7 E.1 and 9.3.1
_C_STORE_REQUEST: Final = b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x00"
_C_STORE_RESPONSE: Final = b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80"
_P_DATA_TF: Final = 0x04
_WITHOUT_A_NAME: Final = " (deleted)"  # proc(5): an open file whose name was removed
_COMMAND_BYTES: Final = 512  # a command set of C-STORE is shorter; what follows are pixels


_rename = os.rename  # before it is watched


class Fuse:
    """Counts passages and kills at the one that is asked for. One per process; safe for many threads."""

    def __init__(self, folder: Path) -> None:
        self._armed = folder / ARMED
        self._struck = folder / STRUCK
        self._victim = folder / VICTIM
        self._lock = threading.Lock()
        self._arming = ""
        self._passages = 0

    def pass_by(self, point: str) -> None:
        """Tell that this process is at `point`. Does not return when the fuse was set for this passage."""
        try:
            arming = self._armed.read_text()
        except OSError:
            return
        wanted, count, scope, _token = arming.split(":")
        if wanted != point:
            return
        with self._lock:
            if arming != self._arming:
                self._arming, self._passages = arming, 0
            self._passages += 1
            if self._passages != int(count):
                return
            with suppress(FileNotFoundError):  # another process was faster
                self._victim.write_text(str(os.getpid()))
                _rename(self._armed, self._struck)
                if scope == "node":
                    os.killpg(0, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)


def file_kind(path: str) -> str | None:
    """ "instance" or "report" when the path is one of the node's files of that kind, temporary or final."""
    if path.removesuffix(_WITHOUT_A_NAME).endswith((".dcm", ".part")):
        for area in ("instances", "reports"):
            if f"/{area}/" in path:
                return area.removesuffix("s")
    return None


def message_kind(sent: bytes) -> str | None:
    """ "request" or "response" when the bytes begin a C-STORE message in a P-DATA-TF PDU (PS3.8 9.3.5)."""
    if not sent or sent[0] != _P_DATA_TF:
        return None
    command = bytes(sent[:_COMMAND_BYTES])
    if _C_STORE_RESPONSE in command:
        return "response"
    return "request" if _C_STORE_REQUEST in command else None


def statement_kind(statement: str, parameters: object) -> str | None:
    """What a statement does to the node's memory, as far as a point is about it."""
    words = " ".join(statement.replace('"', "").split()).upper()
    for beginning, kind in (
        ("INSERT INTO INSTANCE ", "instances"),
        ("COPY INSTANCE ", "instances"),
        ("UPDATE INSTANCE ", "placing"),
        ("INSERT INTO REPORT_OBJECT ", "report"),
    ):
        if words.startswith(beginning):
            return kind
    states = _states(parameters)
    if words.startswith("UPDATE CASE ") and {"ready", "running"} <= states:
        return "claim"
    if words.startswith("UPDATE DELIVERY "):
        if {"pending", "sending"} <= states:
            return "delivery_claim"
        if {"sending", "sent"} <= states:
            return "settlement"
    return None


_STATES: Final = frozenset(
    {"ready", "running", "reported", "failed", "pending", "sending", "sent", "committed", "dead"}
)


def _states(parameters: object) -> frozenset[str]:
    """The states that an update names: the one it writes and the one it expects."""
    values = parameters.values() if isinstance(parameters, dict) else parameters
    if not isinstance(values, Iterable):
        return frozenset()
    return _STATES.intersection(value for value in values if isinstance(value, str))
