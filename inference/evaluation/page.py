"""The evaluation as one HTML page for a radiologist and a data scientist: everything that evaluation.json says."""

from inference.evaluation import page_tables as tables
from inference.evaluation.html import (
    Figure,
    beside,
    facts,
    figures,
    heading,
    meaning,
    notice,
    page,
    paragraph,
    table,
    title_line,
)
from inference.evaluation.metrics import Rate
from inference.evaluation.plots import (
    decision_curve_plot,
    froc_plot,
    regions_plot,
    reliability_plot,
    roc_plot,
    sequences_plot,
)
from inference.evaluation.results import Evaluation
from inference.evaluation.subject import Subject

_COMPARED = ("Det", "Seq")  # drawn thin beside the curve of the bundle
_UNKNOWN_TRAINING = "Unknown: the record of the bundle does not name this data set."


def evaluation_page(evaluation: Evaluation, subject: Subject) -> str:
    """Raises EvaluationError where matplotlib is not installed."""
    return page(
        f"Evaluation of {subject.bundle_name} {subject.bundle_version}",
        (
            *_first_screen(evaluation, subject),
            *_discrimination(evaluation, subject.heading),
            *_probabilities(evaluation, subject.heading),
            *_readers(evaluation, subject.heading),
            *_where(evaluation, subject.heading),
            *_sequences(evaluation, subject.heading),
            *_detector(evaluation, subject.heading),
            *_method(evaluation, subject),
        ),
    )


def _first_screen(evaluation: Evaluation, subject: Subject) -> tuple[str, ...]:
    cohort = evaluation.cohort
    counts = evaluation.decided.performance.counts
    warning = (
        notice(
            "Synthetic phantom, no clinical meaning", "The images are computed; the numbers show that the code works."
        )
        if subject.is_phantom
        else notice("For research use", "This is a measurement, not a release of the model for the care of patients.")
    )
    return (
        title_line(f"Evaluation of {subject.bundle_name} {subject.bundle_version}"),
        warning,
        facts(
            (
                ("Model", f"{subject.bundle_name} {subject.bundle_version}, sha256 {subject.bundle_sha256[:16]}"),
                ("Data set", f"{subject.data_set}, {subject.part or 'all patients'}"),
                (
                    "Patients with a lesion",
                    f"{cohort.patients}: {cohort.malignant} malignant, {cohort.benign} benign",
                ),
                ("Prevalence (malignant)", f"{100 * cohort.prevalence:.1f} %"),
                ("Patients without a lesion", _lesion_free(evaluation)),
                ("Images", f"{cohort.images} in {cohort.series} sequences"),
                ("Seen in training?", subject.seen_before or _UNKNOWN_TRAINING),
            )
        ),
        table(tables.strategies_table(evaluation), head=subject.heading),
        meaning(
            f"The bundle calls {_of(counts.accuracy)} patients right; it finds {_of(counts.sensitivity)} malignant and "
            f"clears {_of(counts.specificity)} benign ones.",
            _limits(subject),
        ),
    )


def _lesion_free(evaluation: Evaluation) -> str:
    cohort = evaluation.cohort
    if not cohort.lesion_free:
        return "none, so false alarms were not counted"
    return f"{cohort.lesion_free}, false alarm in {Rate(cohort.lesion_free_alarmed, cohort.lesion_free)}"


def _of(rate: Rate) -> str:
    return f"{rate.hits} of {rate.total} ({100 * rate.value:.1f} %)"


def _limits(subject: Subject) -> str:
    if subject.is_phantom:
        return "Anything about patients: the phantom shows only what its makers thought of."
    return (
        "How the model does on patients unlike these, or where malignancy is rarer or more common: a malignant verdict "
        "is then right less or more often."
    )


def _discrimination(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    main = evaluation.decided
    curves = [curve for curve in evaluation.roc if curve.name in (*_COMPARED, evaluation.decided_by)]
    benefit = Figure(
        title="Decision curve",
        how_to_read=(
            "Where the blue line is highest, acting on the model does more good than acting on everybody or nobody, "
            "for those who would act from that probability on."
        ),
        alternative="Net benefit against threshold probability for the model, for everybody and for nobody.",
        svg=decision_curve_plot(evaluation.decision_curve, evaluation.cohort.prevalence),
    )
    roc = Figure(
        title="ROC curve",
        how_to_read="The nearer to the top left corner, the better the model ranks malignant above benign.",
        alternative=(
            f"ROC curve of {main.name} with its 95 % band, area {main.performance.area.value:.3f}, beside "
            f"{', '.join(curve.name for curve in curves if curve.name != main.name)}."
        ),
        svg=roc_plot(curves, evaluation.roc_band, main=main.name, counts=main.performance.counts),
    )
    return (heading("Malignant or benign"), paragraph(_fusion_gain(evaluation)), figures((roc, benefit), head=head))


def _fusion_gain(evaluation: Evaluation) -> str:
    gain = evaluation.fusion_gain
    if gain is None:
        return "There are fewer than two patients of a class: areas cannot be compared."
    difference = gain.difference
    return (
        f"Does it help to hear all three? The area of {gain.first} less that of {gain.second} is "
        f"{difference.value:+.3f} (95 % CI {difference.low:+.3f} to {difference.high:+.3f}), "
        f"p {_equals(gain.p_value)} (DeLong, paired, two-sided)."
    )


def _probabilities(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    calibration = evaluation.calibration
    if calibration is None:
        return ()
    slope, intercept = (
        "not defined" if number is None else f"{number:.2f}" for number in (calibration.slope, calibration.intercept)
    )
    reliability = Figure(
        title="Reliability",
        how_to_read=(
            "Points on the dotted line: of patients with that probability as many are malignant; above it the model "
            "says too little, below too much. Numbers are patients, bars 95 % intervals."
        ),
        alternative="Fraction malignant against the probability of the model, in ten bins, with Wilson intervals.",
        svg=reliability_plot(calibration),
    )
    return (
        heading("Is the probability what it says?"),
        beside(
            figures((reliability,), head=head),
            facts(
                (
                    ("Patients with a probability", str(calibration.patients)),
                    ("Expected calibration error", f"{calibration.expected_error:.3f}"),
                    (
                        "Brier score (lower is better)",
                        f"{calibration.brier:.3f}; always the prevalence: {calibration.brier_of_prevalence:.3f}",
                    ),
                    ("Calibration slope (1: neither too bold nor too timid)", slope),
                    ("Calibration intercept (0: right on average)", intercept),
                )
            ),
        ),
    )


def _readers(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    if not evaluation.readers:
        return ()
    return (
        heading("Readers beside the model"),
        paragraph(
            f'The model is "{evaluation.decided_by}". A small p says that one of the two is right more often than '
            "chance would have it; p is not corrected for the number of readers."
        ),
        table(tables.readers_table(evaluation.readers), head=head),
    )


def _where(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    attributes = list(dict.fromkeys(row.attribute for row in evaluation.subgroups))
    subgroups = tuple(
        table(tables.subgroups_table(name, [row for row in evaluation.subgroups if row.attribute == name]), head=head)
        for name in attributes
    )
    if not evaluation.regions:
        return (heading("Where it errs"), *subgroups) if subgroups else ()
    plot = Figure(
        title="Errors per region of the spine",
        how_to_read="The hatched part of a column are the patients with lesions there who were called wrongly.",
        alternative="Columns of patients per region: "
        + "; ".join(f"{row.region} {row.wrong} wrong, {row.right} right" for row in evaluation.regions),
        svg=regions_plot(evaluation.regions),
    )
    return (
        heading("Where it errs"),
        beside(table(tables.regions_table(evaluation.regions), head=head), figures((plot,), head=head)),
        *subgroups,
    )


def _sequences(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    if not evaluation.sequences:
        return ()
    plot = Figure(
        title="Accuracy by the sequences that vote",
        how_to_read="Within a strategy, the higher column is right more often; lines are 95 % intervals.",
        alternative="Accuracy of every strategy for T1 only, T2 and fat-suppressed T2, and both; see the table.",
        svg=sequences_plot(evaluation.sequences),
    )
    return (
        heading("T1, T2 or both"),
        figures((plot,), head=head),
        table(
            tables.sequences_table(evaluation.sequences, evaluation.patients_with_both_kinds, evaluation.decided_by),
            head=head,
        ),
    )


def _detector(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    detector = evaluation.detector
    plots = tuple(
        Figure(
            title=f"FROC per {curve.unit}",
            how_to_read=(
                "Further left: fewer false boxes; higher: more is found. Both change together with the score from "
                "which a box counts."
            ),
            alternative=f"Share found against mean false boxes per {curve.unit}; the table has the numbers.",
            svg=froc_plot(curve),
        )
        for curve in (detector.per_image, detector.per_patient)
        if curve is not None
    )
    return (
        heading("The lesion detector alone"),
        paragraph(_hits(evaluation)),
        figures(plots, head=head),
        table(tables.froc_table(detector), head=head) if plots else "",
        table(tables.precision_table(detector), head=head),
    )


def _hits(evaluation: Evaluation) -> str:
    detector, cohort = evaluation.detector, evaluation.cohort
    if not detector.labelled:
        return "No patient has a labelled box."
    found = (
        f"From the score at which a slice votes ({evaluation.tau:g}), a box lies on a labelled lesion in "
        f"{Rate(detector.hit, detector.labelled)} patients."
    )
    if not cohort.lesion_free:
        return found
    alarms = detector.false_boxes_lesion_free / cohort.lesion_free
    return f"{found} A patient without a lesion has {alarms:.2f} boxes on average."


def _method(evaluation: Evaluation, subject: Subject) -> tuple[str, ...]:
    return (
        heading("How it was measured"),
        paragraph(
            "The networks ran once per image and once per sequence; every row reads the same detections. A slice votes "
            f"from a detection score of {evaluation.tau:g}. The six strategies have the weights of the paper (Liu et "
            "al., Insights into Imaging 2022, 13:87); scores are divided by the sum of the weights. Images vote for "
            "their sequence, sequences for the patient, a tie goes by the mean probability. A patient without a "
            "detection counts as called benign and is never left out."
        ),
        paragraph(
            f"Intervals of the first table, of T1/T2 and of the detector: bootstrap by patient, {evaluation.resamples} "
            f"resamples, seed {evaluation.seed}, percentiles (Efron 1979), none where all resamples agree; of other "
            "rates: Wilson 1927. Areas: Bamber 1975; their comparison: DeLong 1988. Readers: McNemar 1947, exact for "
            "fewer than 25 differing patients, else with Edwards' continuity correction (1948). Brier 1950; "
            "calibration error: Naeini 2015; slope and intercept: Cox 1958, Van Calster 2019. Decision curve: Vickers "
            "and Elkin 2006. AP50: all recall points, as PASCAL VOC since 2010. FROC points: LUNA16 (Setio 2017)."
        ),
        facts(
            (
                ("sha256 of the bundle", subject.bundle_sha256),
                ("sha256 of the data set", subject.data_sha256),
                ("sha256 of the list of evaluated patients", subject.patients_sha256),
                ("Trained on", subject.trained_on),
            )
        ),
    )


def _equals(p: float) -> str:
    shown = tables.p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"
