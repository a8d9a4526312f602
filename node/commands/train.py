"""`spinenode train`: from a labelled data set to a bundle that the node serves."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from inference.wff.training.settings import TrainingSettings

app = typer.Typer(no_args_is_help=True, help="Train a pipeline on labelled patients.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="train")


@app.command("wff")
def train_wff(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DATASET", help="The data set, e.g. of `spinenode data import`."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings of the training; else the defaults.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="Folder of the run. A run that was stopped goes on in its folder."),
    ] = None,
    overfit: Annotated[
        int | None,
        typer.Option(
            "--overfit", metavar="N", min=2, help="Only try N patients, and say whether the loss falls. Try 4."
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print every key of the settings, with its comment.")
    ] = False,
) -> None:
    """Train the weighted fusion framework: cross-validation, final fit, evaluation; ends with a bundle."""
    from inference.wff.training.settings_file import read_settings, settings_as_toml

    settings = read_settings(config)
    if print_config:
        sys.stdout.write(settings_as_toml(settings))
        return
    if data is None:
        raise typer.BadParameter("needed: the folder of the data set", param_hint="--data")
    if overfit is not None:
        _overfit(data, settings, overfit)
        return
    if out is None:
        raise typer.BadParameter("needed: the folder of the run", param_hint="--out")
    options = {"--data": data, "--config": config, "--out": out}
    command = [part for name, path in options.items() if path is not None for part in (name, str(path))]
    _train(data, settings, out, ["spinenode", "train", "wff", *command])


def _train(data: Path, settings: "TrainingSettings", out: Path, command: list[str]) -> None:
    from rich.console import Console

    from inference.wff.training.display import Bars
    from inference.wff.training.framework import prepare, train_framework
    from inference.wff.training.run_folder import BUNDLE, LOG, open_run_folder
    from node.commands.output import show_text

    prepared = prepare(data, settings)
    with open_run_folder(out, prepared.inputs, command) as run:
        if run.is_finished:
            show_text(f"{out} is finished, its bundle is in {out / BUNDLE}; nothing was done")
            return
        with _logs_into(run.folder / LOG), Bars(Console(stderr=True)) as display:
            identity = train_framework(prepared, run, display, command=command)
    show_text(f"bundle {identity.name} {identity.version} is in {out / BUNDLE}: {identity.validated_on}")


def _overfit(data: Path, settings: "TrainingSettings", count: int) -> None:
    from tempfile import TemporaryDirectory

    from rich.console import Console

    from inference.errors import TrainingError
    from inference.wff.training.display import Bars
    from inference.wff.training.overfit import overfit
    from node.commands.output import show_text

    with TemporaryDirectory() as folder, Bars(Console(stderr=True)) as display:
        tried = overfit(data, settings, Path(folder), display, count=count)
    for one in tried:
        show_text(str(one))
    if not all(one.fell for one in tried):
        raise TrainingError("a net does not learn even these few patients: look at their boxes and classes")


@contextmanager
def _logs_into(path: Path) -> Iterator[None]:
    import structlog

    from node.logs import configure_logging

    with path.open("a", encoding="utf-8") as file:
        configure_logging(stream=file)
        try:
            yield
        except Exception as error:
            structlog.get_logger(__name__).error("run_stopped", reason=str(error))
            raise
        finally:
            configure_logging()
