"""Self-contained HTML pages. What comes from an object is escaped; no script runs, nothing is loaded from elsewhere."""

import unicodedata
from collections.abc import Iterable
from html import escape
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --quiet: #5a6675; --rule: #c9d0d9; --panel: #f3f5f8; --link: #1a5fb4; }
@media (prefers-color-scheme: dark) {
  :root { --quiet: #a0acba; --rule: #3a4452; --panel: #181e27; --link: #78aaeb; }
  body { background: #0d1117; color: #ecf0f5; }
}
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
a { color: var(--link); }
.quiet, .code, .uid { color: var(--quiet); } .uid { font: .85em ui-monospace, monospace; overflow-wrap: anywhere; }
.value { overflow-wrap: anywhere; white-space: pre-wrap; }
[title] { text-decoration: underline dotted var(--rule); text-underline-offset: 3px; }
.container { border-left: 3px solid var(--rule); margin: .6rem 0 .6rem .2rem; padding-left: 1rem; }
.container > .name { font-weight: 600; }
.item { margin: .15rem 0; } .item > .item { margin-left: 1.5rem; }
.name::after { content: ": "; } .container > .name::after { content: ""; }
.relationship { color: var(--quiet); font-size: .85em; font-style: italic; margin-right: .4em; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { border-bottom: 1px solid var(--rule); padding: .25rem 1rem .25rem 0; text-align: left; vertical-align: top; }
th { color: var(--quiet); font-weight: normal; white-space: nowrap; }
figure { background: var(--panel); display: inline-block; margin: 0 1rem 1rem 0; padding: .75rem; vertical-align: top; }
figure img { display: block; max-height: 26rem; max-width: 100%; } figcaption { margin-top: .4rem; max-width: 22rem; }
.warning { border: 2px solid #d99a1c; border-radius: 4px; margin: 1rem 0; padding: .5rem 1rem; }
"""
# No script at all, and pictures only from beside the page
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' file:"


def page(title: str, *parts: str) -> bytes:
    """A whole page; `title` is text, `parts` are HTML."""
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(title)}</title><style>{_STYLE}</style></head>
<body>
<h1>{text(title)}</h1>
{body}
</body></html>
""".encode()


def text(value: object) -> str:
    """Text that can stand between tags and in attributes; what no page may hold becomes a question mark."""
    return escape("".join(c if _may_stand(c) else "\N{REPLACEMENT CHARACTER}" for c in str(value)))


def _may_stand(character: str) -> bool:
    """Letters, spaces of any width (Japanese names have wide ones) and ends of lines; no control characters."""
    return character.isprintable() or character in "\n\r\t" or unicodedata.category(character) == "Zs"


def span(css_class: str, value: object, *, hover: str = "") -> str:
    title = f' title="{text(hover)}"' if hover else ""
    return f'<span class="{css_class}"{title}>{text(value)}</span>'


def paragraph(value: str, *, css_class: str = "") -> str:
    return f'<p class="{css_class}">{text(value)}</p>' if css_class else f"<p>{text(value)}</p>"


def heading(value: str) -> str:
    return f"<h2>{text(value)}</h2>"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values, both text; rows without a value are left out."""
    cells = (f'<tr><th>{text(name)}</th><td class="value">{text(value)}</td></tr>' for name, value in rows if value)
    return f"<table>{''.join(cells)}</table>"


def figure(file: str, caption: str) -> str:
    return (
        f'<figure><a href="{text(file)}"><img src="{text(file)}" alt="{text(caption)}"></a>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def link(file: str, caption: str) -> str:
    return f'<a href="{text(file)}">{text(caption)}</a>'
