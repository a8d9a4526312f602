"""Make the demo bundle: `python -m inference.wff.demo_bundle`.

Phantom patients are painted, then the training of the framework runs on them with the settings of the demo: what comes
out is what `spinenode train wff` gives on that data set, with the reader beside it who sees every planted sign. A run
that was stopped goes on from its last checkpoint when started again with the same options.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inference.bundle import DEMO_BUNDLE
from inference.evaluation.subject import PHANTOM_HEADING
from inference.wff.demo_bundle.cohorts import demo_cohorts
from inference.wff.demo_bundle.making import NAME, VERSION, demo_recipe, make
from inference.wff.training.display import Bars

app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="folder of the bundle")] = DEMO_BUNDLE,
    work: Annotated[Path, typer.Option(help="folder of the data set and the run; a stopped run goes on in it")] = Path(
        "runs/wff-demo"
    ),
    patients: Annotated[int, typer.Option(min=40, help="phantom patients to learn from")] = 1600,
    measured: Annotated[int, typer.Option(min=40, help="patients of unseen scanners; half as many of others")] = 300,
    detector_steps: Annotated[int | None, typer.Option(min=1)] = None,
    classifier_steps: Annotated[int | None, typer.Option(min=1)] = None,
    seed: Annotated[int, typer.Option(help="of the phantom, the splits, the weights and the batches")] = 2,
    processes: Annotated[int, typer.Option(min=1, help="set OMP_NUM_THREADS=1 beside it")] = 4,
    real_study: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="folder of a real study without a known tumour; the card tells what is said",
        ),
    ] = None,
) -> None:
    """Train the demo bundle on the synthetic phantom, measure it, and write it."""
    recipe = demo_recipe(
        demo_cohorts(training=patients, measured=measured, seed=seed),
        seed=seed,
        processes=processes,
        detector_steps=detector_steps,
        classifier_steps=classifier_steps,
        real_study=real_study,
    )
    steps = f"--detector-steps {recipe.settings.detector.steps} --classifier-steps {recipe.settings.sequence.steps}"
    study = "" if real_study is None else " --real-study FOLDER"
    cohort = f"--patients {patients} --measured {measured}"
    command = f"python -m inference.wff.demo_bundle {cohort} {steps} --seed {seed} --processes {processes}{study}"
    console = Console(stderr=True)
    with Bars(console) as display:
        identity = make(recipe, work, out, display, command=command.split())
    console.print(f"{NAME} {VERSION}, {PHANTOM_HEADING}: {identity.validated_on}", markup=False)
    console.print(f"bundle written to {out}", markup=False)


if __name__ == "__main__":
    app()
