"""How long the report objects of a typical case take: 4 series, 60 images of 512 x 512, 8 findings.

    python -m bench.report [--json] [--rounds N]

Headers are read and pixels decoded from files as in the node, objects are built and encoded, and the self-check reads
them back. Everything but the PDF is also timed without the self-check. Each kind of object is timed as what it adds to
the structured report alone, in turn within each round; medians are told.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.uid import MRImageStorage

if __package__ in (None, ""):  # started as a file: then the path leads here, where `inference` is another module
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import machine
from bench.instances import BIG, SEED, Identifiers, mr_image
from config.reporting import OBJECT_NAMES, ObjectName, ReportSettings
from inference.bundle import DEMO_BUNDLE, open_bundle
from inference.findings import (
    Box,
    Decision,
    Findings,
    ImageReference,
    ImageVote,
    Lesion,
    SequenceKind,
    SequenceVote,
    SeriesUsed,
    Status,
    Verdict,
)
from node import collector
from node.logs import configure_logging
from node.report import ReportContext, build_report
from node.report.build import build_objects
from node.report.evidence import source_images
from node.report.tracking import with_tracking

ROUNDS: Final = 7
SERIES: Final = (SequenceKind.T1, SequenceKind.T2, SequenceKind.T2FS, SequenceKind.T2)
SLICES: Final = 15
FINDINGS_PER_SERIES: Final = 2  # on two slices of each
MOST_SECONDS: Final = 0.5  # to build everything but the PDF
BUILT: Final = "all but the PDF, before the self-check"
CHECKED: Final = "all but the PDF"
WITHOUT_PDF: Final[tuple[ObjectName, ...]] = tuple(name for name in OBJECT_NAMES if name != "pdf")


def write_case(folder: Path) -> tuple[Findings, dict[str, Path]]:
    """The files of one patient, and findings on them."""
    rng = np.random.default_rng(SEED)
    files: dict[str, Path] = {}
    series = []
    for number, kind in enumerate(SERIES):
        images = []
        for k in range(SLICES):
            image = mr_image(
                Identifiers.numbered(0, 0, number * SLICES + k, series_length=SLICES), BIG, number=k, rng=rng
            )
            uid = str(image.SOPInstanceUID)
            files[uid] = folder / f"{uid}.dcm"
            image.save_as(files[uid], enforce_file_format=True)
            images.append(ImageReference(sop_class_uid=MRImageStorage, sop_instance_uid=uid))
        series.append(
            SeriesUsed(
                series_instance_uid=str(image.SeriesInstanceUID),
                study_instance_uid=str(image.StudyInstanceUID),
                kind=kind,
                kind_evidence="TR 3500 ms, TE 98 ms",
                images=tuple(images),
                gray_limits=(0.5, 2000.5),
            )
        )
    return _findings(series), files


def _findings(series: Sequence[SeriesUsed]) -> Findings:
    lesions = [
        Lesion(
            image=one.images[6 + n],
            series_instance_uid=one.series_instance_uid,
            box=Box(x0=200.0 + 8 * n, y0=180.5, x1=250.0, y1=231.0),
            verdict=Verdict.MALIGNANT,
            score=0.9,
            probability_malignant=0.8,
        )
        for one in series
        for n in range(FINDINGS_PER_SERIES)
    ]
    return Findings(
        status=Status.LESION_DETECTED,
        bundle=open_bundle(DEMO_BUNDLE).identity,
        lesions=tuple(lesions),
        sequences=tuple(_vote(one) for one in series),
        decision=Decision(verdict=Verdict.MALIGNANT, probability_malignant=0.8, vote_fraction_malignant=1.0, tie=False),
        age_years=66.0,
        age_probability=0.7,
        series_used=tuple(series),
    )


def _vote(series: SeriesUsed) -> SequenceVote:
    votes = tuple(
        ImageVote(image=image, detector_probability=0.8, probability_malignant=0.8, verdict=Verdict.MALIGNANT)
        for image in series.images[6 : 6 + FINDINGS_PER_SERIES]
    )
    return SequenceVote(
        series_instance_uid=series.series_instance_uid,
        kind=series.kind,
        image_count=len(series.images),
        votes=votes,
        classifier_probability=0.8,
        crop=None,
        mean_probability=0.8,
        verdict=Verdict.MALIGNANT,
        tie=False,
    )


def seconds_to_build(
    findings: Findings, files: dict[str, Path], objects: Sequence[ObjectName], *, checked: bool = True
) -> float:
    """Seconds from the files to the encoded objects; `checked`: with the self-check, as the node does it."""
    begin = time.perf_counter()
    headers = {uid: dcmread(path, stop_before_pixels=True) for uid, path in files.items()}
    context = ReportContext(
        group_key="bench",
        revision=1,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        settings=ReportSettings(objects=tuple(objects)),
        files=files,
        zone=UTC,
    )
    if checked:
        build_report(findings, headers, context)
    else:
        tracked = with_tracking(findings, context.group_key)
        for made in build_objects(tracked, source_images(tracked, headers, context), context):
            dcmwrite(io.BytesIO(), made.dataset, enforce_file_format=True)
    return time.perf_counter() - begin


def measure(rounds: int) -> dict[str, float]:
    """Name -> median seconds: of the SR alone, of what is made by default, of all with and without the PDF, and of what
    each kind adds to the SR; all with the self-check, unless the name says otherwise."""
    sets: dict[str, tuple[ObjectName, ...]] = {
        "SR alone": (),
        "by default": ReportSettings().objects,
        BUILT: WITHOUT_PDF,
        CHECKED: WITHOUT_PDF,
        "all": OBJECT_NAMES,
        **{name: (name,) for name in OBJECT_NAMES},
    }
    times: dict[str, list[float]] = {name: [] for name in sets}
    with tempfile.TemporaryDirectory(prefix="spinenode-bench-") as folder:
        findings, files = write_case(Path(folder))
        seconds_to_build(findings, files, OBJECT_NAMES)  # fonts and tables are loaded once
        collector.settle()  # as the worker does
        for _ in range(rounds):
            for name, objects in sets.items():
                times[name].append(seconds_to_build(findings, files, objects, checked=name != BUILT))
    alone = statistics.median(times["SR alone"])
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    return {name: value - alone if name in OBJECT_NAMES else value for name, value in medians.items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Building the report objects of a typical case.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    words = parser.parse_args(argv)
    configure_logging(level="ERROR")
    seconds = measure(words.rounds)
    described = machine.describe(Path(tempfile.gettempdir()))
    if words.json:
        report = {"benchmark": "report", "machine": described, "rounds": words.rounds, "seconds": seconds}
        met = {"met": seconds[BUILT] < MOST_SECONDS, "met_with_self_check": seconds[CHECKED] < MOST_SECONDS}
        print(json.dumps({**report, **met}, indent=2))
        return 0
    print(f"report: {len(SERIES)} series, {len(SERIES) * SLICES} images, {len(SERIES) * FINDINGS_PER_SERIES} findings")
    print("  " + ", ".join(f"{key} {value}" for key, value in described.items()))
    for name, value in seconds.items():
        print(f"  {'+ ' if name in OBJECT_NAMES else ''}{name:38} {1000 * value:7.0f} ms")
    for name in (BUILT, CHECKED):
        print(f"  {name} under {1000 * MOST_SECONDS:.0f} ms: {'met' if seconds[name] < MOST_SECONDS else 'NOT MET'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
