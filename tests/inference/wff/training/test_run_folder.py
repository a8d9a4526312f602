import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from inference.errors import TrainingError
from inference.wff.training.run_folder import RUN, SETTINGS, Inputs, open_run_folder
from inference.wff.versions import versions
from tests.system.orthanc import wait_until

INPUTS = Inputs(settings="seed = 1\n", data_sha256="d", weights_sha256="w", splits_sha256="s")


def opened(folder: Path, inputs: Inputs = INPUTS) -> dict[str, object]:
    with open_run_folder(folder, inputs, ["spinenode", "train"]):
        return dict(json.loads((folder / RUN).read_text()))


def test_a_run_keeps_its_settings_inputs_command_and_versions(tmp_path: Path) -> None:
    run = opened(tmp_path / "run")

    assert (tmp_path / "run" / SETTINGS).read_text() == "seed = 1\n"
    assert (run["data_sha256"], run["splits_sha256"], run["weights_sha256"]) == ("d", "s", "w")
    assert run["finished"] is None
    (start,) = run["starts"]  # type: ignore[misc]
    assert start["command"] == ["spinenode", "train"]
    assert set(start["versions"]) == {"python", "torch", "torchvision", "numpy", "spinenode"}


def test_each_start_of_the_same_run_is_told(tmp_path: Path) -> None:
    opened(tmp_path)
    run = opened(tmp_path)

    assert len(run["starts"]) == 2  # type: ignore[arg-type]


def went_on_otherwise(folder: Path, **before: object) -> list[str]:
    """What is told of a second start, when the record of the first one is changed to this."""
    opened(folder)
    run = json.loads((folder / RUN).read_text())
    run["starts"][0] |= before
    (folder / RUN).write_text(json.dumps(run))
    with open_run_folder(folder, INPUTS, []) as opened_again:
        return opened_again.changes


def test_a_run_that_goes_on_under_other_versions_or_threads_says_so(tmp_path: Path) -> None:
    threads, own = torch.get_num_threads(), versions()

    assert went_on_otherwise(tmp_path / "same") == []
    assert went_on_otherwise(tmp_path / "threads", threads=77) == [f"threads {threads} instead of 77"]
    assert went_on_otherwise(tmp_path / "torch", versions=own | {"torch": "1.0"}) == [
        f"torch {own['torch']} instead of 1.0"
    ]


def test_of_a_run_whose_record_names_no_threads_nothing_is_claimed(tmp_path: Path) -> None:
    opened(tmp_path)
    run = json.loads((tmp_path / RUN).read_text())
    del run["starts"][0]["threads"]
    (tmp_path / RUN).write_text(json.dumps(run))

    with open_run_folder(tmp_path, INPUTS, []) as opened_again:
        assert opened_again.changes == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"settings": "seed = 2\n"}, "a run with other settings"),
        ({"data_sha256": "e"}, "a run with another data set"),
        ({"splits_sha256": "t"}, "a run with other splits or starting weights"),
        ({"weights_sha256": "x"}, "a run with other splits or starting weights"),
    ],
)
def test_the_folder_of_another_run_is_refused_and_left_as_it_was(
    tmp_path: Path, other: dict[str, str], told: str
) -> None:
    before = opened(tmp_path)

    with pytest.raises(TrainingError, match=f"{told}.*choose another --out"):
        opened(tmp_path, Inputs(**{**vars_of(INPUTS), **other}))

    assert json.loads((tmp_path / RUN).read_text()) == before


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")

    with pytest.raises(TrainingError, match="holds other files"):
        opened(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_start_that_a_crash_cut_off_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / SETTINGS).write_text("seed = 1\n")
    (tmp_path / f"{RUN}.part").write_text("{")

    assert len(opened(tmp_path)["starts"]) == 1  # type: ignore[arg-type]


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / RUN).write_text("{")

    with pytest.raises(TrainingError, match=r"run\.json is damaged"):
        opened(tmp_path)


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from inference.wff.training.run_folder import Inputs, open_run_folder\n"
        "inputs = Inputs(settings='seed = 1\\n', data_sha256='d', weights_sha256='w', splits_sha256='s')\n"
        "with open_run_folder(Path(sys.argv[1]), inputs, []):\n"
        "    Path(sys.argv[2]).touch()\n"
        "    sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run"), str(tmp_path / "open")], stdin=subprocess.PIPE
    )
    try:
        wait_until((tmp_path / "open").exists, timeout_s=60, what="the other process has the folder")

        with pytest.raises(TrainingError, match="another process trains in"):
            opened(tmp_path / "run")
    finally:
        child.kill()
        child.communicate()
    opened(tmp_path / "run")


def vars_of(inputs: Inputs) -> dict[str, str]:
    return {name: getattr(inputs, name) for name in inputs.__slots__}
