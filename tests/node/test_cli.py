"""The commands as an operator types them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from config.settings import Settings
from inference.findings import BundleIdentity, Findings, SequenceKind, SeriesUsed, Status
from inference.findings_json import to_json
from node.cli import main
from node.embedded_archive import EmbeddedArchive
from node.grouping import complete_cases, place_new_instances
from storage import cases
from storage.database import Database, upgrade
from storage.files import FileStore
from storage.schema import CaseRow, CaseState, DeliveryRow, DeliveryState, ReportObjectRow
from tests.node.case_images import PATIENT_ID, PATIENT_NAME, mr_image, take_in
from tests.node.conftest import Clock
from tests.node.micro_bundle import write_micro_bundle

HEAVY = ("torch", "torchvision", "pydicom", "highdicom", "pynetdicom", "sqlalchemy", "alembic", "numpy", "apscheduler")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logging_as_before: None) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("SPINENODE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "micro"
    write_micro_bundle(folder)
    return folder


Run = Callable[..., Any]


class Terminal:
    """Runs commands against one settings file and keeps what they printed."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = config
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def run(self, *arguments: str) -> int:
        self._capsys.readouterr()  # what the arrangement of the test logged
        status = main(["--config", str(self.config), *arguments])
        self.out, self.err = self._capsys.readouterr()
        return status

    def data(self, *arguments: str) -> Any:
        assert self.run(*arguments, "--json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def terminal(tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    config = tmp_path / "spinenode.toml"
    config.write_text(
        f"""
[worker]
bundle = "{bundle}"
[storage]
data_dir = "data"
[[callers]]
ae_title = "SCANNER"
addresses = ["127.0.0.1"]
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 4242
[[routes]]
name = "spine"
results_to = ["pacs"]
forward_originals_to = ["pacs"]
"""
    )
    return Terminal(config, capsys)


@pytest.fixture
def memory(tmp_path: Path, terminal: Terminal, clock: Clock) -> tuple[Database, FileStore, Settings]:
    """The database that the commands look at, with the clock of the test."""
    from config.loading import load_settings

    settings = load_settings(terminal.config)
    upgrade(settings.storage.url())
    return Database(settings.storage.url(), clock=clock), FileStore(settings.storage.data_dir), settings


def receive_case(memory: tuple[Database, FileStore, Settings], clock: Clock, **second_image: str) -> None:
    database, files, settings = memory
    take_in(database, files, mr_image(1), mr_image(2, **second_image), clock=clock)
    place_new_instances(database, settings)


def report_case(memory: tuple[Database, FileStore, Settings], clock: Clock) -> None:
    database, _, settings = memory
    clock.pass_s(200)
    complete_cases(database, settings)
    bundle = BundleIdentity(
        pipeline="wff", name="m", version="1", sha256="ab" * 32, trained_on="t", validated_on="v", phantom_trained=True
    )
    used = SeriesUsed(
        series_instance_uid="2.25.3000",
        study_instance_uid="2.25.2000",
        kind=SequenceKind.T1,
        kind_evidence="TR 400 ms [measured]",
        images=(),
    )
    findings = Findings(status=Status.NO_LESION_DETECTED, bundle=bundle, series_used=(used,), timings_s={"engine": 1.5})
    made = cases.NewReportObject(
        kind="sr",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="2.25.9",
        series_instance_uid="2.25.8",
        study_instance_uid="2.25.2000",
        file="reports/00/sr.dcm",
        content_sha256="ab" * 32,
    )
    with database.transaction() as session:
        claim = cases.claim(session, owner="w", now=clock(), lease_s=60, maximum_attempts=3)
        assert claim is not None
        cases.report(
            session,
            claim,
            findings=to_json(findings),
            objects=[made],
            destinations=["pacs"],
            failed_reason=None,
            now=clock(),
        )


def test_help_answers_without_loading_anything_heavy() -> None:
    program = (
        "import sys\nfrom node.cli import main\nstatus = main(['--help'])\n"
        f"heavy = sorted(set({HEAVY!r}) & set(sys.modules))\nprint('heavy:', heavy, 'status:', status)"
    )

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)

    assert "heavy: [] status: 0" in run.stdout
    for command in ("serve", "send", "status", "outbox", "case", "config", "db", "demo"):
        assert f" {command} " in run.stdout
    assert " worker " not in run.stdout


def test_the_serving_process_loads_no_torch() -> None:
    program = "import sys, node.service\nprint('torch' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert run.stdout.strip() == "False"


def test_without_settings_a_command_says_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "spinenode config init" in err


def test_wrong_usage_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["case", "show", "seven"]) == 2
    assert "'ID'" in capsys.readouterr().err


def test_config_init_writes_a_file_that_config_check_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init"]) == 0
    assert main(["config", "check"]) == 0

    assert "receiver.ae_title = SPINENODE" in capsys.readouterr().out
    assert (tmp_path / "spinenode.toml").is_file()


def test_config_init_does_not_replace_a_file_unasked(terminal: Terminal) -> None:
    before = terminal.config.read_text()

    assert terminal.run("config", "init", str(terminal.config)) == 1
    assert "--force" in terminal.err
    assert terminal.config.read_text() == before


def test_config_check_lists_every_fault_and_fails(terminal: Terminal) -> None:
    terminal.config.write_text("[receiver]\nport = 0.5\nprot = 1\n")

    assert terminal.run("config", "check") == 1
    assert "receiver.port" in terminal.err
    assert "receiver.prot" in terminal.err


def test_config_check_shows_stars_for_a_secret(terminal: Terminal) -> None:
    terminal.config.write_text('[storage]\ndatabase_url = "postgresql+psycopg://u:hunter2@db/x"\n')

    assert terminal.run("config", "check") == 0
    assert "storage.database_url = *****" in terminal.out
    assert "hunter2" not in terminal.out


def test_config_check_names_what_is_hardly_meant(terminal: Terminal) -> None:
    terminal.config.write_text('[[routes]]\nname = "spine"\n')

    warnings = terminal.data("config", "check")["warnings"]

    assert warnings == [
        "no [[callers]]: every sender is refused",
        "route spine delivers its results to nobody (results_to is empty)",
    ]


def test_config_check_warns_of_settings_under_which_nothing_happens(terminal: Terminal) -> None:
    terminal.config.write_text("")

    assert terminal.run("config", "check") == 0
    assert "warning: no [[callers]]: every sender is refused" in terminal.out
    assert "warning: no [[routes]]: every image is set aside" in terminal.out
    assert "the settings are valid" in terminal.out


def test_status_without_a_database_says_how_to_get_one(terminal: Terminal) -> None:
    assert terminal.run("status") == 1
    assert "spinenode serve" in terminal.err


def test_db_upgrade_makes_the_database_that_status_reads(terminal: Terminal) -> None:
    assert terminal.run("db", "upgrade") == 0
    assert "sqlite" in terminal.out

    status = terminal.data("status")

    assert status["cases"] == {}
    assert status["model"]["name"] == "micro"
    assert status["model"]["phantom_trained"] is True


def test_status_tells_which_size_the_site_chose(terminal: Terminal) -> None:
    assert terminal.run("db", "upgrade") == 0
    before = terminal.data("status")["model"]
    terminal.config.write_text(terminal.config.read_text().replace("[worker]", "[worker]\nimage_size = 64"))

    after = terminal.data("status")["model"]

    assert before["changed"] == []
    assert after["changed"] == ["image_size 64 instead of 128"]
    assert terminal.run("status") == 0
    assert "runs with image_size 64 instead of 128" in " ".join(terminal.out.split())


def test_status_counts_images_cases_and_deliveries(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    receive_case(memory, clock)

    status = terminal.data("status")

    assert status["instances"] == {"in_case": 2}
    assert status["cases"] == {"collecting": 1}
    assert status["deliveries"] == {"pacs": {"pending": 2}}
    assert terminal.run("status") == 0
    assert "collecting" in terminal.out


def test_status_fails_when_the_model_is_damaged(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings]
) -> None:
    terminal.config.write_text('[worker]\nbundle = "nowhere"\n[storage]\ndata_dir = "data"\n')

    assert terminal.run("status") == 1
    assert "nowhere" in terminal.err


def test_case_list_and_show_tell_state_history_and_answer(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    receive_case(memory, clock)
    report_case(memory, clock)

    (case,) = terminal.data("case", "list")
    shown = terminal.data("case", "show", str(case["id"]))

    assert (case["state"], case["answer"], case["instances"]) == ("reported", "no lesion detected", 2)
    assert [step["event"] for step in shown["history"]] == ["instance_arrived", "completed", "claimed", "reported"]
    assert shown["findings"]["series_used"][0]["kind"] == "T1"
    assert shown["report_objects"][0]["deliveries"] == ["pacs: pending"]
    assert terminal.run("case", "show", str(case["id"])) == 0
    assert "TR 400 ms [measured]" in terminal.out
    assert terminal.run("case", "list", "--state", "reported") == 0
    assert terminal.data("case", "list", "--state", "held") == []


def test_an_unknown_state_is_wrong_usage(terminal: Terminal, memory: tuple[Database, FileStore, Settings]) -> None:
    assert terminal.run("case", "list", "--state", "lost") == 2
    assert "collecting" in terminal.err


def test_an_unknown_case_is_named(terminal: Terminal, memory: tuple[Database, FileStore, Settings]) -> None:
    assert terminal.run("case", "show", "99") == 1
    assert "there is no case 99" in terminal.err


def test_no_view_of_a_case_names_the_patient(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    receive_case(memory, clock, PatientBirthDate="19991231")

    shown = json.dumps(terminal.data("case", "show", "1"))
    assert terminal.run("case", "show", "1") == 0

    assert "PatientBirthDate differs" in terminal.out
    for secret in (PATIENT_ID, *PATIENT_NAME.split("^"), "19700101", "19991231"):
        assert secret not in terminal.out
        assert secret not in shown


@pytest.mark.parametrize(("decision", "state"), [("release", "collecting"), ("reject", "ready")])
def test_a_person_decides_on_a_held_case(
    terminal: Terminal,
    memory: tuple[Database, FileStore, Settings],
    clock: Clock,
    decision: str,
    state: str,
) -> None:
    receive_case(memory, clock, PatientBirthDate="19500101")
    assert terminal.data("case", "list")[0]["state"] == CaseState.HELD

    assert terminal.run("case", decision, "1", "--reason", "asked the ward") == 0

    shown = terminal.data("case", "show", "1")
    assert shown["state"] == state
    assert "asked the ward" in shown["history"][-1]["reason"]


def test_only_a_held_case_can_be_decided_on(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    receive_case(memory, clock)

    assert terminal.run("case", "release", "1", "--reason", "x") == 1
    assert "case 1 is collecting" in terminal.err


def test_dead_letters_are_listed_and_sent_again(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    receive_case(memory, clock)
    with memory[0].transaction() as session:
        session.execute(update(DeliveryRow).values(state=DeliveryState.DEAD.value, reason="refused"))

    dead = terminal.data("outbox", "list", "--state", "dead")
    assert len(dead) == 2
    assert terminal.run("outbox", "list") == 0
    assert "outbox retry --dead" in terminal.out

    one = {"asked_again": 1, "removed_by_retention": []}
    assert terminal.data("outbox", "retry", str(dead[0]["id"])) == one
    assert terminal.data("outbox", "retry", "--dead") == one
    assert terminal.data("outbox", "list", "--state", "dead") == []


def test_a_delivery_that_cannot_be_sent_again_fails_the_command(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings]
) -> None:
    assert terminal.run("outbox", "retry", "77") == 1
    assert "cannot be sent again" in terminal.err


def test_a_delivery_whose_object_was_removed_is_told_apart(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    with memory[0].transaction() as session:
        times = dict.fromkeys(("created_at", "state_since", "last_instance_at", "available_at"), clock())
        session.add(CaseRow(id=1, group_key="group", route="spine", state=CaseState.DONE.value, **times))
        session.flush()
        session.add(
            ReportObjectRow(
                id=1,
                case_id=1,
                revision=1,
                kind="sr",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
                sop_instance_uid="2.25.4",
                series_instance_uid="2.25.5",
                study_instance_uid="2.25.3",
                file="reports/00/x.dcm",
                content_sha256="ab" * 32,
                purged_at=clock(),
            )
        )
        session.flush()
        dead = {"state": DeliveryState.DEAD.value, "available_at": clock(), "created_at": clock()}
        session.add(DeliveryRow(id=7, destination="pacs", report_object_id=1, case_id=1, **dead))

    assert terminal.data("outbox", "retry", "--dead") == {"asked_again": 0, "removed_by_retention": [7]}
    assert terminal.run("outbox", "retry", "--dead") == 0
    assert "removed by retention" in terminal.out
    assert terminal.run("outbox", "retry", "7") == 1
    assert "removed by retention (7)" in terminal.err


def test_what_was_taken_with_a_warning_is_listed_apart_from_plain_success(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    receive_case(memory, clock)
    with memory[0].transaction() as session:
        first, second = session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)).all()
        first.state = second.state = DeliveryState.SENT.value
        second.reason = "0xB000 stored with a warning"

    rows = {row["id"]: row["reason"] for row in terminal.data("outbox", "list", "--state", "sent")}
    assert rows == {first.id: "", second.id: "0xB000 stored with a warning"}
    assert terminal.run("outbox", "list", "--state", "committed", "--state", "sent") == 0
    summary = next(line for line in terminal.out.splitlines() if "pacs" in line).replace("│", " ").split()
    assert summary == ["pacs", "sent", "2", "1"]


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("state", ["pending", "sending", "sent", "committed", "dead"])
def test_the_help_of_the_listing_names_every_state(terminal: Terminal, state: str) -> None:
    assert terminal.run("outbox", "list", "--help") == 0
    assert state in terminal.out
    assert terminal.run("outbox", "list", "--state", state) == 0


def test_status_tells_what_an_archive_never_committed(
    terminal: Terminal, memory: tuple[Database, FileStore, Settings], clock: Clock
) -> None:
    config = terminal.config.read_text()
    committing = "port = 4242\ncommitment = {}\n[sender]\nmaximum_attempts = 2\ncommitment_wait_s = 60\n"
    terminal.config.write_text(config.replace("port = 4242\n", committing))
    receive_case(memory, clock)
    with memory[0].transaction() as session:
        session.execute(update(DeliveryRow).values(state=DeliveryState.SENT.value, sent_at=clock()))

    assert terminal.data("status")["never_committed"] == {"pacs": 2}
    assert terminal.run("status") == 0
    assert "has not committed itself to 2 objects" in terminal.out


def test_outbox_retry_needs_numbers_or_dead(terminal: Terminal, memory: tuple[Database, FileStore, Settings]) -> None:
    assert terminal.run("outbox", "retry") == 2


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    archive = EmbeddedArchive(tmp_path / "archive")
    archive.start()
    yield archive
    archive.stop()


def write_folder(folder: Path) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    folder.mkdir()
    for number in (1, 2):
        image = mr_image(number)
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    (folder / "notes.txt").write_text("no DICOM file")


def test_send_delivers_the_dicom_files_of_a_folder(
    archive: EmbeddedArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "study")

    status = main(["send", str(tmp_path / "study"), "--to", f"127.0.0.1:{archive.port}", "--called", "ARCHIVE"])

    assert status == 0
    assert "sent 2 of 2 files" in capsys.readouterr().out
    assert len(archive.stored()) == 2


def test_send_fails_with_the_reason_of_each_file(
    archive: EmbeddedArchive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "study")
    address = f"127.0.0.1:{archive.port}"

    status = main(["send", str(tmp_path / "study" / "notes.txt"), "--to", address, "--called", "ARCHIVE", "--json"])

    assert status == 1
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["outcome"] == "refused"
    assert entry["reason"]


def test_send_to_an_impossible_host_name_fails_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path / "study")

    status = main(["send", str(tmp_path / "study"), "--to", "pacs..hospital:104", "--called", "PACS"])

    assert status == 1
    assert "PACS at pacs..hospital:104 cannot be reached" in capsys.readouterr().out


def test_send_of_nothing_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()

    assert main(["send", str(tmp_path / "empty"), "--to", "127.0.0.1:104", "--called", "A"]) == 1
    assert "no DICOM file" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["localhost", "host:", ":104", "host:99999", "host:port"])
def test_an_address_without_host_or_port_is_wrong_usage(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["send", str(tmp_path), "--to", address, "--called", "A"]) == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_serve_refuses_an_unknown_log_level(terminal: Terminal) -> None:
    assert terminal.run("serve", "--log-level", "LOUD") == 1
    assert "LOUD" in terminal.err
