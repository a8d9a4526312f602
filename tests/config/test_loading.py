"""The settings file: what is read, what overrides it, and how faults are told."""

import json
from pathlib import Path

import pytest

from config.loading import DEFAULT_FILE, find_config, load_settings
from config.settings import ConfigError, Settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.upper().startswith("SPINENODE_")]:
        monkeypatch.delenv(name)


def write(folder: Path, text: str) -> Path:
    path = folder / "spinenode.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return str(caught.value)


def test_a_value_of_the_file_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, '[receiver]\nae_title = "SPINE1"\nport = 4104\n')

    settings = load_settings(path)

    assert (settings.receiver.ae_title, settings.receiver.port) == ("SPINE1", 4104)


def test_the_environment_overrides_one_key_and_leaves_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, '[receiver]\nae_title = "SPINE1"\nport = 4104\n')
    monkeypatch.setenv("SPINENODE_RECEIVER__PORT", "5104")

    settings = load_settings(path)

    assert (settings.receiver.ae_title, settings.receiver.port) == ("SPINE1", 5104)


def test_a_list_can_come_from_the_environment_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")
    callers = [{"ae_title": "MR1", "addresses": ["10.0.0.0/8"]}]
    monkeypatch.setenv("SPINENODE_CALLERS", json.dumps(callers))

    assert load_settings(path).callers[0].ae_title == "MR1"


def test_all_faults_are_listed_at_once_with_key_and_value(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[receiver]\nport = 99999\nae_title = "a title that is far too long"\n[grouping]\nquiet_s = -1\n',
    )

    message = faults_of(path)

    assert "3 fault(s)" in message
    assert "receiver.port: read 99999: Input should be less than or equal to 65535" in message
    assert "receiver.ae_title: read 'a title that is far too long': an AE title has 1 to 16" in message
    assert "grouping.quiet_s: read -1" in message


def test_an_unknown_key_is_a_fault_and_the_near_one_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, '[reciever]\n[receiver]\nprot = 1\n[[routes]]\nname = "a"\nresult_to = []\n')

    message = faults_of(path)

    assert "reciever: there is no such setting; did you mean 'receiver'?" in message
    assert "receiver.prot: there is no such setting; did you mean 'port'?" in message
    assert "routes.0.result_to: there is no such setting; did you mean 'results_to'?" in message


def test_a_misspelt_part_in_the_environment_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")
    monkeypatch.setenv("SPINENODE_RECIEVER__PORT", "104")

    assert "SPINENODE_RECIEVER__PORT" in faults_of(path)


def test_a_broken_list_in_the_environment_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")
    monkeypatch.setenv("SPINENODE_CALLERS", "MR1")

    assert "JSON" in faults_of(path)


def test_a_route_to_an_unknown_destination_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, '[[routes]]\nname = "spine"\nresults_to = ["archive"]\n')

    assert "'archive'; known: none" in faults_of(path)


def test_the_database_url_never_appears_in_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, '[storage]\ndatabase_url = ["postgresql://user:hunter2@db"]\n')

    message = faults_of(path)

    assert "storage.database_url" in message
    assert "hunter2" not in message


def test_a_file_that_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, "[receiver\n")

    assert "line 1" in faults_of(path)


def test_a_missing_file_tells_the_next_step(tmp_path: Path) -> None:
    message = faults_of(tmp_path / "absent.toml")

    assert "absent.toml" in message
    assert "spinenode config init" in message


def test_the_file_named_in_the_environment_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, "")

    assert find_config(None, {"SPINENODE_CONFIG": str(path)}) == path


def test_relative_paths_of_the_file_count_from_its_folder(tmp_path: Path) -> None:
    path = write(tmp_path, '[storage]\ndata_dir = "data"\n[worker]\nbundle = "models/one"\n')

    settings = load_settings(path)

    assert settings.storage.data_dir == tmp_path / "data"
    assert settings.worker.bundle == tmp_path / "models" / "one"


def test_without_a_data_dir_the_default_lies_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "")

    assert load_settings(path).storage.data_dir == tmp_path / "spinenode-data"


def test_the_documented_example_names_every_setting_with_its_default() -> None:
    loaded = load_settings(DEFAULT_FILE).model_dump(mode="json")
    defaults = Settings().model_dump(mode="json")
    text = DEFAULT_FILE.read_text(encoding="utf-8")

    loaded["storage"]["data_dir"] = defaults["storage"]["data_dir"]
    for part in ("receiver", "grouping", "worker", "sender", "storage", "reports"):
        assert loaded[part] == defaults[part]
        for key in defaults[part]:
            assert f"{key} = " in text, f"default.toml does not document {part}.{key}"
