"""Independent readers take every object of the matrix: dicom3tools for the IOD, DCMTK for the document."""

import html
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread

from inference.heads import parse_head
from inference.selection import select_series
from node.report import ReportObject, build_report
from tests import dciodvfy
from tests.node.report.conftest import STYLES, VERDICTS
from tests.node.report.report_sources import Study, context_of, findings_of, used_series

BuiltReport = Callable[[str, str], list[ReportObject]]

needs_dicom3tools = pytest.mark.skipif(not dciodvfy.installed(), reason="dicom3tools is not installed (dciodvfy)")
needs_dcmtk = pytest.mark.skipif(shutil.which("dsrdump") is None, reason="DCMTK is not installed (dsrdump, dsr2html)")

KEY_SENTENCES = {
    "benign": ["BENIGN", "21.6 %", "2 of 2 voting sequences and 6 of 6 voting images say benign"],
    "malignant": ["MALIGNANT", "78.4 %", "2 of 2 voting sequences", "6 of 6 voting images"],
    "tie": ["MALIGNANT", "50.0 %", "The votes were tied"],
    "negative": ["NO LESION DETECTED in 3 sequences", "does not exclude a lesion"],
    "not_analysed": ["NOT ANALYSED", "No eligible series", "No sagittal series"],
}


def save(objects: list[ReportObject], folder: Path) -> list[Path]:
    paths = []
    for number, made in enumerate(objects):
        paths.append(folder / f"{number}-{made.kind}.dcm")
        made.dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def output_of(*command: str | Path) -> str:
    run = subprocess.run([str(part) for part in command], capture_output=True, timeout=60, check=True)
    return run.stdout.decode() + run.stderr.decode()


@needs_dicom3tools
@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("style", STYLES)
def test_dciodvfy_finds_no_error(report: BuiltReport, tmp_path: Path, style: str, verdict: str) -> None:
    for path in save(report(style, verdict), tmp_path):
        assert dciodvfy.errors_of(path) == [], path.name


@needs_dicom3tools
def test_dciodvfy_finds_no_error_in_reports_on_a_real_study(shared_data: Path, tmp_path: Path) -> None:
    study = Study()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the study has over-long values
        for path in sorted((shared_data / "spine-hitachi-airis-vento-lumbar").glob("*_sag/*")):
            dataset = dcmread(path, stop_before_pixels=True)
            study.images[str(dataset.SOPInstanceUID)] = dataset
            study.files[str(dataset.SOPInstanceUID)] = path
        heads = [parse_head(dataset, study.files[uid]) for uid, dataset in study.images.items()]
        study.series = [
            used_series(one.series_instance_uid, one.study_instance_uid, one.kind, tuple(s.image for s in one.slices))
            for one in select_series(heads).eligible
        ]
        objects = build_report(findings_of(study, "malignant"), study.images, context_of(study))

    for path in save(objects, tmp_path):
        assert dciodvfy.errors_of(path) == [], path.name
    assert len(objects) == 5


@needs_dcmtk
@pytest.mark.parametrize("verdict", VERDICTS)
def test_dsrdump_reads_the_result(report: BuiltReport, tmp_path: Path, verdict: str) -> None:
    path = save(report("classic", verdict)[:1], tmp_path)[0]

    dump = output_of("dsrdump", "+Pl", path)

    for sentence in [*KEY_SENTENCES[verdict], "For research use only. Not for diagnosis.", "no clinical meaning"]:
        assert sentence in dump


@needs_dcmtk
@pytest.mark.parametrize("verdict", VERDICTS)
def test_dsr2html_shows_the_result_to_people(report: BuiltReport, tmp_path: Path, verdict: str) -> None:
    path = save(report("enhanced", verdict)[:1], tmp_path)[0]

    output_of("dsr2html", "+U8", path, tmp_path / "report.html")

    page = html.unescape(re.sub("<[^>]+>", " ", (tmp_path / "report.html").read_text(encoding="utf-8")))
    for sentence in [*KEY_SENTENCES[verdict], "For research use only. Not for diagnosis.", "UNVERIFIED"]:
        assert sentence in page


@pytest.mark.skipif(shutil.which("dcmj2pnm") is None, reason="DCMTK is not installed (dcmj2pnm)")
def test_dcmtk_renders_the_pictures(report: BuiltReport, tmp_path: Path) -> None:
    for path in save(report("classic", "malignant"), tmp_path)[1:]:
        output_of("dcmj2pnm", "+on", path, path.with_suffix(".png"))

        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
