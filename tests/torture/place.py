"""Where rounds happen: a disk, a database server, an archive and a node, made fresh for a block of rounds."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.node.micro_bundle import write_micro_bundle
from tests.torture.archive import Archive
from tests.torture.disk import can_mount, mounted_disk
from tests.torture.faults import POSTGRESQL, Fault, Scene
from tests.torture.node import TorturedNode, compile_clock
from tests.torture.postgres import RestartingPostgresql
from tests.torture.studies import StudyMaker


class Ground:
    """What all blocks of one job share. `folder` is removed by who made it."""

    def __init__(self, folder: Path, *, postgres: RestartingPostgresql | None) -> None:
        self.folder = folder
        self.postgres = postgres
        self.archive = Archive()
        self.studies = StudyMaker(folder / "phantom")
        self.bundle = folder / "bundle"
        self._mounts = can_mount()
        self._blocks = 0
        write_micro_bundle(self.bundle)
        try:
            self.clock: Path | None = compile_clock(folder)
        except FileNotFoundError:
            self.clock = None
        self.archive.start()

    def allows(self, fault: Fault) -> bool:
        """Whether this machine has what the fault needs: root for disk images, a C compiler for the clock."""
        return (self._mounts or not fault.needs_disk) and (self.clock is not None or not fault.needs_clock)

    @contextmanager
    def scene(self, database: str) -> Iterator[Scene]:
        """A started node with empty data on the given kind of database."""
        self._blocks += 1
        folder = self.folder / f"block-{self._blocks}"
        with ExitStack() as parts:
            disk = parts.enter_context(mounted_disk(folder)) if self._mounts else None
            url = None
            if database == POSTGRESQL:
                assert self.postgres is not None
                url = parts.enter_context(self.postgres.database(f"torture_{self._blocks}"))
            node = TorturedNode(
                folder,
                data_dir=(folder if disk is None else disk.folder) / "data",
                bundle=self.bundle,
                archive=(self.archive.ae_title, self.archive.port),
                database_url=url,
                clock=self.clock,
            )
            parts.callback(node.kill_everything)
            node.start()
            rng = random.Random(self._blocks)  # noqa: S311 - when to strike, no secret; each round brings its own
            yield Scene(node=node, disk=disk, postgres=self.postgres if url else None, rng=rng)

    def close(self) -> None:
        self.archive.stop()
