"""`python -m inference.wff.phantom_verification`: items (a)-(j) on the spot; exit status 1 when one does not hold."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inference.errors import InferenceError
from inference.wff.phantom_verification.scale import quick_scale, real_scale
from inference.wff.phantom_verification.verification import TABLE, verify
from inference.wff.training.display import Bars

app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="folder of the verification; a stopped one goes on in it")] = Path(
        "runs/verify-phantom"
    ),
    seed: Annotated[int, typer.Option(min=0, help="of the phantom, the weights, the batches and the bootstrap")] = 2,
    processes: Annotated[int, typer.Option(help="1, 2 or 4; changes the time that it takes and no number")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help="everything once, too small to hold: a test")] = False,
) -> None:
    """Verify the framework on the synthetic phantom: train, measure, and say which items hold."""
    scale = (quick_scale if quick else real_scale)(seed=seed)
    command = f"python -m inference.wff.phantom_verification --seed {seed} --processes {processes}".split()
    console = Console(stderr=True)
    try:
        with Bars(console) as display:
            findings = verify(
                scale, out, display, command=[*command, *(["--quick"] if quick else [])], processes=processes
            )
    except InferenceError as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    typer.echo((out / TABLE).read_text(encoding="utf-8"))
    raise typer.Exit(0 if all(one.holds for one in findings) else 1)
