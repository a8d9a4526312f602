"""What cannot be done ends with one line on stderr and status 1, wrong usage with status 2; never with a traceback."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from node.cli import main
from tests.node.micro_bundle import write_micro_bundle

HUGE = "99999999999999999999999"
PASSWORD = "hunter2"  # noqa: S105 - what must not be shown


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logging_as_before: None) -> None:
    for name in [name for name in os.environ if name.startswith("SPINENODE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "micro"
    write_micro_bundle(folder)
    return folder


WriteSettings = Callable[[str], None]


@pytest.fixture
def write_settings(bundle: Path) -> WriteSettings:
    """Writes a settings file with these lines of [storage] into the current folder."""

    def write(storage: str) -> None:
        Path("spinenode.toml").write_text(
            f'[receiver]\nport = 0\nbind_address = "127.0.0.1"\n[worker]\nbundle = "{bundle}"\n[storage]\n{storage}\n'
        )

    return write


def line_on_stderr(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("spinenode: ")
    return err


@pytest.mark.parametrize("data_dir", ["/proc/nope", "/proc", "a-file", "a-file/below"])
def test_serve_names_a_data_dir_that_cannot_be_written(
    data_dir: str, write_settings: WriteSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a-file").touch()
    write_settings(f'data_dir = "{data_dir}"')

    status = main(["serve"])

    assert status == 1
    assert data_dir in line_on_stderr(capsys)


def test_serve_says_what_to_do_on_a_read_only_disk(
    write_settings: WriteSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_settings('data_dir = "data"')

    def refuse(**_keywords: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("node.commands.serving.tempfile.TemporaryFile", refuse)

    assert main(["serve"]) == 1
    message = line_on_stderr(capsys)
    assert "Read-only file system" in message
    assert "storage.data_dir" in message


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        f"sqlite://user:{PASSWORD}@host/path",
        f"garbage {PASSWORD}",
        f"postgresql+nodriver://user:{PASSWORD}@host/x",
        f"postgresql+psycopg://user:{PASSWORD}@host:port/x",
    ],
)
def test_serve_refuses_a_database_url_without_repeating_it(
    url: str, write_settings: WriteSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_settings(f'data_dir = "data"\ndatabase_url = "{url}"')

    status = main(["serve"])

    assert status == 1
    message = line_on_stderr(capsys)
    assert "sqlite:///<path>" in message
    assert PASSWORD not in message


@pytest.mark.parametrize("out", ["a-file", "a-file/below", "/proc/nope"])
def test_demo_names_a_folder_that_cannot_be_made(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a-file").touch()

    status = main(["demo", "--out", out])

    assert status == 1
    assert out in line_on_stderr(capsys)


def test_demo_leaves_a_folder_of_others_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "letter.txt").touch()

    status = main(["demo", "--out", "theirs"])

    assert status == 1
    assert "letter.txt" in line_on_stderr(capsys)
    assert [one.name for one in (tmp_path / "theirs").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    "command",
    [
        ("case", "show", HUGE),
        ("case", "show", "0"),
        ("case", "release", HUGE, "--reason", "x"),
        ("case", "reject", HUGE, "--reason", "x"),
        ("outbox", "retry", HUGE),
        ("outbox", "list", "--limit", HUGE),
    ],
)
def test_a_number_that_no_row_can_have_is_wrong_usage(
    command: tuple[str, ...], write_settings: WriteSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    write_settings('data_dir = "data"')
    assert main(["db", "upgrade"]) == 0

    status = main(list(command))

    assert status == 2
    assert "Invalid value" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--called", "ThisIsWayTooLongForAnAETitle"),
        ("--called", ""),
        ("--calling", "é\\"),
        ("--to", "127.0.0.1:²"),
        ("--to", "127.0.0.1:٣"),
        ("--timeout", "inf"),
        ("--timeout", "nan"),
    ],
)
def test_send_refuses_what_no_peer_could_be_asked_with(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"--called": "PACS", "--to": "127.0.0.1:1", option: value}

    status = main(["send", str(tmp_path), *(word for pair in arguments.items() for word in pair)])

    assert status == 2
    assert option in capsys.readouterr().err


def test_a_refusal_of_the_system_names_the_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr("config.loading.load_settings", refuse)

    assert main(["status"]) == 1
    assert line_on_stderr(capsys) == "spinenode: cannot use /some/where: Permission denied\n"
