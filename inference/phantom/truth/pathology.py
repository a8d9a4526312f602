"""pathology.csv of a set: the class of each patient, and what parts the patients in an evaluation."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

PATHOLOGY_FILE: Final = "pathology.csv"
_COLUMNS: Final = ("patient_id", "label", "age_years", "regions", "site", "lesion_type")
LESION_FREE: Final = "none"


def pathology_table(truths: Iterable[Mapping[str, Any]]) -> str:
    """The table of the patients with these contents of truth.json; regions are separated by ";"."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for truth in truths:
        writer.writerow(
            (
                truth["patient_id"],
                truth["label"] or LESION_FREE,
                truth["age_years"],
                ";".join(truth["regions"]),
                truth["site"],
                truth["family"],
            )
        )
    return text.getvalue()
