"""The plots of the evaluation page, each with one sentence how to read it and what it shows in words."""

from collections.abc import Sequence
from typing import Final

from inference.evaluation.froc import Froc
from inference.evaluation.html import Figure
from inference.evaluation.plots import (
    decision_curve_plot,
    froc_plot,
    regions_plot,
    reliability_plot,
    roc_plot,
    sequences_plot,
)
from inference.evaluation.probability_calibration import ProbabilityCalibration
from inference.evaluation.results import Evaluation, RegionRow, SequencesRow

_COMPARED: Final = ("Det", "Seq")  # drawn thin beside the curve of the bundle


def roc_figure(evaluation: Evaluation) -> Figure:
    main = evaluation.decided
    curves = [curve for curve in evaluation.roc if curve.name in (*_COMPARED, evaluation.decided_by)]
    return Figure(
        title="ROC curve",
        how_to_read="The nearer to the top left corner, the better the model ranks malignant above benign.",
        alternative=(
            f"ROC curve of {main.name} with its 95 % band, area {main.performance.area.value:.3f}, beside "
            f"{', '.join(curve.name for curve in curves if curve.name != main.name)}."
        ),
        svg=roc_plot(curves, evaluation.roc_band, main=main.name, counts=main.performance.counts),
    )


def decision_curve_figure(evaluation: Evaluation) -> Figure:
    return Figure(
        title="Decision curve",
        how_to_read=(
            "Where the blue line is highest, acting on the model does more good than acting on everybody or nobody, "
            "for those who would act from that probability on."
        ),
        alternative="Net benefit against threshold probability for the model, for everybody and for nobody.",
        svg=decision_curve_plot(evaluation.decision_curve, evaluation.cohort.prevalence),
    )


def reliability_figure(calibration: ProbabilityCalibration) -> Figure:
    return Figure(
        title="Reliability",
        how_to_read=(
            "Points on the dotted line: of patients with that probability as many are malignant; above it the model "
            "says too little, below too much. Numbers are patients, bars 95 % intervals."
        ),
        alternative="Fraction malignant against the probability of the model, in ten bins, with Wilson intervals.",
        svg=reliability_plot(calibration),
    )


def regions_figure(rows: Sequence[RegionRow]) -> Figure:
    return Figure(
        title="Errors per region of the spine",
        how_to_read="The hatched part of a column are the patients with lesions there who were called wrongly.",
        alternative="Columns of patients per region: "
        + "; ".join(f"{row.region} {row.wrong} wrong, {row.right} right" for row in rows),
        svg=regions_plot(rows),
    )


def sequences_figure(rows: Sequence[SequencesRow]) -> Figure:
    return Figure(
        title="Accuracy by the sequences that vote",
        how_to_read="Within a strategy, the higher column is right more often; lines are 95 % intervals.",
        alternative="Accuracy of every strategy for T1 only, T2 and fat-suppressed T2, and both; see the table.",
        svg=sequences_plot(rows),
    )


def froc_figure(curve: Froc) -> Figure:
    return Figure(
        title=f"FROC per {curve.unit}",
        how_to_read=(
            "Further left: fewer false boxes; higher: more is found. Both change together with the score from which a "
            "lesion counts."
        ),
        alternative=f"Share found against mean false boxes per {curve.unit}; the table has the numbers.",
        svg=froc_plot(curve),
    )
