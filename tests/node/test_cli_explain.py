"""`spinenode explain` as an operator types it."""

import json
import os
import re
import shutil
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom import dcmread
from sqlalchemy import select

from config.loading import load_settings
from inference.bundle import open_bundle, write_bundle
from inference.case import Case
from inference.findings import Findings
from inference.findings_json import to_json
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import write_study
from inference.pipeline import load_pipeline
from node.cli import main
from node.grouping import complete_cases, place_new_instances
from storage import cases
from storage.database import Database, upgrade
from storage.files import FileStore
from storage.schema import InstanceRow
from tests.node.case_images import take_in
from tests.node.conftest import Clock
from tests.node.micro_bundle import write_micro_bundle

torch.set_num_threads(1)
PAGE, NUMBERS = "explanation.html", "explanation.json"
UNTRAINED_TAU = 0.06  # untrained nets give low scores


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in which all three voices count."""
    folder = tmp_path_factory.mktemp("bundles") / "micro"
    write_micro_bundle(folder)
    told = {key: value for key, value in open_bundle(folder).metadata.items() if key not in ("schema", "files")}
    told["config"]["fusion"]["tau"] = UNTRAINED_TAU
    write_bundle(folder, told)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(generate_patient(0, seed=7, config=PhantomConfig(matrix=64)), folder)
    return folder


@pytest.fixture(scope="module")
def findings(bundle: Path, study: Path) -> Findings:
    files = tuple(sorted(file for file in study.rglob("*") if file.is_file()))
    return load_pipeline(bundle, device="cpu", threads=1).run(Case(case_id="c", files=files))


@pytest.fixture(scope="module")
def explained(bundle: Path, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explained") / "new"
    assert main(["explain", "--files", str(study), "--bundle", str(bundle), "--out", str(out)]) == 0
    return out


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


def test_the_page_begins_with_what_the_model_is_worth_and_says_what_was_decided(
    explained: Path, findings: Findings
) -> None:
    page = seen(explained)

    assert findings.decision is not None
    notice, decided = page.text.index("Synthetic phantom, no clinical meaning"), page.text.index(": why?")
    assert notice < decided
    assert f"{findings.decision.verdict.value.upper()}: why?" in page.text
    assert "It is not a proof." in page.text


def test_the_page_stands_alone_and_names_nobody(explained: Path, study: Path) -> None:
    page, whole = seen(explained), (explained / PAGE).read_text(encoding="utf-8")

    assert page.loaded
    assert all(address.startswith("data:image/") for address in page.loaded)
    assert "script" not in page.tags
    header = dcmread(next(file for file in study.rglob("*") if file.is_file()))
    for secret in (str(header.PatientName), str(header.PatientID), str(header.StudyInstanceUID)):
        assert secret not in whole
        assert secret.split("^")[0] not in page.text


def test_every_voting_image_stands_with_its_arithmetic_and_it_adds_up_to_what_was_reported(
    explained: Path, findings: Findings
) -> None:
    told = numbers(explained)

    for sequence, vote in zip(told["sequences"], findings.sequences, strict=True):
        assert sequence["series_instance_uid"] == vote.series_instance_uid
        reported = [image.probability_malignant for image in vote.votes]
        assert [image["probability"] for image in sequence["images"]] == pytest.approx(reported)
        for image in sequence["images"]:
            assert sum(term["contribution"] for term in image["terms"]) == pytest.approx(image["fused"])
        voices = [image["verdict"] for image in sequence["images"]]
        assert sequence["votes"]["malignant"] == voices.count("malignant")
    images = sum(len(vote.votes) for vote in findings.sequences)
    assert len(re.findall(r'class="bar"', (explained / PAGE).read_text(encoding="utf-8"))) == images > 3


def test_every_slice_of_a_clip_is_shown_plain_and_with_its_saliency(explained: Path, findings: Findings) -> None:
    spoken = seen(explained).spoken

    slices = sum(len(vote.clip_images) for vote in findings.sequences)
    assert slices > 3
    assert sum(said.endswith(", plain") for said in spoken) == slices
    assert sum(said.endswith(", with saliency") for said in spoken) == slices
    assert sum("the region read" in said for said in spoken) == len(findings.sequences)


def test_the_age_the_sequences_and_the_threshold_are_asked_what_they_would_have_changed(explained: Path) -> None:
    page, changes = seen(explained).text, numbers(explained)["what_ifs"]["changes"]

    kinds = {change["change"] for change in changes}
    assert kinds == {"without_term", "without_sequence", "other_vote", "threshold"}
    for said in ("Without the age (A)", "Without T1", "T2 votes the other way", "Threshold 0.11 instead of 0.06"):
        assert said in page
    assert numbers(explained)["what_ifs"]["age"]["groups"]


def test_only_our_own_user_can_read_the_files(explained: Path) -> None:
    assert stat.S_IMODE(explained.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in explained.iterdir()} == {0o600}


def test_an_earlier_explanation_is_replaced_and_other_files_stay(
    bundle: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / PAGE).write_text("old")

    assert main(["explain", "--files", str(study), "--bundle", str(bundle), "--out", str(tmp_path), "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == numbers(tmp_path)
    assert "old" not in seen(tmp_path).text[:10]
    assert (tmp_path / "notes.txt").read_text() == "mine"


class Node:
    """A node's memory with one phantom patient, and the commands on it."""

    def __init__(self, folder: Path, bundle: Path, study: Path, clock: Clock) -> None:
        self.config = folder / "spinenode.toml"
        self.config.write_text(
            f"""
[storage]
data_dir = "{folder / "data"}"
[worker]
bundle = "{bundle}"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 1
[[routes]]
name = "spine"
results_to = ["pacs"]
"""
        )
        self.settings = load_settings(self.config)
        upgrade(self.settings.storage.url())
        self.database = Database(self.settings.storage.url(), clock=clock)
        self.files = FileStore(self.settings.storage.data_dir)
        self.clock = clock
        images = [dcmread(file) for file in sorted(study.rglob("*")) if file.is_file()]
        take_in(self.database, self.files, *images, clock=clock)
        place_new_instances(self.database, self.settings)

    def answer(self, findings: Findings) -> None:
        """As the worker answers a case."""
        self.clock.pass_s(3600)
        complete_cases(self.database, self.settings)
        with self.database.transaction() as session:
            claim = cases.claim(session, owner="w", now=self.clock(), lease_s=60, maximum_attempts=3)
            assert claim is not None
            told = to_json(findings)
            cases.report(
                session, claim, findings=told, objects=[], destinations=["pacs"], failed_reason=None, now=self.clock()
            )

    def types(self, *arguments: str | Path) -> int:
        return main(["--config", str(self.config), *map(str, arguments)])


@pytest.fixture
def node(
    tmp_path: Path,
    bundle: Path,
    study: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    logging_as_before: None,
) -> Node:
    for name in [name for name in os.environ if name.startswith("SPINENODE_")]:
        monkeypatch.delenv(name)
    return Node(tmp_path, bundle, study, clock)


def test_an_answered_case_is_explained_as_it_was_answered(node: Node, findings: Findings, tmp_path: Path) -> None:
    node.answer(findings)

    assert node.types("explain", "1", "--out", tmp_path / "out") == 0

    assert findings.decision is not None
    told = numbers(tmp_path / "out")["decision"]
    assert told["probability"] == pytest.approx(findings.decision.probability_malignant)
    page = seen(tmp_path / "out").text
    assert "Explained: case 1, revision 1." in page
    assert "This is not the answer that was sent" not in page


def test_an_answer_that_does_not_come_out_again_is_told_on_the_page(
    node: Node, findings: Findings, tmp_path: Path
) -> None:
    from dataclasses import replace

    assert findings.decision is not None
    node.answer(replace(findings, decision=replace(findings.decision, probability_malignant=0.07)))

    assert node.types("explain", "1", "--out", tmp_path / "out") == 0

    page = seen(tmp_path / "out").text
    assert "This is not the answer that was sent" in page
    assert "7.0 %" in page


def test_a_case_without_an_answer_is_refused_in_one_line(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert node.types("explain", "1", "--out", tmp_path / "out") == 1

    assert "case 1 has no answer yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_weights_than_those_that_answered_do_not_explain_the_answer(
    node: Node, findings: Findings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from inference.bundle import DEMO_BUNDLE

    node.answer(findings)

    assert node.types("explain", "1", "--bundle", DEMO_BUNDLE, "--out", tmp_path / "out") == 1

    told = capsys.readouterr().err
    assert findings.bundle.sha256[:12] in told
    assert "--bundle" in told


def test_a_case_whose_images_are_gone_says_so(
    node: Node, findings: Findings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node.answer(findings)
    with node.database.reading() as session:
        for row in session.scalars(select(InstanceRow)):
            node.files.path(row.file).unlink()

    assert node.types("explain", "1", "--out", tmp_path / "out") == 1

    assert "images of case 1 are gone" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--out", "x"], ["1", "--files", ".", "--out", "x"]])
def test_a_case_or_files_but_not_both_are_asked_for(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments]) == 2

    assert "either the number of a case or --files" in capsys.readouterr().err


def test_a_folder_without_files_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--files", str(tmp_path), "--out", str(tmp_path / "out")]) == 1

    assert f"{tmp_path} holds no files" in capsys.readouterr().err


def test_files_of_two_patients_are_never_explained_as_one(
    bundle: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(study, folder)
    file = next(file for file in sorted(folder.rglob("*")) if file.is_file())
    image = dcmread(file)
    image.PatientID = "ANOTHER"
    image.save_as(file)

    status = main(["explain", "--files", str(folder), "--bundle", str(bundle), "--out", str(tmp_path / "out")])

    assert status == 1
    assert f"{folder} holds images of 2 patients" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_without_any_series_of_the_spine_have_no_decision_to_explain(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("no image")

    command = ["explain", "--files", str(tmp_path / "in"), "--bundle", str(bundle), "--out", str(tmp_path / "out")]

    assert main(command) == 1
    assert "there is no decision to explain" in capsys.readouterr().err
