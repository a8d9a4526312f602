"""The tables of the evaluation page. Rates in per cent, areas as they are, intervals below."""

from collections.abc import Iterable, Sequence

from inference.evaluation.html import Cell, Row, Table
from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Confusion, Rate
from inference.evaluation.results import (
    Evaluation,
    ReaderRow,
    RegionRow,
    SequencesRow,
    StrategyRow,
    SubgroupRow,
)

_NOTHING = Cell("-")
_AS_BENIGN = "A patient without detection counts as called benign"


def strategies_table(evaluation: Evaluation) -> Table:
    return Table(
        caption=(
            f"Decisions on {evaluation.cohort.patients} patients with a lesion, by who has a say: lesion detector "
            f"(Det), sequence classifier (Seq), age. {_undetected(evaluation)}. {_AS_BENIGN}. "
            "Small: 95 % interval. Shaded: what the bundle does."
        ),
        columns=("Strategy", "Det, Seq, Age", "Accuracy", "Sensitivity", "Specificity", "of probability", "of votes"),
        groups=(("Weights", 1), ("Decision", 3), ("Area under the ROC curve", 2)),
        rows=tuple(_strategy(row, row.name == evaluation.decided_by) for row in evaluation.strategies),
    )


def _undetected(evaluation: Evaluation) -> str:
    undetected = evaluation.decided.performance.undetected
    number = f"{undetected} of the {evaluation.cohort.patients} patients"
    return f"{number} {'is' if undetected == 1 else 'are'} without detection"


def _strategy(row: StrategyRow, is_main: bool) -> Row:
    found = row.performance
    counts = found.counts
    cells = (
        Cell(", ".join(f"{weight:g}" for weight in row.weights)),
        _share_of(found.accuracy, counts.accuracy),
        _share_of(found.sensitivity, counts.sensitivity),
        _share_of(found.specificity, counts.specificity),
        area(found.area),
        area(found.area_of_votes),
    )
    return Row(row.name, cells, is_main)


def sequences_table(rows: Sequence[SequencesRow], patients: int, main: str) -> Table:
    choices = list(dict.fromkeys(row.sequences for row in rows))
    strategies = list(dict.fromkeys(row.strategy for row in rows))
    found = {(row.strategy, row.sequences): row.performance for row in rows}
    undetected = {row.sequences: row.performance.undetected for row in rows}  # by tau alone: alike in all strategies
    return Table(
        caption=(
            f"Which sequences vote: the {patients} patients who have T1 and T2 sequences. A patient without a "
            "detection in the voting sequences counts as called benign"
        ),
        columns=("Strategy", *("Accuracy", "Area") * len(choices)),
        groups=tuple((f"{choice} ({undetected[choice]} without detection)", 2) for choice in choices),
        rows=tuple(
            Row(
                strategy,
                tuple(
                    cell
                    for one in (found[strategy, choice] for choice in choices)
                    for cell in (share(one.accuracy), area(one.area))
                ),
                strategy == main,
            )
            for strategy in strategies
        ),
    )


def regions_table(rows: Sequence[RegionRow]) -> Table:
    return Table(
        caption=f"Patients by region of their lesions; one with lesions in two regions counts in both. {_AS_BENIGN}",
        columns=("Region", "Right", "Wrong", "Share wrong", "Without detection"),
        rows=tuple(
            Row(
                row.region.capitalize(),
                (
                    Cell(str(row.right)),
                    Cell(str(row.wrong)),
                    _rate(Rate(row.wrong, row.right + row.wrong)),
                    Cell(str(row.undetected)),
                ),
            )
            for row in rows
        ),
    )


def readers_table(rows: Sequence[ReaderRow]) -> Table:
    return Table(
        caption=f"Readers beside the model, each on the patients that both read. {_AS_BENIGN}",
        columns=(
            "Reader",
            "Patients",
            "Accuracy",
            "Sensitivity",
            "Specificity",
            "Accuracy",
            "Sensitivity",
            "Specificity",
            "Without detection",
            "Model, reader alone right",
            "p",
        ),
        groups=(("", 1), ("The reader", 3), ("The model, on the same patients", 4), ("McNemar", 2)),
        rows=tuple(_reader(row) for row in rows),
    )


def _reader(row: ReaderRow) -> Row:
    test = row.against_model
    compared = row.counts.malignant + row.counts.benign
    cells = (
        Cell(str(compared), f"of {row.readings} read" if row.readings > compared else ""),
        *_rates(row.counts),
        *_rates(row.model_counts),
        Cell(str(row.model_undetected)),
        Cell(f"{test.only_first_right}, {test.only_second_right}"),
        Cell(p_value(test.p_value), test.method.split()[0]),
    )
    return Row(f"{row.reader}, {'with' if row.with_age else 'without'} age", cells)


def _rates(counts: Confusion) -> Iterable[Cell]:
    return (_rate(one) for one in (counts.accuracy, counts.sensitivity, counts.specificity))


def subgroups_table(attribute: str, rows: Sequence[SubgroupRow]) -> Table:
    return Table(
        caption=f"The same patients by {attribute}. {_AS_BENIGN}",
        columns=(
            attribute.capitalize(),
            "Malignant",
            "Benign",
            "Accuracy",
            "Sensitivity",
            "Specificity",
            "Area under ROC",
            "Without detection",
        ),
        rows=tuple(_subgroup(row) for row in rows),
    )


def _subgroup(row: SubgroupRow) -> Row:
    counts = row.counts
    cells = (
        Cell(str(counts.malignant)),
        Cell(str(counts.benign)),
        _rate(counts.accuracy),
        _rate(counts.sensitivity) if counts.malignant else _NOTHING,
        _rate(counts.specificity) if counts.benign else _NOTHING,
        _NOTHING if row.area is None else area(row.area),
        Cell(str(row.undetected)),
    )
    return Row(row.value, cells)


def precision_table(evaluation: Evaluation) -> Table:
    detector = evaluation.detector
    rows = (
        ("Benign lesions", detector.benign),
        ("Malignant lesions", detector.malignant),
        ("Lesions, whatever the class", detector.either_class),
    )
    mean = _NOTHING if detector.mean_of_classes is None else area(detector.mean_of_classes)
    return Table(
        caption=(
            "Average precision of the boxes of every score at an overlap (intersection over union) of .5. Where the "
            f"class is ignored, a box has the score of both classes together. {_undetected_at_tau(evaluation)}"
        ),
        columns=("Boxes of", "AP50"),
        rows=(
            *(Row(name, (_NOTHING if found is None else area(found),)) for name, found in rows),
            Row("Mean of the two classes", (mean,)),
        ),
    )


def froc_table(evaluation: Evaluation) -> Table:
    detector = evaluation.detector
    curves = [curve for curve in (detector.per_image, detector.per_patient) if curve is not None]
    names = {"image": "boxes, per image", "patient": "patients, per patient"}
    return Table(
        caption=(
            "Share of labelled boxes, and of patients with a labelled box, that are found at a mean number of false "
            f"boxes per image or per patient; whatever the class, overlap from {detector.hit_overlap:g}. "
            f"{_undetected_at_tau(evaluation)}"
        ),
        columns=("Found of", "1/8", "1/4", "1/2", "1", "2", "4", "8", "Mean"),
        rows=tuple(
            Row(
                f"{curve.targets} {names[curve.unit]}",
                tuple(share(one) for one in (*curve.at_rates, curve.mean_sensitivity)),
            )
            for curve in curves
        ),
    )


def _undetected_at_tau(evaluation: Evaluation) -> str:
    return f"At the score from which a slice votes, {_undetected(evaluation)}"


def share(one: Estimate) -> Cell:
    return Cell(f"{100 * one.value:.1f} %", _interval(f"{100 * one.low:.1f}", f"{100 * one.high:.1f}"))


def _share_of(one: Estimate, rate: Rate) -> Cell:
    cell = share(one)
    return Cell(cell.value, f"{rate.hits}/{rate.total}; {cell.below}")


def area(one: Estimate) -> Cell:
    return Cell(f"{one.value:.3f}", _interval(f"{one.low:.3f}", f"{one.high:.3f}"))


def _interval(low: str, high: str) -> str:
    """One without width says nothing of the doubt: no resample differed."""
    return "no interval" if low == high else f"{low} to {high}"


def p_value(p: float) -> str:
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def _rate(rate: Rate) -> Cell:
    low, high = rate.interval
    return Cell(f"{100 * rate.value:.1f} %", f"{100 * low:.1f} to {100 * high:.1f}")
