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


def test_a_site_may_choose_the_size_of_images_and_the_number_of_proposals(tmp_path: Path) -> None:
    chosen = load_settings(write(tmp_path, "[worker]\nimage_size = 320\nproposals = 100\n")).worker
    left = load_settings(write(tmp_path, "")).worker

    assert (chosen.image_size, chosen.proposals) == (320, 100)
    assert (left.image_size, left.proposals) == (None, None)


def test_an_image_size_that_the_networks_cannot_take_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "[worker]\nimage_size = 300\nproposals = 0\n")

    message = faults_of(path)

    assert "worker.image_size: read 300: Input should be a multiple of 64" in message
    assert "worker.proposals: read 0" in message


def test_without_a_data_dir_the_default_lies_beside_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "")

    assert load_settings(path).storage.data_dir == tmp_path / "spinenode-data"


def test_the_documented_example_names_every_setting_with_its_default() -> None:
    loaded = load_settings(DEFAULT_FILE).model_dump(mode="json")
    defaults = Settings().model_dump(mode="json")
    text = DEFAULT_FILE.read_text(encoding="utf-8")

    loaded["storage"]["data_dir"] = defaults["storage"]["data_dir"]
    for part in ("receiver", "grouping", "worker", "sender", "retention", "monitoring", "storage", "reports"):
        assert loaded[part] == defaults[part]
        for key in defaults[part]:
            words = (f"{key} = ", f"[{part}.{key}]", f"[{part}.{key}.")
            assert any(word in text for word in words), f"default.toml does not document {part}.{key}"


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "1e12", "0"])
def test_a_duration_is_finite_and_at_most_thirty_days(tmp_path: Path, seconds: str) -> None:
    path = write(tmp_path, f"[grouping]\nquiet_s = {seconds}\n")

    assert "grouping.quiet_s: read" in faults_of(path)


def test_a_network_timeout_is_one_that_a_socket_takes(tmp_path: Path) -> None:
    path = write(tmp_path, "[receiver]\nnetwork_timeout_s = 2_500_000\n")

    assert "receiver.network_timeout_s: read 2500000" in faults_of(path)


DESTINATION = '[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n'


@pytest.mark.parametrize("host", ["", "   ", "two words", "pacs..hospital", "a" * 64])
def test_a_destination_needs_a_host(tmp_path: Path, host: str) -> None:
    path = write(tmp_path, f'[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "{host}"\nport = 104\n')

    assert "destinations.0.host" in faults_of(path)


@pytest.mark.parametrize("address", ["not an ip", "256.0.0.1", "", "localhost"])
def test_the_node_listens_on_an_ip_address(tmp_path: Path, address: str) -> None:
    path = write(tmp_path, f'[receiver]\nbind_address = "{address}"\n')

    message = faults_of(path)

    assert f"receiver.bind_address: read {address!r}" in message
    assert "0.0.0.0" in message  # noqa: S104 - the message tells what to write


def test_every_interface_of_ip_version_6_can_be_listened_on(tmp_path: Path) -> None:
    path = write(tmp_path, '[receiver]\nbind_address = "::"\n')

    assert load_settings(path).receiver.bind_address == "::"


def test_a_cap_below_the_first_delay_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "[sender]\nretry_base_s = 10\nretry_cap_s = 1\n")

    assert "sender.retry_cap_s 1 is less than sender.retry_base_s 10" in faults_of(path)


def test_waiting_shorter_for_a_gap_than_for_quiet_is_a_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "[grouping]\nquiet_s = 60\ngap_wait_s = 30\n")

    assert "grouping.gap_wait_s 30 is less than grouping.quiet_s 60" in faults_of(path)


def test_a_route_for_a_caller_that_is_not_let_in_is_a_fault_that_lists_the_known(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[[callers]]\nae_title = "SCANNER"\naddresses = ["10.0.0.1"]\n'
        '[[routes]]\nname = "spine"\ncallers = ["SCANER", "SCANNER", "*"]\n',
    )

    message = faults_of(path)

    assert "route 'spine' names caller 'SCANER', which no [[callers]] has; known: ['SCANNER']" in message
    assert "1 fault(s)" in message


def test_spaces_around_the_caller_of_a_route_do_not_count(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[[callers]]\nae_title = "SCANNER "\naddresses = ["10.0.0.1"]\n'
        '[[routes]]\nname = "spine"\ncallers = [" SCANNER"]\n',
    )

    assert load_settings(path).route_for("SCANNER") is not None


def test_an_unknown_variable_of_ours_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")
    monkeypatch.setenv("SPINENODE_FOO", "4")

    assert "SPINENODE_FOO: there is no such variable" in faults_of(path)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("SPINENODE_PORT", "SPINENODE_RECEIVER__PORT"),
        ("SPINENODE_RECEIVER_PORT", "SPINENODE_RECEIVER__PORT"),
        ("SPINENODE_CALLER", "SPINENODE_CALLERS"),
        ("SPINENODE_CONFG", "SPINENODE_CONFIG"),
    ],
)
def test_the_variable_that_was_meant_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str, meant: str
) -> None:
    path = write(tmp_path, "")
    monkeypatch.setenv(wrong, "4")

    assert f"did you mean {meant}?" in faults_of(path)


@pytest.mark.parametrize("name", ["SPINENODE_CONFIG", "SPINENODE_LOG_LEVEL", "SPINENODE_TEST_DATA"])
def test_variables_that_are_no_settings_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write(tmp_path, "")
    monkeypatch.setenv(name, "anything")

    assert load_settings(path) is not None


@pytest.mark.parametrize(
    ("coerce", "fault"),
    [
        ('{ NoSuchKeyword = "x" }', "'NoSuchKeyword' is no DICOM keyword"),
        ('{ StudyInstanceUID = "1.2.3" }', "StudyInstanceUID (UI) cannot be coerced"),
        ('{ PixelData = "x" }', "cannot be coerced"),
        ('{ SourceApplicationEntityTitle = "x" }', "cannot be coerced"),
        ('{ InstitutionName = "line\\nbreak" }', "printable"),
    ],
)
def test_a_coercion_changes_only_text_of_the_data_set(tmp_path: Path, coerce: str, fault: str) -> None:
    path = write(tmp_path, f"{DESTINATION}coerce = {coerce}\n")

    assert fault in faults_of(path)


def test_a_fault_in_a_web_destination_is_told_with_its_key_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[[destinations]]\nname = "web"\nurl = "ftp://pacs"\ntokem = "x"\n')

    faults = faults_of(path)

    assert "destinations.0.url: read" in faults
    assert "destinations.0.tokem: there is no such setting; did you mean 'token'?" in faults


def test_the_token_of_a_web_destination_is_never_told(tmp_path: Path) -> None:
    path = write(tmp_path, '[[destinations]]\nname = "web"\nurl = "https://pacs/dicom-web"\ntoken = 1234567\n')

    assert "1234567" not in faults_of(path)


def test_paths_of_certificates_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    tls = 'certificate = "node.pem"\nprivate_key = "node.key"\ntrusted = "ca.pem"\n'
    client = 'tls = { trusted = "pacs-ca.pem" }\n'

    settings = load_settings(write(tmp_path, f"[receiver.tls]\n{tls}{DESTINATION}{client}"))

    assert settings.receiver.tls is not None
    assert settings.receiver.tls.certificate == tmp_path / "node.pem"
    (destination,) = settings.destinations
    assert destination.tls is not None
    assert destination.tls.trusted == tmp_path / "pacs-ca.pem"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("[receiver]\nplain = false\n", "the node would listen nowhere"),
        ('[receiver.tls]\ncertificate = "a"\nprivate_key = "b"\n', "needs trusted"),
        ('[[callers]]\nae_title = "A"\naddresses = ["10.0.0.1"]\nreport_port = 104\n', "belong together"),
        ("[retention]\nlow_watermark = 0.9\n", "low_watermark 0.9 is above high_watermark 0.85"),
    ],
)
def test_settings_that_cannot_work_together_are_told(tmp_path: Path, table: str, fault: str) -> None:
    assert fault in faults_of(write(tmp_path, table))
