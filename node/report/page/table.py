"""The table of the PDF page: what each sequence says, and what follows for the patient. Sizes in points."""

from dataclasses import dataclass
from typing import Final

from inference.findings import Findings, SequenceVote, SeriesUsed, Verdict
from node.report import wording
from node.report.page.blocks import NAMES_ALL, NORMAL, SMALL, Block
from node.report.page.sheet import INK, INNER, MARGIN, PANEL, QUIET, WIDTH, Sheet, shortened
from node.report.pictures import drawing
from node.report.typeface import Weight

_MOST_ROWS: Final = 9
_ROW: Final = 14.5
_HEAD: Final = 21.0
_GAP: Final = 6.0  # between columns
_INSET: Final = 4.0  # of words in a column


@dataclass(frozen=True, slots=True)
class _Column:
    title: tuple[str, str]  # two lines
    width: float
    is_number: bool = True


_COLUMNS: Final = (
    _Column(("", "Sequence"), 92.0, is_number=False),
    _Column(("", "Recognised by"), 115.0, is_number=False),
    _Column(("", "Slices"), 38.0),
    _Column(("voting", "slices"), 38.0),
    _Column(("voting", "malignant"), 50.0),
    _Column(("mean", "probability"), 55.0),
    _Column(("sequence", "classifier"), 52.0),
    _Column(("", "Says"), 83.0, is_number=False),
)


@dataclass(frozen=True, slots=True)
class _Row:
    cells: tuple[str, ...]
    verdict: Verdict | None = None
    weight: Weight = "regular"


def vote_table(findings: Findings, palette: drawing.Palette) -> Block:
    """One row per sequence that was read, and one for the patient where there is a decision."""
    rows, more = _sequence_rows(findings)
    last = _patient_row(findings)
    height = _HEAD + _ROW * (len(rows) + (more > 0) + (last is not None))

    def draw(sheet: Sheet, y: float) -> None:
        _draw_head(sheet, y)
        y += _HEAD
        for row in rows:
            _draw_row(sheet, y, row, palette)
            y += _ROW
        if more:
            text = f"And {wording.counted(more, 'more sequence')}; {NAMES_ALL}"
            sheet.text(MARGIN + _INSET, y + 0.5 * _ROW, text, size=NORMAL, colour=QUIET)
            y += _ROW
        if last is not None:
            sheet.rectangle(MARGIN, y, INNER, _ROW, fill=PANEL)
            _draw_row(sheet, y, last, palette)

    return Block(height=height, draw=draw)


def _sequence_rows(findings: Findings) -> tuple[list[_Row], int]:
    """The rows, and how many sequences have none; those that vote come before those that do not."""
    votes = {vote.series_instance_uid: vote for vote in findings.sequences if vote.verdict is not None}
    kept = sorted(findings.series_used, key=lambda series: series.series_instance_uid not in votes)[:_MOST_ROWS]
    read = {vote.series_instance_uid for vote in findings.sequences}
    rows = [
        _row(series, votes.get(series.series_instance_uid), was_read=series.series_instance_uid in read)
        for series in findings.series_used
        if series in kept
    ]
    return rows, len(findings.series_used) - len(rows)


def _patient_row(findings: Findings) -> _Row | None:
    decision = findings.decision
    if decision is None:
        return None
    voting = [image for vote in findings.sequences for image in vote.votes]
    cells = (
        "All sequences",
        "",
        str(sum(len(series.images) for series in findings.series_used)),
        str(len(voting)),
        str(sum(image.verdict is Verdict.MALIGNANT for image in voting)),
        wording.percent(decision.probability_malignant),
        "",
        decision.verdict.value.upper(),
    )
    return _Row(cells, decision.verdict, "bold")


def _row(series: SeriesUsed, vote: SequenceVote | None, *, was_read: bool) -> _Row:
    name, evidence, images = wording.KIND[series.kind], series.kind_evidence, str(len(series.images))
    if vote is None or vote.verdict is None:
        return _Row((name, evidence, images, "0", "0", "-", "-", "no lesion" if was_read else "no vote"))
    cells = (
        name,
        evidence,
        images,
        str(len(vote.votes)),
        str(wording.malignant_votes(vote)),
        _percent(vote.mean_probability),
        _percent(vote.classifier_probability),
        vote.verdict.value + (", tie" if vote.tie else ""),
    )
    return _Row(cells, vote.verdict)


def _percent(probability: float | None) -> str:
    return "-" if probability is None else wording.percent(probability)


def _draw_head(sheet: Sheet, y: float) -> None:
    x = MARGIN
    for column in _COLUMNS:
        for text, middle in zip(column.title, (y + 6.5, y + 15.0), strict=True):
            _draw_cell(sheet, column, (x, middle), text, size=SMALL, colour=QUIET)
        x += column.width
    sheet.rule(MARGIN, WIDTH - MARGIN, y + _HEAD)


def _draw_row(sheet: Sheet, y: float, row: _Row, palette: drawing.Palette) -> None:
    x, middle = MARGIN, y + 0.5 * _ROW
    for column, cell in zip(_COLUMNS, row.cells, strict=True):
        inset = _INSET
        if column is _COLUMNS[-1] and row.verdict is not None:
            colour = drawing.verdict_colours(palette)[row.verdict]
            sheet.rectangle(x + _INSET, middle - 3.5, 7.0, 7.0, fill=colour, line=INK)
            inset += 11.0
        _draw_cell(sheet, column, (x, middle), cell, size=NORMAL, weight=row.weight, inset=inset)
        x += column.width
    sheet.rule(MARGIN, WIDTH - MARGIN, y + _ROW, width=0.4)


def _draw_cell(
    sheet: Sheet,
    column: _Column,
    at: tuple[float, float],
    text: str,
    *,
    size: float,
    colour: drawing.Colour = INK,
    weight: Weight = "regular",
    inset: float = _INSET,
) -> None:
    x, middle = at
    text = shortened(text, size, column.width - inset, weight=weight)
    if column.is_number:
        right = x + column.width - _GAP
        sheet.text(right, middle, text, size=size, colour=colour, weight=weight, anchor="right")
    else:
        sheet.text(x + inset, middle, text, size=size, colour=colour, weight=weight)
