"""`spinenode demo` as a newcomer runs it, on the phantom and on a real lumbar study."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image

from tests.dciodvfy import errors_of, installed
from tests.real_data import real_data
from tests.system.node_process import SPINENODE

pytestmark = [pytest.mark.system, pytest.mark.slow]


def run_demo(out: Path, *options: str) -> dict[str, Any]:
    """The only case of a demo run, as `--json` prints it."""
    run = subprocess.run(
        [str(SPINENODE), "demo", "--out", str(out), "--json", *options], capture_output=True, text=True, timeout=280
    )
    assert run.returncode == 0, run.stderr
    (case,) = json.loads(run.stdout)
    return dict(case)


@pytest.fixture(scope="module")
def phantom_demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_demo(tmp_path_factory.mktemp("demo") / "out")


@pytest.fixture(scope="module")
def real_demo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    study = real_data("spine-hitachi-airis-vento-lumbar")
    return run_demo(tmp_path_factory.mktemp("demo") / "out", "--study", str(study))


def test_the_demo_ends_with_a_decision_a_report_and_pictures(phantom_demo: dict[str, Any]) -> None:
    kinds = [made["kind"] for made in phantom_demo["objects"]]

    assert phantom_demo["state"] == "done"
    assert phantom_demo["findings"]["decision"]["verdict"] in ("benign", "malignant")
    assert kinds.count("sr") == 1
    assert kinds.count("summary") == 1
    assert kinds.count("overlay") == len({lesion["image"]["sop_instance_uid"] for lesion in lesions(phantom_demo)})
    for path in phantom_demo["pictures"]:
        with Image.open(path) as picture:
            assert min(picture.size) >= 512


def test_the_demo_says_which_series_were_left_out_and_why(phantom_demo: dict[str, Any]) -> None:
    reasons = {series["reason"] for series in phantom_demo["findings"]["series_left_out"]}

    assert len(phantom_demo["findings"]["series_used"]) == 3
    assert reasons == {"wrong_plane", "localizer"}


def test_the_demo_tells_the_time_of_each_stage(phantom_demo: dict[str, Any]) -> None:
    assert list(phantom_demo["stages_s"]) == [
        "wait until complete",
        "wait for the worker",
        "analyse and report",
        "deliver",
    ]
    assert {"read", "detector", "sequence", "fusion"} <= set(phantom_demo["findings"]["timings_s"])


def test_the_real_study_yields_its_three_sagittal_series_and_reasons_for_the_others(real_demo: dict[str, Any]) -> None:
    used = sorted((series["kind"], len(series["images"])) for series in real_demo["findings"]["series_used"])
    left_out = sorted((s["reason"], s["instance_count"]) for s in real_demo["findings"]["series_left_out"])

    assert real_demo["state"] == "done"
    assert used == [("T1", 11), ("T2", 11), ("T2FS", 11)]
    assert left_out == [("wrong_plane", 17), ("wrong_plane", 17)]


def test_every_object_about_the_real_study_says_that_the_model_knows_phantoms_only(real_demo: dict[str, Any]) -> None:
    objects = [pydicom.dcmread(made["path"], stop_before_pixels=True) for made in real_demo["objects"]]

    said = [" ".join(e.value for e in one.iterall() if isinstance(e.value, str)).lower() for one in objects]
    assert all("synthetic phantom" in text for text in said)
    assert all("research use only" in text for text in said)


def test_every_object_of_both_demos_passes_dciodvfy(phantom_demo: dict[str, Any], real_demo: dict[str, Any]) -> None:
    if not installed():
        pytest.skip("dciodvfy is not installed (apt-get install dicom3tools)")

    paths = [Path(made["path"]) for case in (phantom_demo, real_demo) for made in case["objects"]]

    assert {path.name: errors_of(path) for path in paths if errors_of(path)} == {}


def lesions(case: dict[str, Any]) -> list[dict[str, Any]]:
    return list(case["findings"]["lesions"])
