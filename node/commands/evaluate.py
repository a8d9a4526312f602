"""`spinenode evaluate`: how well a bundle does on labelled patients, as JSON and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from inference.evaluation.results import Evaluation
    from inference.evaluation.subject import Subject


def register(app: typer.Typer) -> None:
    app.command()(evaluate)


def _of_64(image_size: int | None) -> int | None:
    if image_size is not None and image_size % 64:
        raise typer.BadParameter("a multiple of 64 is needed")
    return image_size


def evaluate(
    bundle: Annotated[Path, typer.Option("--bundle", metavar="FOLDER", help="The bundle to evaluate.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="DATASET", help="Labelled patients, from `spinenode data import`.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where evaluation.json and .html go.")],
    readers: Annotated[
        Path | None,
        typer.Option("--readers", metavar="CSV", help="Readings with the columns patient, reader, with_age, verdict."),
    ] = None,
    split: Annotated[
        Path | None, typer.Option("--split", metavar="FILE", help="splits.json of a training; else all patients.")
    ] = None,
    part: Annotated[
        str, typer.Option("--part", help="Of the split: held_out, training, fold-1, fold-2, ...")
    ] = "held_out",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 1,
    image_size: Annotated[
        int | None,
        typer.Option(
            "--image-size", min=64, max=2048, callback=_of_64, help="As worker.image_size; else the bundle's."
        ),
    ] = None,
    proposals: Annotated[
        int | None, typer.Option("--proposals", min=1, help="As worker.proposals; else the bundle's.")
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            "--processes", min=1, max=256, help="Copies of the networks on the CPU; 1 uses a GPU if there is one."
        ),
    ] = 1,
) -> None:
    """Measure a bundle on labelled patients: six strategies, readers, regions, sequences, detector, probabilities.

    Needs benign and malignant patients. The page is one file without scripts that can be sent and printed.
    """
    from inference.durable_files import require_writable
    from inference.evaluation.files import write_evaluation
    from inference.evaluation.plots import require_plots
    from inference.wff.evaluation.run import EvaluationRequest, EvaluationRun
    from node.commands.stages import Stages
    from node.commands.surroundings import quiet_logs

    quiet_logs()
    require_plots()  # told before the networks have run for an hour
    require_writable(out)
    run = EvaluationRun(
        EvaluationRequest(
            bundle=bundle,
            data=data,
            readers=readers,
            splits=split,
            part=part,
            seed=seed,
            image_size=image_size,
            proposals=proposals,
        )
    )
    with Stages(shown=True) as stages:
        evaluation = run.evaluate(processes=processes, report=stages.report)
    write_evaluation(out, evaluation, run.subject)
    _show(evaluation, run.subject, out)


def _show(evaluation: "Evaluation", subject: "Subject", out: Path) -> None:
    from inference.evaluation.files import PAGE
    from node.commands.output import show_table, show_text

    title = f"{evaluation.cohort.patients} patients with a lesion, {100 * evaluation.cohort.prevalence:.0f} % malignant"
    rows = [
        (
            f"* {row.name}" if row.name == evaluation.decided_by else row.name,
            *map(str, (row.performance.accuracy, row.performance.sensitivity)),
            *map(str, (row.performance.specificity, row.performance.area)),
        )
        for row in evaluation.strategies
    ]
    heading = f"{subject.heading}: {title}" if subject.heading else title
    show_table(heading, ("strategy", "accuracy", "sensitivity", "specificity", "area under ROC"), rows)
    undetected = evaluation.decided.performance.undetected
    show_text(f"{undetected} without a detection, counted as benign; * what the bundle does")
    if subject.runs_with:
        show_text(f"measured with {subject.runs_with}")
    if subject.seen_before:
        show_text(subject.seen_before)
    show_text(f"all of it: {out / PAGE}")
