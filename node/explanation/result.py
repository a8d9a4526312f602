"""The files of an explanation. They hold patient data: our own user alone may read them."""

import json
from pathlib import Path
from typing import Final

from inference.durable_files import write_together
from inference.wff.explanation.case import ExplainedCase
from inference.wff.explanation.what_ifs import Outcome
from node.explanation.page import explanation_page
from node.explanation.question import Question

PAGE: Final = "explanation.html"
NUMBERS: Final = "explanation.json"


def write(folder: Path, told: ExplainedCase, question: Question) -> None:
    """Both files; an earlier explanation in the folder is replaced by both or stays, other files stay."""
    page = explanation_page(told, subject=question.subject, stored=_stored(question))
    numbers = (json.dumps(told.to_json(), indent=2) + "\n").encode()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_together({folder / PAGE: page, folder / NUMBERS: numbers}, mode=0o600)


def _stored(question: Question) -> Outcome | None:
    if question.answered is None:
        return None
    decision = question.answered.decision
    if decision is None:
        return Outcome(None, None, tie=False)
    return Outcome(decision.verdict, decision.probability_malignant, decision.tie)
