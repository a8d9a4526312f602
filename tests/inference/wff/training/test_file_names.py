import pytest

from inference.wff.training.file_names import command_without_folders, name_of, without_folders


@pytest.mark.parametrize(
    ("file", "name"),
    [("", ""), ("a.txt", "a.txt"), ("/home/me/a.txt", "a.txt"), ("../a.txt", "a.txt"), ("C:\\\\me\\a.txt", "a.txt")],
)
def test_a_file_is_called_by_its_name(file: str, name: str) -> None:
    assert name_of(file) == name


def test_a_command_is_told_without_folders() -> None:
    command = [
        "/opt/bin/spinenode",
        "train",
        "--data",
        "/home/me/data/",
        "--out=/home/me/run",
        "--x",
        "data",
        "--",
        "/",
    ]

    told = command_without_folders(command)

    assert told == ["spinenode", "train", "--data", "data", "--out=run", "--x", "data", "--", "..."]


def test_settings_name_files_without_folders_at_any_depth() -> None:
    settings = {
        "detector": {"initial_weights": "/home/me/a.safetensors", "batch": 4},
        "bundle": {"license_file": "/home/me/LICENCE", "name": "a/b"},
        "cross_validation": {
            "split_file": "",
            "candidates": [{}, {"sequence": {"initial_weights": "../b.safetensors"}}],
        },
    }

    told = without_folders(settings)

    assert told == {
        "detector": {"initial_weights": "a.safetensors", "batch": 4},
        "bundle": {"license_file": "LICENCE", "name": "a/b"},
        "cross_validation": {"split_file": "", "candidates": [{}, {"sequence": {"initial_weights": "b.safetensors"}}]},
    }
