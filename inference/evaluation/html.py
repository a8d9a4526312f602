"""Self-contained HTML: every value is escaped, no script runs, nothing is loaded from elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root { --ink: #1b2430; --quiet: #55606e; --rule: #cfd6de; --panel: #f4f6f9; --warn: #b45309; --accent: #0072b2; }
* { box-sizing: border-box; }
body { color: var(--ink); background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
  margin: 0 auto; max-width: 70rem; padding: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { border-top: 1px solid var(--rule); font-size: 1.2rem; margin: 2.25rem 0 .5rem; padding-top: 1rem; }
p { margin: .5rem 0; max-width: 48rem; } .quiet { color: var(--quiet); }
.notice { border: 2px solid var(--warn); border-left-width: .6rem; border-radius: 4px; margin: .75rem 0;
  padding: .5rem 1rem; }
.notice strong { color: var(--warn); }
dl { background: var(--panel); border-radius: 4px; display: grid; gap: .5rem 1.5rem; margin: .75rem 0;
  grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); padding: .75rem 1rem; }
dt { color: var(--quiet); font-size: .85rem; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .75rem 0; min-width: 24rem; }
caption { font-weight: 600; padding-bottom: .4rem; text-align: left; }
caption .head { color: var(--warn); display: block; font-size: .85rem; }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .6rem; text-align: right; vertical-align: top; }
td, tbody th { white-space: nowrap; }
th:first-child, td:first-child { padding-left: .35rem; text-align: left; }
thead th { font-size: .85rem; vertical-align: bottom; }
thead tr:last-child th { border-bottom: 2px solid var(--quiet); }
thead th[colspan] { text-align: center; }
tbody th { font-weight: normal; }
tr.main > * { background: #e8f2fa; font-weight: 600; } tr.main > th { box-shadow: inset 4px 0 var(--accent); }
td small { color: var(--quiet); display: block; font-size: .8rem; font-weight: normal; line-height: 1.3; }
.scroll { overflow-x: auto; }
.meaning { border-left: 4px solid var(--accent); margin: 1rem 0; padding: .1rem 1rem; }
.figures { display: grid; gap: 1rem 1.5rem; grid-template-columns: repeat(auto-fit, minmax(25rem, 1fr)); }
figure { margin: .5rem 0; break-inside: avoid; } figure svg { display: block; height: auto; max-width: 100%; }
.beside { align-items: start; display: grid; gap: 0 2rem; grid-template-columns: repeat(auto-fit, minmax(25rem, 1fr)); }
figcaption { color: var(--quiet); font-size: .9rem; max-width: 34rem; }
figcaption b { color: var(--ink); } figcaption .head { color: var(--warn); font-weight: 600; }
@media print {
  body { font-size: 10pt; max-width: none; padding: 0; } h2 { break-after: avoid; }
  thead { display: table-header-group; }
  tr, .notice, dl { break-inside: avoid; } .scroll { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


@dataclass(frozen=True, slots=True)
class Cell:
    value: str
    below: str = ""  # small, under the value: its interval


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cells: tuple[Cell, ...]
    is_main: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    caption: str
    columns: tuple[str, ...]  # the first is of the names of the rows
    rows: tuple[Row, ...]
    groups: tuple[tuple[str, int], ...] = ()  # over the columns after the first: name and number of columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    title: str
    how_to_read: str  # one sentence
    alternative: str  # what the picture shows, for those who do not see it
    svg: str


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page; `title` is text, `parts` are HTML."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title><style>{_STYLE}</style></head>
<body><main>
{chr(10).join(part for part in parts if part)}
</main></body></html>
"""


def text(value: object) -> str:
    """Text that can stand between tags and in attributes; control characters become a question mark."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return escape(printable).replace(" %", "&nbsp;%")


def title_line(value: str) -> str:
    return f"<h1>{text(value)}</h1>"


def heading(value: str) -> str:
    return f"<h2>{text(value)}</h2>"


def paragraph(value: str, *, css_class: str = "") -> str:
    return f'<p class="{css_class}">{text(value)}</p>' if css_class else f"<p>{text(value)}</p>"


def notice(first: str, rest: str) -> str:
    return f'<div class="notice" role="note"><strong>{text(first)}.</strong> {text(rest)}</div>'


def meaning(says: str, does_not_say: str) -> str:
    return (
        f'<div class="meaning"><p><b>What this says.</b> {text(says)}</p>'
        f"<p><b>What it does not say.</b> {text(does_not_say)}</p></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    entries = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs)
    return f"<dl>{entries}</dl>"


def table(content: Table, *, head: str = "") -> str:
    """`head` stands over the caption: what every reader must know first."""
    columns = "".join(f'<th scope="col">{text(name)}</th>' for name in content.columns)
    rows = "".join(_row(row) for row in content.rows)
    return (
        f'<div class="scroll"><table><caption>{_head(head)}{text(content.caption)}</caption>'
        f"<thead>{_groups(content)}<tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def figures(contents: Sequence[Figure], *, head: str = "") -> str:
    return f'<div class="figures">{"".join(_figure(one, head) for one in contents)}</div>' if contents else ""


def beside(*parts: str) -> str:
    """Parts side by side where the window is wide enough."""
    return f'<div class="beside">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def _groups(content: Table) -> str:
    if not content.groups:
        return ""
    names = "".join(f'<th scope="colgroup" colspan="{span}">{text(name)}</th>' for name, span in content.groups)
    return f"<tr><td></td>{names}</tr>"


def _row(row: Row) -> str:
    css_class = ' class="main"' if row.is_main else ""
    return f'<tr{css_class}><th scope="row">{text(row.name)}</th>{"".join(map(_cell, row.cells))}</tr>'


def _cell(cell: Cell) -> str:
    below = f"<small>{text(cell.below)}</small>" if cell.below else ""
    return f"<td>{text(cell.value)}{below}</td>"


def _figure(one: Figure, head: str) -> str:
    picture = one.svg.replace("<svg ", f'<svg role="img" aria-label="{text(one.alternative)}" ', 1)
    return (
        f"<figure>{picture}<figcaption>{_head(head)}<b>{text(one.title)}.</b> {text(one.how_to_read)}"
        "</figcaption></figure>"
    )


def _head(head: str) -> str:
    return f'<span class="head">{text(head)}. </span>' if head else ""
