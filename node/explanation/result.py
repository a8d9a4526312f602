"""The files of an explanation. They hold patient data: our own user alone may read them."""

import json
import os
from pathlib import Path
from typing import Final

from inference.wff.explanation.case import ExplainedCase
from inference.wff.explanation.what_ifs import Outcome
from node.explanation.page import explanation_page
from node.explanation.question import Question

PAGE: Final = "explanation.html"
NUMBERS: Final = "explanation.json"


def write(folder: Path, told: ExplainedCase, question: Question) -> None:
    """Both files; an earlier explanation in the folder is replaced, other files stay."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / PAGE, explanation_page(told, subject=question.subject, stored=_stored(question)))
    _write(folder / NUMBERS, (json.dumps(told.to_json(), indent=2) + "\n").encode())


def _stored(question: Question) -> Outcome | None:
    if question.answered is None:
        return None
    decision = question.answered.decision
    if decision is None:
        return Outcome(None, None, tie=False)
    return Outcome(decision.verdict, decision.probability_malignant, decision.tie)


def _write(file: Path, content: bytes) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
