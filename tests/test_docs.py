"""The pages of docs/ say what the code does."""

import re
from pathlib import Path

import pytest

from node.conformance import TABLES, with_tables

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_tables_of_the_conformance_statement_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "conformance.md").read_text()

    assert all(f"<!-- table: {name} -->" in page for name in TABLES)
    assert with_tables(page) == page, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_proof_that_the_guarantees_name_exists() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)

    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (ROOT / file).is_file() or (test and f"def {test}(" not in (ROOT / file).read_text())
    ]

    assert len(named) > 25
    assert missing == []
