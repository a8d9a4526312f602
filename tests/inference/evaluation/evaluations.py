"""A small evaluation with everything in it, for tests of the page."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inference.datasets import SpineRegion
from inference.evaluation.average_precision import average_precision
from inference.evaluation.boxes import ImageBoxes, ScoredBox
from inference.evaluation.comparison import compare_areas
from inference.evaluation.decision_curve import decision_curve
from inference.evaluation.diagnosis import performance
from inference.evaluation.froc import froc_per_image, froc_per_patient
from inference.evaluation.intervals import Estimate, Resampling
from inference.evaluation.probability_calibration import probability_calibration
from inference.evaluation.readers import ReaderVerdicts, reader_rows
from inference.evaluation.results import Cohort, DetectorResult, Evaluation, SequencesRow, StrategyRow
from inference.evaluation.roc import roc_band, roc_curve
from inference.evaluation.subgroups import region_rows, subgroup_rows
from inference.evaluation.subject import Subject
from inference.findings import Box, Verdict
from tests.inference.evaluation.diagnoses import diagnosis

PATIENTS = 24
OWN = "as the bundle decides"
BOX = Box(x0=0, y0=0, x1=9, y1=9)


def example_evaluation(*, undetected: Sequence[str] = (), **changes: Any) -> Evaluation:
    """`undetected` are the patients, of P000 to P023, in whom nothing was found."""
    rng = np.random.default_rng(6)
    truth = [n % 3 == 0 for n in range(PATIENTS)]
    names = [f"P{n:03d}" for n in range(PATIENTS)]
    said = {
        name: tuple(
            diagnosis(who, malignant=true, probability=None if who in undetected else _probability(rng, true))
            for who, true in zip(names, truth, strict=True)
        )
        for name in ("Det", "Seq", "Det-Seq-Age", OWN)
    }
    patients = Resampling(truth, seed=1, resamples=50)
    decided = said[OWN]
    scores = [one.score for one in decided]
    images = [ImageBoxes(n, (BOX,), (ScoredBox(BOX, score),)) for n, score in enumerate(scores)]
    precision = average_precision(images, patients)
    evaluation = Evaluation(
        seed=1,
        resamples=50,
        tau=0.3,
        cohort=Cohort(malignant=8, benign=16, lesion_free=4, lesion_free_alarmed=1, series=84, images=420),
        strategies=tuple(
            StrategyRow(name=name, weights=(0.45, 0.45, 0.1), performance=performance(its, patients))
            for name, its in said.items()
        ),
        decided_by=OWN,
        fusion_gain=compare_areas(("Det-Seq-Age", scores), ("Det", [one.score for one in said["Det"]]), truth),
        diagnoses=said,
        roc=tuple(roc_curve(name, [one.score for one in its], truth) for name, its in said.items()),
        roc_band=roc_band(scores, truth, patients),
        detector=DetectorResult(
            benign=precision,
            malignant=None,
            either_class=precision,
            mean_of_classes=None,
            hit_overlap=0.3,
            per_image=froc_per_image(images, patients, overlap=0.3),
            per_patient=froc_per_patient(images, patients, overlap=0.3),
            hit=20,
            labelled=24,
            false_boxes=7,
            false_boxes_lesion_free=3,
            false_boxes_per_lesion_free=Estimate(0.75, 0.25, 1.5),
        ),
        sequences=tuple(
            SequencesRow(strategy=name, sequences=choice, performance=performance(said[name], patients))
            for name in said
            for choice in ("T1 only", "T2 and T2 FS", "both")
        ),
        patients_with_both_kinds=PATIENTS,
        regions=region_rows(decided, [(SpineRegion.LUMBAR,)] * PATIENTS),
        subgroups=subgroup_rows("site", decided, ["north", "south & <b>east</b>"] * (PATIENTS // 2)),
        readers=reader_rows(
            [ReaderVerdicts("D1 <i>", True, dict.fromkeys(names, Verdict.BENIGN))],
            decided,
        ),
        calibration=probability_calibration(scores, truth, seed=1, resamples=50),
        decision_curve=decision_curve(scores, truth),
    )
    return replace(evaluation, **changes)


def _probability(rng: np.random.Generator, malignant: bool) -> float:
    return float(np.clip(rng.normal(0.3 + 0.4 * malignant, 0.2), 0.01, 0.99))


def example_subject(**changes: Any) -> Subject:
    subject = Subject(
        bundle_name="model <x>",
        bundle_version="1.2.0",
        bundle_sha256="a1" * 32,
        trained_on="patients of one hospital",
        data_set="north",
        data_sha256="b2" * 32,
        part="held_out",
        patients_sha256="c3" * 32,
        is_phantom=False,
        seen_before="",
        device="Some GPU",
        precision="bfloat16",
        versions={"torch": "2.9.0", "spinenode": "0.1.0"},
    )
    return replace(subject, **changes)
