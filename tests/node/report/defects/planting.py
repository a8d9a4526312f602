"""What a defect is, and how it is planted."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

from pydicom.dataset import Dataset

from config.codes import Code
from node.report import ReportKind, ReportObject


class Objects:
    """The good objects of one report; what a defect takes is copied."""

    def __init__(self, report: Sequence[ReportObject]) -> None:
        self._report = report
        self._copies: dict[int, Dataset] = {}
        self._lost: set[int] = set()

    def __getitem__(self, kind: ReportKind) -> Dataset:
        """The first of a kind."""
        return self._copy(next(index for index, made in enumerate(self._report) if made.kind == kind))

    def every(self, *kinds: ReportKind) -> list[Dataset]:
        """All of these kinds; all objects where none is named."""
        return [self._copy(index) for index, made in enumerate(self._report) if made.kind in kinds or not kinds]

    def lose(self, kind: ReportKind) -> None:
        """Take the last of a kind out of the report."""
        self._lost.add(max(index for index, made in enumerate(self._report) if made.kind == kind))

    def planted(self) -> list[ReportObject]:
        """The structured report, and all objects of the kinds that a defect took."""
        kinds = {"sr", *(self._report[index].kind for index in self._copies)}
        return [
            ReportObject(kind=made.kind, dataset=self._copies.get(index, made.dataset))
            for index, made in enumerate(self._report)
            if made.kind in kinds and index not in self._lost
        ]

    def _copy(self, index: int) -> Dataset:
        if index not in self._copies:
            self._copies[index] = deepcopy(self._report[index].dataset)
        return self._copies[index]


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


def say(item: Dataset, value: str) -> None:
    """Another number in a measured value."""
    item.NumericValue = value
    if "FloatingPointValue" in item:
        item.FloatingPointValue = float(value)


def answer(item: Dataset, code: Code) -> None:
    """Another coded value in a content item."""
    coded = item.ConceptCodeSequence[0]
    coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning = code.value, code.scheme, code.meaning


def reword(document: Dataset, old: str, new: str) -> None:
    touched = 0
    for _, item in content_items(document):
        if old in item.get("TextValue", ""):
            item.TextValue = item.TextValue.replace(old, new)
            touched += 1
    assert touched
