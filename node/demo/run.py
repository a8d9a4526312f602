"""Starts a node and an embedded archive on free loopback ports, sends a study, waits for the answer.

Everything is the real thing: the settings differ from a site's only in the addresses, the short quiet time and the
folder. Nothing is left running.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import (
    CallerSettings,
    DestinationSettings,
    GroupingSettings,
    ReceiverSettings,
    RouteSettings,
    SenderSettings,
    Settings,
    StorageSettings,
    WorkerSettings,
)
from node.demo.outcome import CaseOutcome, read_outcomes
from node.embedded_archive import EmbeddedArchive
from node.errors import NodeError
from node.service import Service
from node.store_scu import StoreOutcome, store

CALLING_AE_TITLE: Final = "DEMO"
# The patient that is sent when no study is given. The seed is used nowhere in training, tuning or evaluation.
PHANTOM_SEED: Final = 20_260
PHANTOM_INDEX: Final = 10
QUIET_S: Final = 2.0  # the sender is ours and sends without pause; a site's default is 30 s
_OWN_FOLDERS: Final = ("sent", "node", "archive", "pictures")


class DemoError(NodeError):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    out: Path
    study: Path | None = None  # folder of DICOM files; none: a phantom patient
    bundle: Path | None = None  # none: the demo bundle
    timeout_s: float = 900.0


def run_demo(request: DemoRequest, *, say: Callable[[str], None]) -> list[CaseOutcome]:
    """Run the main job once in a folder that `prepare_folder` made; return what became of each case.

    Raises DemoError.
    """
    files = _files_of(request.study) if request.study else _write_phantom(request.out / "sent", say)
    archive = EmbeddedArchive(request.out / "archive")
    archive.start()
    try:
        settings = _settings(request, archive_port=archive.port)
        say("starting the node: receiver, sender, timers and the worker with its networks")
        with _running(Service(settings)) as service:
            _send(files, port=service.port, ae_title=settings.receiver.ae_title, say=say)
            say("waiting for the case to be complete, analysed, reported and delivered")
            return _await_outcomes(settings, request)
    finally:
        archive.stop()


@contextmanager
def _running(service: Service) -> Iterator[Service]:
    service.start()
    try:
        yield service
    finally:
        service.stop()


def prepare_folder(out: Path) -> None:
    """Make `out`, and remove what an earlier demo made in it. Raises DemoError when it holds anything else."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"the folder {out} cannot be made: {error.strerror}; name another --out") from error
    strangers = [entry.name for entry in out.iterdir() if entry.name not in (*_OWN_FOLDERS, "result.json", "node.log")]
    if strangers:
        raise DemoError(f"{out} holds files that are not the demo's ({', '.join(strangers[:3])}); name another --out")
    for name in _OWN_FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)


def _files_of(study: Path) -> list[Path]:
    if not study.is_dir():
        raise DemoError(f"{study} is no folder; --study takes a folder of DICOM files")
    files = sorted(path for path in study.rglob("*") if path.is_file())
    if not files:
        raise DemoError(f"{study} holds no file")
    return files


def _write_phantom(folder: Path, say: Callable[[str], None]) -> list[Path]:
    from inference.phantom import PhantomConfig, generate_patient, write_study

    say("making a phantom patient (synthetic, no clinical meaning)")
    patient = generate_patient(PHANTOM_INDEX, seed=PHANTOM_SEED, config=PhantomConfig())
    return list(write_study(patient, folder, distractors=True))


def _settings(request: DemoRequest, *, archive_port: int) -> Settings:
    return Settings(
        receiver=ReceiverSettings(bind_address="127.0.0.1", port=0, minimum_free_bytes=50_000_000),
        callers=(CallerSettings(ae_title=CALLING_AE_TITLE, addresses=("127.0.0.1",)),),
        destinations=(DestinationSettings(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=archive_port),),
        routes=(RouteSettings(name="demo", results_to=("archive",)),),
        grouping=GroupingSettings(quiet_s=QUIET_S, gap_wait_s=2 * QUIET_S),
        worker=WorkerSettings(bundle=request.bundle),
        sender=SenderSettings(),
        storage=StorageSettings(data_dir=(request.out / "node").absolute()),
    )


def _send(files: list[Path], *, port: int, ae_title: str, say: Callable[[str], None]) -> None:
    results = store(
        files, host="127.0.0.1", port=port, called_ae_title=ae_title, calling_ae_title=CALLING_AE_TITLE, timeout_s=60.0
    )
    taken = [r for r in results if r.outcome in (StoreOutcome.SENT, StoreOutcome.SENT_WITH_WARNING)]
    say(f"sent {len(taken)} of {len(files)} files by C-STORE")
    for refused in (r for r in results if r not in taken):
        say(f"refused: {refused.path.name}: {refused.reason}")
    if not taken:
        raise DemoError("the node took none of the files; see the reasons above")


def _await_outcomes(settings: Settings, request: DemoRequest) -> list[CaseOutcome]:
    deadline = time.monotonic() + request.timeout_s
    while time.monotonic() < deadline:
        outcomes, finished = read_outcomes(settings, archive=request.out / "archive")
        if finished:
            return outcomes
        time.sleep(0.2)
    raise DemoError(
        f"no answer after {request.timeout_s:.0f} s; `spinenode` logs are in {request.out / 'node.log'}, and the "
        f"database in {request.out / 'node'}"
    )
