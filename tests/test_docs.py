"""The pages of docs/ say what the code does."""

import re
from pathlib import Path

import pytest

from node.storage_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_conformance_statement_names_every_sop_class_and_transfer_syntax_and_no_other() -> None:
    statement = (ROOT / "docs" / "conformance.md").read_text()

    named = set(re.findall(r"^\| [^|]+ \| (1\.2\.840\.10008\.[\d.]+) ", statement, flags=re.MULTILINE))

    assert named == {str(one) for one in (*STORAGE_CLASSES, *TRANSFER_SYNTAXES)}


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
