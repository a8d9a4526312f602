"""The site guide can be followed as it is written."""

import os
import re
import shlex
from pathlib import Path

import pytest

from config.loading import load_settings
from node.cli import main
from node.commands.configuration import doubts

GUIDE = (Path(__file__).parents[2] / "docs" / "site-guide.md").read_text(encoding="utf-8")
GROUPS = ("case", "report", "outbox", "config", "db", "quarantine")


def commands() -> list[tuple[str, ...]]:
    """Each command that the guide names, with its options and without their values."""
    found: dict[tuple[str, ...], None] = {}
    for line in re.findall(r"(?:\.venv/bin/|`)spinenode ([^`#\n]+)", GUIDE):
        words = [word for word in shlex.split(line.replace("--config FILE COMMAND", "")) if word]
        names = words[: 2 if words and words[0] in GROUPS else 1]
        found[*names, *(word for word in words if word.startswith("--"))] = None
    return [command for command in found if command]


def test_the_settings_of_the_guide_are_valid_and_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SPINENODE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "spinenode.toml").write_text("\n".join(re.findall(r"```toml\n(.*?)```", GUIDE, flags=re.DOTALL)))

    settings = load_settings(tmp_path / "spinenode.toml")

    assert settings.routes
    assert doubts(settings) == []


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_of_the_guide_exists_with_its_options(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    names = [word for word in command if not word.startswith("--")]

    assert main([*names, "--help"]) == 0

    shown = capsys.readouterr().out
    assert f"spinenode {' '.join(names)}" in shown
    assert all(option in shown for option in command if option.startswith("--"))
