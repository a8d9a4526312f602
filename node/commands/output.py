"""How commands answer: tables for people, JSON for programs; both on stdout."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WIDTH_WITHOUT_TERMINAL = 160  # columns of a table that goes into a file or a pipe


def console() -> Console:
    """A console on today's stdout, which tests and pipes replace."""
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(width=width, highlight=False, soft_wrap=False)


def show_json(data: Any) -> None:
    sys.stdout.write(_printable(json.dumps(data, indent=2, ensure_ascii=False, default=_plain)) + "\n")


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Values are shown as text; times to the second, None as nothing."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if table.row_count:
        console().print(table)
    else:
        show_text(f"{title}: none")


def show_text(text: str) -> None:
    console().print(_printable(text), markup=False)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    return _printable(str(value)).replace("[", r"\[")  # rich would read brackets as markup


def _printable(text: str) -> str:
    """Names of files that are no UTF-8, and half surrogates of JSON, with the replacement character."""
    return _SURROGATE.sub("\ufffd", text)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be shown as JSON")
