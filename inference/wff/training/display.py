"""What a person sees of a training: one bar per stage, with the loss and the time that is left."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Update = Callable[[int, str], None]  # done so far, what to say beside it


class Display(Protocol):
    def stage(self, what: str, total: int) -> Update: ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Silent:
    """Keeps what was said, for tests and for callers that show it later."""

    said: list[str] = field(default_factory=list)

    def stage(self, what: str, total: int) -> Update:
        self.said.append(what)
        return _nothing

    def say(self, text: str) -> None:
        self.said.append(text)


class Bars:
    """A context manager over rich's progress bars."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )

    def stage(self, what: str, total: int) -> Update:
        bar = self._progress.add_task(what, total=total, note="")
        return lambda done, note: self._progress.update(bar, completed=done, note=note)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def _nothing(done: int, note: str) -> None:
    pass
