"""`spinenode explain --files` as it is typed: what stands on the page, and what cannot be explained."""

import json
import re
import shutil
import stat
from pathlib import Path

import pytest
import torch
from pydicom import dcmread

from inference.findings import Findings
from node.cli import main
from tests.node.explained import PAGE, numbers, seen

torch.set_num_threads(1)


def explain(files: Path, bundle: Path, out: Path, *more: str) -> int:
    return main(["explain", "--files", str(files), "--bundle", str(bundle), "--out", str(out), *more])


@pytest.fixture(scope="module")
def explained(voting_bundle: Path, spine_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explained") / "new"
    assert explain(spine_study, voting_bundle, out) == 0
    return out


def test_the_page_begins_with_what_the_model_is_worth_and_says_what_was_decided(
    explained: Path, spine_findings: Findings
) -> None:
    page = seen(explained)

    assert spine_findings.decision is not None
    notice, decided = page.text.index("Synthetic phantom, no clinical meaning"), page.text.index(": why?")
    assert notice < decided
    assert f"{spine_findings.decision.verdict.value.upper()}: why?" in page.text
    assert "It is not a proof." in page.text


def test_the_page_stands_alone_and_names_nobody(explained: Path, spine_study: Path) -> None:
    page, whole = seen(explained), (explained / PAGE).read_text(encoding="utf-8")

    assert page.loaded
    assert all(address.startswith("data:image/") for address in page.loaded)
    assert "script" not in page.tags
    header = dcmread(next(file for file in spine_study.rglob("*") if file.is_file()))
    for secret in (str(header.PatientName), str(header.PatientID), str(header.StudyInstanceUID)):
        assert secret not in whole
        assert secret.split("^")[0] not in page.text


def test_every_voting_image_stands_with_its_arithmetic_and_it_adds_up_to_what_was_reported(
    explained: Path, spine_findings: Findings
) -> None:
    told = numbers(explained)

    for sequence, vote in zip(told["sequences"], spine_findings.sequences, strict=True):
        assert sequence["series_instance_uid"] == vote.series_instance_uid
        reported = [image.probability_malignant for image in vote.votes]
        assert [image["probability"] for image in sequence["images"]] == pytest.approx(reported)
        for image in sequence["images"]:
            assert sum(term["contribution"] for term in image["terms"]) == pytest.approx(image["fused"])
        voices = [image["verdict"] for image in sequence["images"]]
        assert sequence["votes"]["malignant"] == voices.count("malignant")
    images = sum(len(vote.votes) for vote in spine_findings.sequences)
    assert len(re.findall(r'class="bar"', (explained / PAGE).read_text(encoding="utf-8"))) == images > 3


def test_every_slice_of_a_clip_is_shown_plain_and_with_its_saliency(explained: Path, spine_findings: Findings) -> None:
    spoken = seen(explained).spoken

    slices = sum(len(vote.clip_images) for vote in spine_findings.sequences)
    assert slices > 3
    assert sum(said.endswith(", plain") for said in spoken) == slices
    assert sum(said.endswith(", with saliency") for said in spoken) == slices
    assert sum("the region read" in said for said in spoken) == len(spine_findings.sequences)


def test_the_age_the_sequences_and_the_threshold_are_asked_what_they_would_have_changed(explained: Path) -> None:
    page, changes = seen(explained).text, numbers(explained)["what_ifs"]["changes"]

    kinds = {change["change"] for change in changes}
    assert kinds == {"without_term", "without_sequence", "other_vote", "threshold"}
    for said in ("Without the age (A)", "Without T1", "T2 votes the other way", "Threshold 0.11 instead of 0.06"):
        assert said in page
    assert numbers(explained)["what_ifs"]["age"]["groups"]


def test_files_are_explained_as_the_worker_of_the_settings_runs(
    voting_bundle: Path, spine_study: Path, tmp_path: Path, logging_as_before: None, no_settings_in_environment: None
) -> None:
    settings = tmp_path / "spinenode.toml"
    settings.write_text(f'[worker]\nbundle = "{voting_bundle}"\ndevice = "cpu"\nimage_size = 192\n')

    command = ["explain", "--files", str(spine_study), "--out", str(tmp_path / "out")]

    assert main(["--config", str(settings), *command]) == 0
    assert numbers(tmp_path / "out")["bundle"]["name"] == "micro"
    assert numbers(tmp_path / "out")["parameters"]["image_size"] == 192
    assert "The networks ran with image_size 192, other than their bundle says." in seen(tmp_path / "out").text


def test_only_our_own_user_can_read_the_files(explained: Path) -> None:
    assert stat.S_IMODE(explained.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in explained.iterdir()} == {0o600}


def test_an_earlier_explanation_is_replaced_and_other_files_stay(
    voting_bundle: Path, spine_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / PAGE).write_text("old")

    assert explain(spine_study, voting_bundle, tmp_path, "--json") == 0

    assert json.loads(capsys.readouterr().out) == numbers(tmp_path)
    assert "old" not in seen(tmp_path).text[:10]
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("arguments", [["--out", "x"], ["1", "--files", ".", "--out", "x"]])
def test_a_case_or_files_but_not_both_are_asked_for(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *arguments]) == 2

    assert "either the number of a case or --files" in capsys.readouterr().err


def test_a_folder_without_files_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--files", str(tmp_path), "--out", str(tmp_path / "out")]) == 1

    assert f"{tmp_path} holds no files" in capsys.readouterr().err


def test_files_of_two_patients_are_never_explained_as_one(
    voting_bundle: Path, spine_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(spine_study, folder)
    file = next(file for file in sorted(folder.rglob("*")) if file.is_file())
    image = dcmread(file)
    image.PatientID = "ANOTHER"
    image.save_as(file)

    status = explain(folder, voting_bundle, tmp_path / "out")

    assert status == 1
    assert f"{folder} holds images of 2 patients" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("attribute", "value"), [("PatientName", "Stranger^Wholly"), ("PatientBirthDate", "19010203")])
def test_files_of_two_persons_under_one_patient_id_are_refused_and_nobody_is_named(
    voting_bundle: Path,
    spine_study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    attribute: str,
    value: str,
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(spine_study, folder)
    first, second, *_ = sorted(file for file in folder.rglob("*") if file.is_file())
    for file, said in ((first, value), (second, {"PatientName": "Other^One"}.get(attribute, "19550607"))):
        image = dcmread(file)
        setattr(image, attribute, said)
        image.save_as(file)

    status = explain(folder, voting_bundle, tmp_path / "out")

    said = capsys.readouterr().err
    assert status == 1
    assert f"{folder} holds images that cannot be of one person: {attribute} differs within study" in said
    assert value not in said
    assert said.count("\n") == 1


def test_an_out_that_is_a_file_is_told_before_the_networks_run(
    voting_bundle: Path, spine_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")

    assert explain(spine_study, voting_bundle, tmp_path / "out") == 1

    assert f"cannot use {tmp_path / 'out'}: Not a directory" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_files_without_any_series_of_the_spine_have_no_decision_to_explain(
    voting_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("no image")

    assert explain(tmp_path / "in", voting_bundle, tmp_path / "out") == 1
    assert "there is no decision to explain" in capsys.readouterr().err
