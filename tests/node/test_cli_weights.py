"""`spinenode weights convert`; what is converted how is tested beside the converter."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torchvision.models.resnet import Bottleneck, ResNet

from node.cli import main


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("source") / "resnext.pth"
    torch.save(ResNet(Bottleneck, [1, 1, 1, 1], groups=32, width_per_group=4).state_dict(), file)
    return file


def test_a_file_is_converted_and_what_became_of_its_tensors_is_shown(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "initial.safetensors"
    status = main(["weights", "convert", str(source), "--for", "detector", "--out", str(out), "--licence", "BSD"])

    shown = capsys.readouterr().out
    assert status == 0
    assert "2-D ResNeXt-14 32x4d" in shown
    assert "blocks [1, 1, 1, 1]" in shown
    for part in ("fc", "offsets", "backbone.adapters", "roi_heads.box_head"):
        assert part in shown
    with safe_open(out, framework="pt") as opened:
        assert opened.metadata()["licence"] == "BSD"


def test_the_same_is_told_as_json(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "initial.safetensors"

    assert main(["weights", "convert", str(source), "--for", "detector", "--out", str(out), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["left_out"] == {"fc": 2}
    assert told["blocks"] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("net", "out", "said"),
    [
        ("sequence", "x.safetensors", "the sequence net is a 3-D ResNeXt 32x4d"),
        ("detector", "x.pth", "does not end in .safetensors"),
    ],
)
def test_what_cannot_be_converted_ends_with_one_line(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], net: str, out: str, said: str
) -> None:
    status = main(["weights", "convert", str(source), "--for", net, "--out", str(tmp_path / out)])

    shown = capsys.readouterr()
    assert status == 1
    assert shown.err.count("\n") == 1
    assert said in shown.err
    assert not (tmp_path / out).exists()


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.pth"

    status = main(["weights", "convert", str(missing), "--for", "detector", "--out", str(tmp_path / "x.safetensors")])

    assert status == 1
    assert str(missing) in capsys.readouterr().err


def convert(source: Path, out: Path, *more: str) -> int:
    return main(["weights", "convert", str(source), "--for", "detector", "--out", str(out), *more])


def test_a_file_that_is_there_is_replaced_only_when_told_to(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "initial.safetensors"
    out.write_text("mine")

    assert convert(source, out) == 1
    assert "is there already: name another file, or replace it with --force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert convert(source, out, "--force") == 0
    assert out.stat().st_size > 1000


def test_weights_that_are_no_numbers_are_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torch.load(source, weights_only=True)
    state["layer2.0.bn1.bias"][3] = float("nan")
    torch.save(state, tmp_path / "nan.pth")

    assert convert(tmp_path / "nan.pth", tmp_path / "x.safetensors") == 1

    assert "nan.pth: layer2.0.bn1.bias holds values that are no finite numbers" in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


def test_a_standard_deviation_without_end_is_refused(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(source, tmp_path / "x.safetensors", "--input-std", "inf") == 1

    assert "is inf, expected a finite number above 0" in capsys.readouterr().err
