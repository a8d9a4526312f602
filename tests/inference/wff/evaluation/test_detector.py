from pathlib import Path

from inference.datasets import LabelledPatient, LabelledSeries
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.evaluation.detector import evaluate_detector
from inference.wff.model import SliceBoxes
from inference.wff.patients import DetectedPatient
from inference.wff.reading import DetectedBox

LESION = Box(x0=10, y0=10, x1=30, y1=30)
ELSEWHERE = Box(x0=50, y0=50, x1=60, y1=60)


def test_where_the_class_is_ignored_a_lesion_of_an_unclear_class_goes_before_a_weaker_false_box() -> None:
    """In either class the lesion scores less than the false box of the same slice, in both together more."""
    unclear = [DetectedBox(LESION, verdict, 0.5) for verdict in Verdict]
    found = (DetectedBox(ELSEWHERE, Verdict.MALIGNANT, 0.6), *unclear)

    result = evaluate_detector(
        [patient(f"{verdict}-{n}", verdict, found) for verdict in Verdict for n in range(2)],
        tau=0.61,
        seed=1,
        resamples=20,
    )

    precisions = {name: getattr(result, name).value for name in ("malignant", "either_class")}
    assert precisions["malignant"] < precisions["either_class"] == 1.0
    assert (result.hit, result.false_boxes) == (4, 0)


def patient(name: str, verdict: Verdict, found: SliceBoxes) -> DetectedPatient:
    series = LabelledSeries(kind=SequenceKind.T1, file=Path("none.npy"), boxes=((LESION,),))
    labelled = LabelledPatient(patient_id=name, age_years=None, verdict=verdict, series=(series,))
    return DetectedPatient(labelled, ((found,),))
