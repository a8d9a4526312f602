"""What a defect is, and how it is planted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.report import ReportKind, ReportObject


class Objects:
    """The good objects of one report by kind; the first of a kind is copied when a defect takes it."""

    def __init__(self, report: Sequence[ReportObject]) -> None:
        self._good: Mapping[ReportKind, Dataset] = {made.kind: made.dataset for made in reversed(report)}
        self._taken: dict[ReportKind, Dataset] = {}

    def __getitem__(self, kind: ReportKind) -> Dataset:
        return self._taken.setdefault(kind, deepcopy(self._good[kind]))

    def planted(self) -> list[ReportObject]:
        """The structured report, and the other objects that a defect took."""
        objects: dict[ReportKind, Dataset] = {"sr": self._good["sr"], **self._taken}
        return [ReportObject(kind=kind, dataset=dataset) for kind, dataset in objects.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """`told` is what the self-check says of it, a regular expression; empty where a validator alone notices it.

    `validators` notice it as well; `kind` is the object that they read. `style` and `verdict` name the good report.
    """

    plant: Callable[[Objects], None]
    told: str
    validators: tuple[str, ...] = ()
    kind: ReportKind = "sr"
    style: str = "classic"
    verdict: str = "malignant"

    @property
    def name(self) -> str:
        return self.plant.__name__


class Collection:
    """The defects of one file, in its order."""

    def __init__(self) -> None:
        self.defects: list[Defect] = []

    def defect(
        self,
        told: str,
        *,
        validators: tuple[str, ...] = (),
        kind: ReportKind = "sr",
        style: str = "classic",
        verdict: str = "malignant",
    ) -> Callable[[Callable[[Objects], None]], Callable[[Objects], None]]:
        def keep(plant: Callable[[Objects], None]) -> Callable[[Objects], None]:
            self.defects.append(
                Defect(plant=plant, told=told, validators=validators, kind=kind, style=style, verdict=verdict)
            )
            return plant

        return keep


def content_items(parent: Dataset) -> Iterator[tuple[Dataset, Dataset]]:
    """Every content item below `parent` with the item that holds it."""
    for child in parent.get("ContentSequence", ()):
        yield parent, child
        yield from content_items(child)


def find(parent: Dataset, meaning: str, number: int = 0) -> Dataset:
    """The content item below `parent` with this concept name; `number` counts from 0 where there are several."""
    return found(parent, meaning)[number]


def found(parent: Dataset, meaning: str) -> list[Dataset]:
    return [item for _, item in content_items(parent) if _name(item) == meaning]


def remove(parent: Dataset, meaning: str, number: int | None = None) -> None:
    """Take the content item with this concept name out of the tree; all of them without a number."""
    doomed = found(parent, meaning) if number is None else [find(parent, meaning, number)]
    assert doomed
    for holder in [parent, *(item for _, item in content_items(parent))]:
        if "ContentSequence" in holder:
            holder.ContentSequence = [item for item in holder.ContentSequence if not any(item is one for one in doomed)]


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeMeaning) if names else ""
