"""A node's memory in a folder, and the commands that an operator types on it."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from config.loading import load_settings
from node.cli import main
from node.grouping import complete_cases, place_new_instances
from storage import cases
from storage.cases import Claim, NewReportObject
from storage.database import Database, upgrade
from storage.files import FileStore
from tests.node.case_images import take_in
from tests.node.conftest import Clock

PACS = """
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 1
timeout_s = 1
"""
ANSWERS_PACS = f"""{PACS}
[[routes]]
name = "spine"
results_to = ["pacs"]
"""


class TypedNode:
    """`out` and `err` are what the last command said."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], clock: Clock, settings: str = ANSWERS_PACS
    ) -> None:
        self.config = folder / "spinenode.toml"
        self.config.write_text(f'[storage]\ndata_dir = "{folder / "data"}"\n{settings}')
        self.settings = load_settings(self.config)
        upgrade(self.settings.storage.url())
        self.database = Database(self.settings.storage.url(), clock=clock)
        self.files = FileStore(self.settings.storage.data_dir)
        self.clock = clock
        self.out = self.err = ""
        self._capsys = capsys

    def types(self, *arguments: str | Path) -> int:
        self._capsys.readouterr()
        status = main(["--config", str(self.config), *map(str, arguments)])
        self.out, self.err = self._capsys.readouterr()
        return status

    def reads(self, *arguments: str | Path) -> Any:
        assert self.types(*arguments, "--json") == 0, self.err
        return json.loads(self.out)

    def take_in(self, *images: Dataset) -> None:
        take_in(self.database, self.files, *images, clock=self.clock)
        place_new_instances(self.database, self.settings)

    def claim(self) -> Claim:
        """The case that is ready, as a worker takes it."""
        self.clock.pass_s(3600)
        complete_cases(self.database, self.settings)
        with self.database.transaction() as session:
            claim = cases.claim(session, owner="w", now=self.clock(), lease_s=60, maximum_attempts=3)
        assert claim is not None
        return claim

    def report(self, claim: Claim, findings: dict[str, Any], objects: list[NewReportObject]) -> None:
        with self.database.transaction() as session:
            cases.report(
                session,
                claim,
                findings=findings,
                objects=objects,
                destinations=["pacs"],
                failed_reason=None,
                now=self.clock(),
            )
