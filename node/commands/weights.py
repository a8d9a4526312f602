"""`spinenode weights`: pretrained weights to start a training from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inference.wff.training.initial_weights.names import Purpose

if TYPE_CHECKING:
    from inference.wff.training.initial_weights.conversion import Conversion

app = typer.Typer(no_args_is_help=True, help="Pretrained weights to start a training from.")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="weights")


@app.callback()
def weights() -> None:
    """Pretrained weights to start a training from."""


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A .pth or .safetensors file on this machine.")],
    purpose: Annotated[Purpose, typer.Option("--for", help="The net that starts from them.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the .safetensors file goes.")],
    licence: Annotated[
        str, typer.Option("--licence", metavar="TEXT", help="Under which the weights are yours to use; kept with them.")
    ] = "",
    input_std: Annotated[
        float | None,
        typer.Option(
            "--input-std",
            min=1e-6,
            help="Standard deviation of what the source was trained on; without it what is usual for its origin.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Bring ImageNet or Kinetics weights that you have to the names of our nets.

    For the detector: ResNeXt 32x4d of torchvision, timm, torch.hub or mmdetection. For the sequence classifier: 3-D
    ResNeXt-101 of 3D-ResNets-PyTorch. Nothing is downloaded, and nothing in the file is run.
    """
    from inference.durable_files import require_writable
    from inference.errors import WeightsError
    from inference.wff.training.initial_weights.conversion import convert as run

    if out.suffix != ".safetensors":
        raise WeightsError(f"{out} does not end in .safetensors; give --out a name that does")
    if out.exists() and not force:
        raise WeightsError(f"{out} is there already: name another file, or replace it with --force")
    require_writable(out.parent)
    done = run(source, purpose, out, licence=licence, input_std=input_std)
    _show(done, out, as_json=as_json)


def _show(done: "Conversion", out: Path, *, as_json: bool) -> None:
    from node.commands.output import show_json, show_table, show_text

    source = done.source
    if as_json:
        show_json(
            {
                "file": str(out),
                "origin": source.origin.value,
                "architecture": str(source.architecture),
                "blocks": source.architecture.blocks,
                "source_sha256": source.sha256,
                "input_std": done.input_std,
                "matched": done.matched,
                "left_out": done.left_out,
                "at_start": done.at_start,
            }
        )
        return
    show_text(
        f"{source.file.name}: {source.architecture} by the names of {source.origin.value}, sha256 {source.sha256}"
    )
    rows = [("matched", "trunk", done.matched)]
    rows += [("left out of the source", name, count) for name, count in done.left_out.items()]
    rows += [("stays at its start", name, count) for name, count in done.at_start.items()]
    show_table("Tensors", ("", "part", "tensors"), rows)
    blocks = ", ".join(map(str, source.architecture.blocks))
    show_text(f"written to {out}, for a {done.purpose.value} net with blocks [{blocks}] and batch normalisation")
