"""`spinenode phantom`: a data set of synthetic patients whose true answer is known."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, TypeVar

import typer

from node.commands.surroundings import quiet_logs

if TYPE_CHECKING:
    from inference.datasets import SpineRegion
    from inference.phantom.sets.make import MadeSet, Progress
    from inference.phantom.sets.recipe import SetRecipe


class _Places(TypedDict, total=False):
    sites: tuple[int, ...]
    regions: "tuple[SpineRegion, ...]"


_STOPPED = 130  # of a shell, after Ctrl-C


def register(app: typer.Typer) -> None:
    app.command()(phantom)


def phantom(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", file_okay=False, help="A new folder, or a set to go on with.")
    ],
    patients: Annotated[int, typer.Option("--patients", metavar="N", min=1, help="How many.")] = 24,
    first: Annotated[int, typer.Option("--first", metavar="I", min=0, help="Number of the first patient.")] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help="Another seed gives other patients.")] = 1,
    difficulty: Annotated[
        float,
        typer.Option(
            "--difficulty", metavar="D", min=0.0, max=1.0, help="1: signs tell the class; 0: they say nothing."
        ),
    ] = 0.65,
    sites: Annotated[
        str, typer.Option("--sites", metavar="NUMBERS", help="Scanners, e.g. 0,3,7; without it, twelve of them.")
    ] = "",
    regions: Annotated[
        str, typer.Option("--regions", metavar="REGIONS", help="Of cervical, thoracic, lumbar, sacral; else all.")
    ] = "",
    stations: Annotated[
        int, typer.Option("--stations", metavar="N", min=1, max=2, help="2: the neighbouring part of the spine, too.")
    ] = 1,
    lesion_free: Annotated[
        float, typer.Option("--lesion-free", metavar="FRACTION", min=0.0, max=1.0, help="Patients without a lesion.")
    ] = 0.2,
    size: Annotated[int, typer.Option("--size", metavar="PIXELS", min=64, help="Rows and columns of an image.")] = 256,
    kinds: Annotated[str, typer.Option("--kinds", metavar="KINDS", help="Of T1, T2, T2FS.")] = "T1,T2,T2FS",
    truth: Annotated[
        str, typer.Option("--truth", metavar="KINDS", help="Of labelme, coco, seg, sr; or none.")
    ] = "labelme,coco",
    enhanced: Annotated[bool, typer.Option("--enhanced", help="One Enhanced MR object per series.")] = False,
    distractors: Annotated[
        bool, typer.Option("--distractors", help="Add an axial series and a localizer, which no pipeline should read.")
    ] = False,
    plain_tags: Annotated[
        bool, typer.Option("--plain-tags", help="Fill in every attribute, instead of as the site's scanners do.")
    ] = False,
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", min=1, help="Without it, one for each core.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as data.")] = False,
) -> None:
    """Make synthetic patients: DICOM, the truth beside it, and pathology.csv. No clinical meaning.

    A stopped run is gone on with by the same command. The same options give the same bytes.
    """
    quiet_logs()
    from inference.findings import SequenceKind
    from inference.phantom.patient import PhantomConfig
    from inference.phantom.sets.make import make_set
    from inference.phantom.sets.recipe import SetRecipe
    from inference.phantom.truth.write import TruthKind

    try:
        recipe = SetRecipe(
            first=first,
            count=patients,
            seed=seed,
            config=PhantomConfig(
                matrix=size,
                difficulty=difficulty,
                lesion_free_fraction=lesion_free,
                stations=stations,
                **_places(sites, regions),
            ),
            kinds=_chosen(kinds, SequenceKind, "--kinds"),
            truth=() if truth == "none" else _chosen(truth, TruthKind, "--truth"),
            enhanced=enhanced,
            distractors=distractors,
            site_habits=not plain_tags,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with _bar(shown=not as_json) as progress:
        try:
            made = make_set(recipe, out, processes=processes or _cores(), progress=progress)
        except KeyboardInterrupt:
            sys.stderr.write(f"spinenode: stopped; the same command goes on with {out}\n")
            raise typer.Exit(_STOPPED) from None
    _tell(made, recipe, out, as_json=as_json)


def _places(sites: str, regions: str) -> "_Places":
    """What was said; the rest is for the phantom to say."""
    from inference.datasets import SpineRegion

    places: _Places = {}
    if sites:
        places["sites"] = _site_numbers(sites)
    if regions:
        places["regions"] = _chosen(regions, SpineRegion, "--regions")
    return places


def _site_numbers(text: str) -> tuple[int, ...]:
    """ "0,S03" -> (0, 3): a site may be called by its name, as truth.json has it."""
    numbers = [part.strip().upper().removeprefix("S") for part in text.split(",")]
    if not all(number.isdecimal() for number in numbers):
        raise typer.BadParameter(
            f"{text!r} is no list of numbers; give those of the sites, from 0, e.g. 0,3,7", param_hint="--sites"
        )
    return tuple(dict.fromkeys(map(int, numbers)))


_Word = TypeVar("_Word", bound=StrEnum)


def _chosen(text: str, words: type[_Word], option: str) -> tuple[_Word, ...]:
    """The named members, in their own order, each once; the case of letters does not matter."""
    named = {part.strip().casefold() for part in text.split(",") if part.strip()}
    known = {word.value.casefold() for word in words}
    if not named or named - known:
        unknown = ", ".join(sorted(named - known)) or "nothing"
        raise typer.BadParameter(f"{unknown} is none of {', '.join(words)}", param_hint=option)
    return tuple(word for word in words if word.value.casefold() in named)


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def _bar(*, shown: bool) -> Iterator["Progress"]:
    """A bar on stderr; nothing where nobody watches."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    stderr = Console(stderr=True)
    with Progress(
        TextColumn("patients"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=stderr,
        disable=not (shown and stderr.is_terminal),
        transient=True,
    ) as bars:
        task = bars.add_task("patients", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _tell(made: "MadeSet", recipe: "SetRecipe", out: Path, *, as_json: bool) -> None:
    from inference.phantom.dicom.identifiers import NOTICE
    from node.commands.output import show_json, show_text

    if as_json:
        show_json({"notice": NOTICE, "set": str(out), "made": made.made, "kept": made.kept, "labels": made.labels})
        return
    words = {"none": "lesion-free"}
    labels = ", ".join(f"{count} {words.get(label, label)}" for label, count in made.labels.items())
    kept = f", {made.kept} of them there before" if made.kept else ""
    show_text(f"{out}: {recipe.count} patients{kept} ({labels}): {NOTICE}")
