"""`spinenode send`: files to any Storage SCP, for instance to the node itself."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from node.commands.surroundings import quiet_logs

if TYPE_CHECKING:
    from node.store_scu import StoreResult

_PREAMBLE_BYTES: Final = 128  # PS3.10 7.1: then come the four characters DICM
_REASONS_SHOWN: Final = 10
_LONGEST_TIMEOUT_S: Final = 86_400.0  # as of a destination in the settings


def register(app: typer.Typer) -> None:
    app.command()(send)


def send(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM files, and folders of them.")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="The peer's address.")],
    called: Annotated[str, typer.Option("--called", metavar="AE", help="The peer's AE title.")],
    calling: Annotated[str, typer.Option("--calling", metavar="AE", help="Our own AE title.")] = "SPINENODE_SEND",
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout", min=0.1, max=_LONGEST_TIMEOUT_S, metavar="SECONDS", help="For connecting, and for each answer."
        ),
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON entry per file.")] = False,
) -> None:
    """Send DICOM files by C-STORE. Fails when the peer does not hold all of them afterwards.

    In a folder, files that are no DICOM files are passed over.
    """
    quiet_logs()
    from node.store_scu import StoreOutcome, store

    host, port = _address(to)
    called, calling = _ae_title(called, "--called"), _ae_title(calling, "--calling")
    if math.isnan(timeout_s):  # neither below nor above any limit
        raise typer.BadParameter(f"{timeout_s} is no number of seconds", param_hint="--timeout")
    files = _files(paths)
    with _Progress(len(files), shown=not as_json) as progress:
        results = store(
            files,
            host=host,
            port=port,
            called_ae_title=called,
            calling_ae_title=calling,
            timeout_s=timeout_s,
            progress=progress.report,
        )
    held = [one for one in results if one.outcome in (StoreOutcome.SENT, StoreOutcome.SENT_WITH_WARNING)]
    _tell(results, held, as_json=as_json)
    if len(held) < len(results):
        raise typer.Exit(1)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    # not isdigit: it takes superscripts, which int() refuses; and other scripts' digits are no port numbers here
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise typer.BadParameter(f"{text!r} is no HOST:PORT, for instance 10.1.2.3:11112", param_hint="--to")
    return host.strip("[]"), int(port)  # [::1]:104


def _ae_title(text: str, option: str) -> str:
    from config.settings import check_ae_title

    try:
        return check_ae_title(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}", param_hint=option) from None


def _files(paths: Sequence[Path]) -> list[Path]:
    """The named files, and the DICOM files below the named folders, each once."""
    from node.errors import NodeError

    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(one for one in sorted(path.rglob("*")) if _is_dicom_object(one))
        elif path.is_file():
            found[path] = None
        else:
            raise NodeError(f"{path} is no file and no folder")
    if not found:
        raise NodeError(f"no DICOM file in {', '.join(str(path) for path in paths)}")
    return list(found)


def _is_dicom_object(path: Path) -> bool:
    """Whether it begins as a Part 10 file and is no directory of a medium, which is no object to store."""
    if not path.is_file() or path.name == "DICOMDIR":
        return False
    with path.open("rb") as file:
        return file.read(_PREAMBLE_BYTES + 4)[_PREAMBLE_BYTES:] == b"DICM"


def _tell(results: Sequence["StoreResult"], held: Sequence["StoreResult"], *, as_json: bool) -> None:
    from node.commands.output import show_json, show_text

    if as_json:
        show_json(
            [
                {
                    "path": str(one.path),
                    "outcome": one.outcome.value,
                    "status": None if one.status is None else f"0x{one.status:04X}",
                    "reason": one.reason,
                }
                for one in results
            ]
        )
        return
    show_text(f"sent {len(held)} of {len(results)} files")
    failed = [one for one in results if one not in held]
    for one in failed[:_REASONS_SHOWN]:
        show_text(f"{one.path}: {one.outcome.value}: {one.reason}")
    if len(failed) > _REASONS_SHOWN:
        show_text(f"... and {len(failed) - _REASONS_SHOWN} more")


class _Progress:
    """A bar on stderr while files are sent; nothing where nobody watches."""

    def __init__(self, total: int, *, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress

        stderr = Console(stderr=True)
        self._bar = Progress(console=stderr, disable=not (shown and stderr.is_terminal), transient=True)
        self._task = self._bar.add_task("sending", total=total)
        self.report: Callable[[int, int], None] = lambda done, _total: self._bar.update(self._task, completed=done)

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()
