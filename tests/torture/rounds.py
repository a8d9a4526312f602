"""One round: images are sent, a fault strikes, what was not acknowledged is sent again, and all must come to rest."""

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pydicom.uid import Comprehensive3DSRStorage

from storage.database import Database
from storage.errors import StorageError
from tests.system.orthanc import wait_until
from tests.torture.archive import Archive
from tests.torture.faults import FAULTS, Fault, Scene
from tests.torture.node import TorturedNode
from tests.torture.scanner import send
from tests.torture.studies import Image, StudyMaker
from tests.torture.verdict import Verdict, judge, unfinished, unknown_reports

_MOST_STUDIES: Final = 2
_MOST_ASSOCIATIONS: Final = 3
# Leases, back-offs and restart delays under torture are below ten seconds, but for a worker killed many times in a row
_ACKNOWLEDGED_WITHIN_S: Final = 90.0
_QUIET_WITHIN_S: Final = 120.0
_ORPHANS_END_WITHIN_S: Final = 40.0  # a worker may finish its case first
_BETWEEN_TRIES_S: Final = 0.2


@dataclass
class Result:
    """What a round found; one line of the output."""

    index: int
    kind: str
    database: str
    struck: bool = False
    acknowledged: int = 0
    sent_again: int = 0
    received_again: int = 0  # objects that the archive got more than once
    seconds: float = 0.0
    verdict: Verdict = field(default_factory=Verdict)
    broken: str = ""  # the round could not be finished: neither proof nor disproof

    @property
    def is_clean(self) -> bool:
        return self.verdict.is_clean and not self.broken

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Round:
    """One round on a running node, which is left running."""

    def __init__(self, scene: Scene, archive: Archive, studies: StudyMaker, *, name: str) -> None:
        self._scene = scene
        self._archive = archive
        rng = scene.rng
        self._images = [
            image for number in range(rng.randint(1, _MOST_STUDIES)) for image in studies.study(f"{name} {number}")
        ]
        rng.shuffle(self._images)
        self._studies = {image.study_instance_uid for image in self._images}
        self._acknowledged: set[str] = set()
        self._attempts = 0

    def run(self, fault: Fault, result: Result) -> None:
        """Fill in `result`. Raises nothing but what is a fault of the harness."""
        begin = time.monotonic()
        before = self._archive.of_class(Comprehensive3DSRStorage)
        struck = self._send_while(fault)
        heal(self._scene, fault)
        result.struck = struck
        self._send_the_rest(result.verdict)
        result.acknowledged = len(self._acknowledged)
        result.sent_again = self._attempts - len(self._images)
        database = Database(self._scene.node.database_url)
        try:
            self._wait_until_quiet(database, result.verdict)
            found = judge(
                database,
                self._scene.node.data_dir,
                self._archive,
                images=self._images,
                acknowledged=self._acknowledged,
            )
            found.twice += unknown_reports(database, self._archive, before)
            found.stuck += self._orphans()
        finally:
            database.dispose()
        for kind, sentences in asdict(found).items():
            getattr(result.verdict, kind).extend(sentences)
        receipts = self._archive.receipts()
        result.received_again = sum(len(receipts[uid]) > 1 for uid in self._acknowledged if uid in receipts)
        result.seconds = time.monotonic() - begin
        self._scene.node.turn_clock(0.0)

    def _send_while(self, fault: Fault) -> bool:
        """Send every image once while the fault strikes; whether it did."""
        struck: list[bool] = []
        errors: list[BaseException] = []

        def strike() -> None:
            try:
                struck.append(fault.strike(self._scene))
            except BaseException as error:  # noqa: BLE001 - raised below, in the round's own thread
                errors.append(error)

        thread = threading.Thread(target=strike, name="fault")
        thread.start()
        self._send(self._images)
        thread.join()
        if errors:
            raise errors[0]
        return struck[0]

    def _send(self, images: Sequence[Image]) -> None:
        self._attempts += len(images)
        send(
            images,
            self._scene.node.port,
            called_ae_title=self._scene.node.ae_title,
            associations=self._scene.rng.randint(1, _MOST_ASSOCIATIONS),
            on_ack=lambda image: self._acknowledged.add(image.sop_instance_uid),
        )

    def _send_the_rest(self, verdict: Verdict) -> None:
        deadline = time.monotonic() + _ACKNOWLEDGED_WITHIN_S
        while rest := [image for image in self._images if image.sop_instance_uid not in self._acknowledged]:
            if time.monotonic() > deadline:
                verdict.stuck.append(f"{len(rest)} images are not taken {_ACKNOWLEDGED_WITHIN_S:g} s after the fault")
                return
            self._send(rest)
            time.sleep(_BETWEEN_TRIES_S)

    def _orphans(self) -> list[str]:
        """Children of a killed supervisor that do not end by themselves."""
        node = self._scene.node
        try:
            wait_until(lambda: not node.orphans(), timeout_s=_ORPHANS_END_WITHIN_S, what="orphans are gone")
        except TimeoutError:
            return [f"process {pid} outlived its supervisor: {command}" for pid, command in node.orphans().items()]
        return []

    def _wait_until_quiet(self, database: Database, verdict: Verdict) -> None:
        rest: list[str] = []

        def quiet() -> bool:
            nonlocal rest
            try:
                rest = unfinished(database, self._studies)
            except StorageError as error:
                rest = [str(error)]
            return not rest

        try:
            wait_until(quiet, timeout_s=_QUIET_WITHIN_S, what="every case is done and every object delivered")
        except TimeoutError:
            verdict.stuck += rest


def heal(scene: Scene, fault: Fault) -> None:
    """Mend what the fault broke, as an operator does, and start the node when it does not run."""
    if fault.broken_disk:
        assert scene.disk is not None
        scene.node.stop() if scene.node.is_alive else scene.node.kill_everything()
        scene.disk.mend()
    elif scene.disk is not None:
        scene.disk.make_room()
    if not scene.node.is_alive:
        scene.node.start()


def judge_by_command(node: TorturedNode) -> list[str]:
    """What `spinenode verify` complains about when it has looked into every file."""
    status, printed, messages = node.command("verify", "--contents")
    return [] if status == 0 else [f"spinenode verify ended with {status}: {messages.strip()} {printed}"]


def play(scene: Scene, archive: Archive, studies: StudyMaker, result: Result, *, name: str) -> Result:
    """One round of `result.kind`. What keeps it from its end is told in `result.broken`."""
    try:
        Round(scene, archive, studies, name=name).run(FAULTS[result.kind], result)
    except Exception as error:  # noqa: BLE001 - round boundary: one round must not end the others
        result.broken = f"{type(error).__name__}: {error}"
    return result
