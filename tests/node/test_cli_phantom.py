"""`spinenode phantom` as a developer types it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from inference.phantom.sets import make
from inference.phantom.truth.write import TruthKind
from node.cli import app, main
from tests.node.fresh_interpreter import torch_is_loaded_by

ROOT = Path(__file__).parents[2]
SMALL = ("--size", "64", "--processes", "1")


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logging_as_before: None) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_set_is_made_and_named_synthetic(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantom", "--patients", "2", *SMALL, "--out", "set"]) == 0

    out = capsys.readouterr().out
    assert "set: 2 patients" in out
    assert "synthetic phantom, no clinical meaning" in out
    assert sorted(path.name[:9] for path in Path("set").glob("PH-*")) == ["PH-000000", "PH-000001"]
    assert len(Path("set/pathology.csv").read_text().splitlines()) == 3


def test_options_reach_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    drawn = ["--first", "7", "--seed", "9", "--difficulty", "0.5", "--lesion-free", "0"]
    placed = ["--sites", "4,S07", "--regions", "lumbar", "--stations", "2"]
    written = ["--kinds", "t1,T2FS", "--truth", "SEG", "--enhanced"]

    assert main(["phantom", "--patients", "1", *SMALL, *drawn, *placed, *written, "--json", "--out", "set"]) == 0

    data = json.loads(capsys.readouterr().out)
    recipe = json.loads(Path("set/recipe.json").read_text())
    assert (data["made"], data["kept"], sum(data["labels"].values())) == (1, 0, 1)
    assert (recipe["first"], recipe["seed"], recipe["config"]["difficulty"]) == (7, 9, 0.5)
    assert (recipe["config"]["sites"], recipe["config"]["regions"]) == ([4, 7], ["lumbar"])
    assert (recipe["config"]["stations"], recipe["config"]["lesion_free_fraction"]) == (2, 0.0)
    assert (recipe["kinds"], recipe["truth"], recipe["enhanced"]) == (["T1", "T2FS"], ["seg"], True)
    names = {path.name for path in Path("set").glob("PH-000007-*/*")}
    assert "series01.dcm" in names
    assert not any(name.endswith(".json") and name != "truth.json" for name in names)


def test_a_finished_set_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["phantom", "--patients", "2", *SMALL, "--out", "set"]
    main(command)
    capsys.readouterr()

    assert main(command) == 0

    assert "2 patients, 2 of them there before" in capsys.readouterr().out


def test_ctrl_c_leaves_whole_patients_and_the_same_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["phantom", "--patients", "3", *SMALL, "--out", "set"]
    generate = make.generate_patient

    def until_stopped(index: int, **options: Any) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return generate(index, **options)

    with monkeypatch.context() as patches:
        patches.setattr(make, "generate_patient", until_stopped)
        status = main(command)

    assert status == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert sorted(path.name[:9] for path in Path("set").glob("*PH-*")) == ["PH-000000", "PH-000001"]


def test_another_recipe_in_the_folder_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    main(["phantom", "--patients", "1", *SMALL, "--out", "set"])
    capsys.readouterr()

    assert main(["phantom", "--patients", "1", *SMALL, "--seed", "8", "--out", "set"]) == 1

    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "seed 1 there, 8 wanted" in err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--kinds", "T3", "t3 is none of T1, T2, T2FS"),
        ("--truth", "nifti", "nifti is none of labelme, coco, seg, sr"),
        ("--sites", "A,B", "'A,B' is no list of numbers"),
        ("--regions", "knee", "knee is none of cervical, thoracic, lumbar, sacral"),
        ("--first", "1000000", "there are 1000000 of a seed"),
    ],
)
def test_a_wrong_word_is_wrong_usage(option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantom", *SMALL, option, value, "--out", "set"]) == 2

    words = capsys.readouterr().err.replace("│", " ").split()
    assert said in " ".join(words)
    assert not Path("set").exists()


def test_the_page_names_every_option_and_every_kind_of_truth() -> None:
    page = (ROOT / "docs" / "phantom.md").read_text()
    command = next(one for one in get_command(app).commands.values() if one.name == "phantom")  # type: ignore[attr-defined]

    options = {option for parameter in command.params for option in parameter.opts} - {"--help", "--json"}
    assert {option for option in options if f"`{option}" not in page} == set()
    assert {kind for kind in TruthKind if f"| `{kind}` |" not in page} == set()


def test_the_command_loads_no_torch() -> None:
    assert not torch_is_loaded_by("phantom", "--patients", "1", *SMALL, "--out", "set")
