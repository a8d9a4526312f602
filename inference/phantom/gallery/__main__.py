"""Make the pictures of docs/phantom.md: `python -m inference.phantom.gallery --out docs/images/phantom`.

With `--real FOLDER` a picture of the phantom beside that study is made, too. It shows a patient: it goes to `--beside`,
never into the documentation.
"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inference.datasets import SpineRegion
from inference.phantom.gallery.beside_real import beside_real
from inference.phantom.gallery.pictures import pictures

app = typer.Typer(add_completion=False)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="folder of the pictures")] = Path("docs/images/phantom"),
    only: Annotated[list[str] | None, typer.Option(help="name of a picture; may be given again")] = None,
    real: Annotated[Path | None, typer.Option(help="folder of a real study, to compare the look")] = None,
    beside: Annotated[Path, typer.Option(help="file of the picture beside the real study")] = Path(
        "runs/phantom-beside-real.png"
    ),
    region: Annotated[SpineRegion, typer.Option(help="region of the real study")] = SpineRegion.LUMBAR,
    site: Annotated[int, typer.Option(min=0, help="site whose phantom stands beside it")] = 8,
) -> None:
    """Pictures of every family, region, kind of sequence and site of the phantom. No clinical meaning."""
    console = Console()
    if real is not None:
        if beside.resolve().is_relative_to(out.resolve()):
            raise typer.BadParameter(f"{beside} lies in {out}: a picture of a patient must not", param_hint="--beside")
        try:
            sheet = beside_real(real, region, site)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--real") from error
        beside.parent.mkdir(parents=True, exist_ok=True)
        sheet.image().save(beside)
        console.print(f"beside the real study: {beside}")
        return
    known = dict(pictures())
    if unknown := set(only or ()) - known.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(known)}", param_hint="--only")
    for name, make in known.items():
        if only and name not in only:
            continue
        make().save(out / f"{name}.png")
        console.print(f"{out / name}.png")


if __name__ == "__main__":
    app()
