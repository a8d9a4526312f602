"""The page and the numbers of an explanation."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

PAGE: Final = "explanation.html"
NUMBERS: Final = "explanation.json"


class Seen(HTMLParser):
    """What a page shows and what it loads."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.spoken: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.loaded += [given[name] or "" for name in ("src", "href") if name in given]
        self.spoken += [given["alt"] or ""] if tag == "img" else []

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def seen(folder: Path) -> Seen:
    return Seen((folder / PAGE).read_text(encoding="utf-8"))


def numbers(folder: Path) -> Any:
    return json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
