"""Loaded by Python itself when it starts, because the harness puts this folder on PYTHONPATH: see torture_points.py."""

import importlib.util
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from torture_points import FOLDER_VARIABLE, Fuse, file_kind, message_kind, statement_kind

_BEFORE_COMMIT = {
    "instances": "before_commit",
    "placing": "before_placing",
    "claim": "while_claiming",
    "report": "before_report_commit",
    "settlement": "after_peer_success",
}
_AFTER_COMMIT = {
    "instances": "after_commit",
    "claim": "after_claiming",
    "report": "after_report_commit",
    "delivery_claim": "after_delivery_claim",
    "settlement": "after_delivery_commit",
}


def _watch_files(fuse: Fuse) -> None:
    real = {name: getattr(os, name) for name in ("fsync", "fdatasync", "rename", "replace", "link")}

    def sync(name: str, descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        is_instance = stat.S_ISREG(os.fstat(number).st_mode) and _kind_of_open_file(number) == "instance"
        if is_instance:
            fuse.pass_by("after_write")
        real[name](descriptor)
        if is_instance:
            fuse.pass_by("after_sync")

    def move(name: str, source: Any, target: Any, **more: Any) -> None:
        real[name](source, target, **more)
        path = os.fsdecode(target)
        # a name inside an open folder (dir_fd) says nothing of its area
        kind = file_kind(path if "dst_dir_fd" not in more else f"{_path_of(more['dst_dir_fd'])}/{path}")
        if kind == "instance":
            fuse.pass_by("after_rename")
        elif kind == "report":
            fuse.pass_by("while_building_reports")

    os.fsync = lambda descriptor: sync("fsync", descriptor)
    os.fdatasync = lambda descriptor: sync("fdatasync", descriptor)
    os.rename = lambda source, target, **more: move("rename", source, target, **more)
    os.link = lambda source, target, **more: move("link", source, target, **more)
    os.replace = lambda source, target, **more: move("replace", source, target, **more)


def _kind_of_open_file(descriptor: int) -> str | None:
    return file_kind(_path_of(descriptor))


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - called for each sync


def _watch_sockets(fuse: Fuse) -> None:
    def wrapped(real: Callable[..., Any], first_bytes: Callable[[Any], bytes]) -> Callable[..., Any]:
        def send(target: Any, content: Any, *more: Any) -> Any:
            kind = message_kind(first_bytes(content))
            if kind == "response":
                fuse.pass_by("before_response")
            sent = real(target, content, *more)
            if kind == "response":
                fuse.pass_by("after_response")
            elif kind == "request":
                fuse.pass_by("while_sending")
            return sent

        return send

    for name in ("send", "sendall"):
        setattr(socket.socket, name, wrapped(getattr(socket.socket, name), _first_of_one))
    socket.socket.sendmsg = wrapped(socket.socket.sendmsg, _first_of_many)  # type: ignore[method-assign]
    os.write = wrapped(os.write, _first_of_one)
    os.writev = wrapped(os.writev, _first_of_many)


def _first_of_one(content: Any) -> bytes:
    return bytes(memoryview(content)[:512])


def _first_of_many(buffers: Sequence[Any]) -> bytes:
    found = b""
    for buffer in buffers:
        found += bytes(memoryview(buffer)[: 512 - len(found)])
        if len(found) == 512:
            break
    return found


def _watch_database(fuse: Fuse, module: ModuleType) -> None:
    """A transaction is known by the statements that its thread has sent since the last end of one."""
    dialect = module.DefaultDialect
    local = threading.local()

    def remember(real: Callable[..., Any]) -> Callable[..., Any]:
        def execute(self: Any, cursor: Any, statement: str, parameters: Any, *more: Any, **options: Any) -> Any:
            one = parameters[0] if isinstance(parameters, list) and parameters else parameters
            if (kind := statement_kind(statement, one)) is not None:
                local.kinds = {*getattr(local, "kinds", ()), kind}
            return real(self, cursor, statement, parameters, *more, **options)

        return execute

    def ended(real: Callable[..., Any], before: dict[str, str], after: dict[str, str]) -> Callable[..., Any]:
        def end(self: Any, connection: Any) -> Any:
            kinds, local.kinds = getattr(local, "kinds", set()), set()
            for kind in sorted(kinds & before.keys()):
                fuse.pass_by(before[kind])
            result = real(self, connection)
            for kind in sorted(kinds & after.keys()):
                fuse.pass_by(after[kind])
            return result

        return end

    dialect.do_execute = remember(dialect.do_execute)
    dialect.do_executemany = remember(dialect.do_executemany)
    dialect.do_commit = ended(dialect.do_commit, _BEFORE_COMMIT, _AFTER_COMMIT)
    dialect.do_rollback = ended(dialect.do_rollback, {}, {})


def _watch_engine(fuse: Fuse, module: ModuleType) -> None:
    real = module.LocalEngine.run

    def run(self: Any, case: Any) -> Any:
        fuse.pass_by("while_running")
        return real(self, case)

    module.LocalEngine.run = run


class _AfterImport:
    """Calls a watcher when its module has been imported; imports nothing by itself."""

    def __init__(self, watchers: dict[str, Callable[[ModuleType], None]]) -> None:
        self._watchers = watchers

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        watcher = self._watchers.pop(name, None)
        if watcher is None:
            return None
        spec = importlib.util.find_spec(name)  # this finder knows the name no more
        if spec is not None and spec.loader is not None:
            real = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                real(module)
                watcher(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _install(folder: Path) -> None:
    fuse = Fuse(folder)
    _watch_files(fuse)
    _watch_sockets(fuse)
    sys.meta_path.insert(
        0,
        _AfterImport(  # type: ignore[arg-type]
            {
                "sqlalchemy.engine.default": lambda module: _watch_database(fuse, module),
                "node.engine": lambda module: _watch_engine(fuse, module),
            }
        ),
    )


if FOLDER_VARIABLE in os.environ:
    _install(Path(os.environ[FOLDER_VARIABLE]))
