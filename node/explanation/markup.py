"""HTML of the explanation page: one file, no script, nothing loaded from elsewhere. Text is escaped."""

from collections.abc import Iterable, Sequence
from typing import Final

from node.report_view.html_page import text

_STYLE: Final = """
:root { color-scheme: light; --ink: #1b2430; --quiet: #55606e; --rule: #cfd6de; --panel: #f4f6f9; --warn: #b45309;
  --d: #0072b2; --m: #e69f00; --a: #009e73; }
* { box-sizing: border-box; }
body { background: #fff; color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
  margin: 0 auto; max-width: 76rem; padding: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .75rem 0 .25rem; }
h2 { border-top: 1px solid var(--rule); font-size: 1.2rem; margin: 2.25rem 0 .5rem; padding-top: 1rem; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
p { margin: .5rem 0; max-width: 52rem; } .quiet { color: var(--quiet); } .lead { font-size: 1.1rem; }
.notice { border: 2px solid var(--warn); border-left-width: .6rem; border-radius: 4px; margin: .75rem 0;
  padding: .5rem 1rem; }
.notice strong { color: var(--warn); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .75rem 0; }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top; }
td, tbody th { white-space: nowrap; }
thead th { border-bottom: 2px solid var(--quiet); font-size: .85rem; vertical-align: bottom; }
tbody th { font-weight: normal; } td.number, th.number { text-align: right; }
tr.main > * { background: #e8f2fa; font-weight: 600; }
tr.main > th { box-shadow: inset 4px 0 var(--d); padding-left: .6rem; }
.scroll { overflow-x: auto; }
.turns { font-weight: 600; } .turns::before { content: "\\25b2 "; color: var(--warn); }
.beside { align-items: start; display: grid; gap: 0 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(27rem, 1fr)); }
.bar { background: var(--panel); border: 1px solid var(--rule); display: flex; height: 1.1rem; margin-top: .15rem;
  position: relative; width: 14rem; }
.bar i { display: block; height: 100%; } .bar .d { background: var(--d); } .bar .m { background: var(--m); }
.bar .a { background: var(--a); }
.bar::after { border-left: 2px dashed var(--ink); content: ""; height: 1.5rem; left: var(--turn); position: absolute;
  top: -.25rem; }
.key { align-items: center; color: var(--quiet); display: flex; flex-wrap: wrap; font-size: .9rem; gap: .25rem 1.25rem;
  margin: .5rem 0; }
.key i { border: 1px solid var(--rule); display: inline-block; height: .8rem; margin-right: .4rem;
  vertical-align: -.1rem; width: 1.6rem; }
.key i.line { background: #444; border: 2px solid; } .key i.dashed { border-style: dashed; }
.key i.ramp { background: linear-gradient(90deg, #777, #d8ce4a); border: 0; width: 4rem; }
.seen { align-items: start; display: grid; gap: .75rem; grid-template-columns: auto 1fr; margin: .75rem 0; }
.pictures { align-items: start; display: flex; flex-wrap: wrap; gap: .75rem; }
@media (max-width: 60rem) { .seen { grid-template-columns: 1fr; } }
figure { background: var(--panel); border-radius: 4px; break-inside: avoid; margin: 0; padding: .5rem; }
figure .pair { display: flex; gap: 4px; } figure img { display: block; }
figcaption { color: var(--quiet); font-size: .85rem; margin-top: .3rem; }
@media print { body { font-size: 10pt; max-width: none; padding: 0; } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } .scroll { overflow: visible; } }
"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

Cell = str  # HTML


def page(title: str, parts: Iterable[str]) -> bytes:
    """`title` is text, `parts` are HTML."""
    body = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title><style>{_STYLE}</style></head>
<body><main>
{body}
</main></body></html>
""".encode()


def paragraph(value: str, *, css_class: str = "") -> str:
    if not value:
        return ""
    return f'<p class="{css_class}">{text(value)}</p>' if css_class else f"<p>{text(value)}</p>"


def heading(value: str, *, level: int = 2) -> str:
    return f"<h{level}>{text(value)}</h{level}>"


def notice(first: str, rest: str) -> str:
    return f'<div class="notice" role="note"><strong>{text(first)}.</strong> {text(rest)}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Iterable[int] = ()) -> str:
    """The first cell names the row, in bold where it begins with "*"; cells of the columns `numbers` stand right."""
    right = set(numbers)
    head = "".join(f'<th scope="col"{_right(n in right)}>{text(name)}</th>' for n, name in enumerate(columns))
    body = "".join(_row(row, right) for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(row: Sequence[Cell], right: set[int]) -> str:
    first, main = row[0].removeprefix("*"), row[0].startswith("*")
    cells = "".join(f"<td{_right(n in right)}>{cell}</td>" for n, cell in enumerate(row) if n)
    return f'<tr{" class=main" if main else ""}><th scope="row">{first}</th>{cells}</tr>'


def _right(is_right: bool) -> str:
    return ' class="number"' if is_right else ""


def beside(*parts: str) -> str:
    return f'<div class="beside">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def bar(shares: Sequence[tuple[str, float]], spoken: str, *, turn: float) -> str:
    """Parts of 1 side by side, each with the letter of its class; a dashed line stands at `turn`."""
    parts = "".join(f'<i class="{letter}" style="width:{100 * share:.2f}%"></i>' for letter, share in shares)
    return f'<div class="bar" style="--turn:{100 * turn:.2f}%" role="img" aria-label="{text(spoken)}">{parts}</div>'


def picture(url: str, spoken: str) -> str:
    return f'<img src="{url}" alt="{text(spoken)}">'


def figure(pictures: Sequence[str], caption: str) -> str:
    return f'<figure><div class="pair">{"".join(pictures)}</div><figcaption>{text(caption)}</figcaption></figure>'


def figures(first: str, others: Sequence[str]) -> str:
    """One large figure and the small ones beside it."""
    return f'<div class="seen">{first}<div class="pictures">{"".join(others)}</div></div>'
