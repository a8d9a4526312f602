"""The bundle of a run: there as a whole, or not there and made by the next start."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.bundle import METADATA, open_bundle
from inference.wff.training import trained_bundle
from inference.wff.training.framework import prepare
from inference.wff.training.run_folder import BUNDLE, RUN, open_run_folder
from tests.inference.wff.training.conftest import COMMAND, TWO_CANDIDATES, train_in


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(finished, tmp_path / "run")


def is_finished(run: Path, cohort: Path) -> bool:
    with open_run_folder(run, prepare(cohort, TWO_CANDIDATES).inputs, COMMAND) as opened:
        return opened.is_finished


def deleted(bundle: Path) -> None:
    shutil.rmtree(bundle)


def cut(bundle: Path) -> None:
    file = bundle / "detector.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def without_metadata(bundle: Path) -> None:
    (bundle / METADATA).unlink()


@pytest.mark.parametrize("damage", [deleted, cut, without_metadata])
def test_a_finished_run_whose_bundle_is_damaged_makes_it_again(
    run: Path, cohort: Path, damage: Callable[[Path], None]
) -> None:
    before = open_bundle(run / BUNDLE).identity
    damage(run / BUNDLE)
    assert not is_finished(run, cohort)

    train_in(run, cohort, TWO_CANDIDATES)

    assert is_finished(run, cohort)
    assert open_bundle(run / BUNDLE).identity == before


def test_a_bundle_that_cannot_be_completed_is_not_there_and_the_run_not_finished(
    run: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(run / BUNDLE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(trained_bundle, "write_bundle", full)
        with pytest.raises(OSError, match="No space left"):
            train_in(run, cohort, TWO_CANDIDATES)

    assert not list(run.glob(f"{BUNDLE}*"))
    assert not is_finished(run, cohort)


def test_a_stray_file_does_not_come_into_a_bundle(run: Path, cohort: Path) -> None:
    record = json.loads((run / RUN).read_text())
    (run / RUN).write_text(json.dumps({**record, "finished": None}))
    for name in (BUNDLE, f"{BUNDLE}.part"):
        (run / name).mkdir(exist_ok=True)
        (run / name / "notes.txt").write_text("of the patients")

    train_in(run, cohort, TWO_CANDIDATES)

    assert "notes.txt" not in open_bundle(run / BUNDLE).metadata["files"]
    assert not (run / BUNDLE / "notes.txt").exists()
