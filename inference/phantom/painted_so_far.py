"""Which patients of a data set are painted already: a journal beside its arrays, so that a stopped painting goes on.

One line of JSON per patient, in the order in which they were done.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from inference.datasets import LabelledPatient, patient_as_json, patient_from_json
from inference.durable_files import write_text

JOURNAL: Final = "painted.jsonl"


class PaintedSoFar:
    """The journal of one folder. Its lines are on disk to stay when a method returns."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / JOURNAL

    def patients(self) -> list[LabelledPatient]:
        """Those whose lines are whole; a line that a crash damaged counts for nothing, nor does what follows it."""
        found: list[LabelledPatient] = []
        lines = self._file.read_bytes().split(b"\n") if self._file.exists() else []
        for line in lines[:-1]:  # the last one has no end yet, or is empty
            try:
                found.append(patient_from_json(self._folder, json.loads(line)))
            except (ValueError, KeyError, TypeError):
                break
        return found

    def begin(self, patients: Iterable[LabelledPatient]) -> None:
        """A journal of these patients alone."""
        write_text(self._file, "".join(map(_line, patients)))

    def add(self, patient: LabelledPatient) -> None:
        """Call it when the patient's arrays are on disk to stay."""
        with self._file.open("a", encoding="utf-8") as out:
            out.write(_line(patient))
            out.flush()
            os.fsync(out.fileno())

    def end(self) -> None:
        self._file.unlink(missing_ok=True)


def _line(patient: LabelledPatient) -> str:
    return json.dumps(patient_as_json(patient)) + "\n"
