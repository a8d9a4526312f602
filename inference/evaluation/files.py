"""evaluation.json and evaluation.html."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from inference.durable_files import write_together
from inference.evaluation.page import evaluation_page
from inference.evaluation.results import Evaluation
from inference.evaluation.subject import Subject

DATA: Final = "evaluation.json"
PAGE: Final = "evaluation.html"


def write_evaluation(folder: Path, evaluation: Evaluation, subject: Subject) -> None:
    """Replaces both files of an earlier evaluation, or none; whatever else is in the folder stays.

    Raises EvaluationError where matplotlib is not installed, OSError when the folder cannot be written.
    """
    page = evaluation_page(evaluation, subject)
    data = {"heading": subject.heading, "subject": asdict(subject), **evaluation.to_json()}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    write_together({folder / DATA: text.encode(), folder / PAGE: page.encode()})
