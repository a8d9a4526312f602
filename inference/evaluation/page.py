"""The evaluation as one HTML page for a radiologist and a data scientist: everything that evaluation.json says."""

from inference.evaluation import page_tables as tables
from inference.evaluation.html import (
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
from inference.evaluation.page_figures import (
    decision_curve_figure,
    froc_figure,
    regions_figure,
    reliability_figure,
    roc_figure,
    sequences_figure,
)
from inference.evaluation.results import Evaluation
from inference.evaluation.subject import Subject

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
            "Synthetic phantom, no clinical meaning",
            "The phantom made images of this data set, or images that the bundle learned from; the numbers show that "
            "the code works.",
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
                *([("Runs with", subject.runs_with)] if subject.runs_with else []),
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
    plots = figures((roc_figure(evaluation), decision_curve_figure(evaluation)), head=head)
    return (heading("Malignant or benign"), paragraph(_fusion_gain(evaluation)), plots)


def _fusion_gain(evaluation: Evaluation) -> str:
    gain = evaluation.fusion_gain
    if gain is None:
        return "There are fewer than two patients of a class: areas cannot be compared."
    difference = gain.difference
    return (
        f"Does it help to hear all three? The area of {gain.first} less that of {gain.second} is "
        f"{difference.value:+.3f} (95 % CI {difference.low:+.3f} to {difference.high:+.3f}), "
        f"{_told(gain.p_value)} (DeLong, paired, two-sided)."
    )


def _probabilities(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    calibration = evaluation.calibration
    if calibration is None:
        return ()
    slope, intercept = (
        "not defined" if one is None else str(one) for one in (calibration.slope, calibration.intercept)
    )
    return (
        heading("Is the probability what it says?"),
        beside(
            figures((reliability_figure(calibration),), head=head),
            facts(
                (
                    ("Patients with a probability", str(calibration.patients)),
                    ("Expected calibration error", str(calibration.expected_error)),
                    (
                        "Brier score (lower is better)",
                        f"{calibration.brier}; always the prevalence: {calibration.brier_of_prevalence:.3f}",
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
    return (
        heading("Where it errs"),
        beside(
            table(tables.regions_table(evaluation.regions), head=head),
            figures((regions_figure(evaluation.regions),), head=head),
        ),
        *subgroups,
    )


def _sequences(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    if not evaluation.sequences:
        return ()
    return (
        heading("T1, T2 or both"),
        figures((sequences_figure(evaluation.sequences),), head=head),
        table(
            tables.sequences_table(evaluation.sequences, evaluation.patients_with_both_kinds, evaluation.decided_by),
            head=head,
        ),
    )


def _detector(evaluation: Evaluation, head: str) -> tuple[str, ...]:
    detector = evaluation.detector
    plots = [froc_figure(curve) for curve in (detector.per_image, detector.per_patient) if curve is not None]
    return (
        heading("The lesion detector alone"),
        paragraph(_hits(evaluation)),
        figures(plots, head=head),
        table(tables.froc_table(evaluation), head=head) if plots else "",
        table(tables.precision_table(evaluation), head=head),
    )


def _hits(evaluation: Evaluation) -> str:
    detector = evaluation.detector
    if not detector.labelled:
        return "No patient has a labelled box."
    found = (
        f"From the score at which a slice votes ({evaluation.tau:g}), a box lies on a labelled lesion in "
        f"{Rate(detector.hit, detector.labelled)} patients."
    )
    alarms = detector.false_boxes_per_lesion_free
    return found if alarms is None else f"{found} A patient without a lesion has {alarms} boxes on average."


def _method(evaluation: Evaluation, subject: Subject) -> tuple[str, ...]:
    return (
        heading("How it was measured"),
        paragraph(
            "The networks ran once per image and once per sequence; every row reads the same detections. A slice votes "
            f"when a lesion scores {evaluation.tau:g} or more, both classes together. The six strategies have the "
            "weights of the paper (Liu et al., Insights into Imaging 2022, 13:87); scores are divided by the sum of "
            "the weights. Images vote for their sequence, sequences for the patient, a tie goes by the mean "
            "probability. A patient without a detection counts as called benign and is never left out."
        ),
        paragraph(
            "Intervals of the first table, of T1/T2, of the detector and of the numbers beside the reliability: "
            f"bootstrap by patient, {evaluation.resamples} resamples, seed {evaluation.seed}, percentiles (Efron "
            "1979), none where all resamples agree or a bound is infinite; of rates of 0 or 1, and of other rates, "
            "patients hit and bins of the reliability among them: Wilson 1927. The decision curve has none. Areas: "
            "Bamber 1975; their comparison: DeLong 1988. Readers: McNemar 1947, exact for fewer than 25 differing "
            "patients, else with Edwards' continuity correction (1948). Brier 1950; calibration error: Naeini 2015; "
            "slope and intercept: Cox 1958, Van Calster 2019. Decision curve: Vickers and Elkin 2006. AP50: all "
            "recall points, as PASCAL VOC since 2010. FROC points: LUNA16 (Setio 2017)."
        ),
        facts(subject.record),
    )


def _told(p: float | None) -> str:
    if p is None:
        return "p is not defined: the patients show no variance"
    shown = tables.p_value(p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"
