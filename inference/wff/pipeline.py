"""The weighted fusion framework as a pipeline: DICOM files of a case in, findings out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
import torch

from inference.bundle import Bundle
from inference.case import Case
from inference.findings import (
    Box,
    BundleIdentity,
    Decision,
    Findings,
    ImageVote,
    Lesion,
    Reason,
    SequenceVote,
    SeriesLeftOut,
    SeriesUsed,
    Status,
)
from inference.heads import Vector
from inference.plane import box_corners_mm
from inference.runtime import ChangedSize, Runtime
from inference.selection import EligibleSeries, SliceHead
from inference.wff.loading import Loaded, load_series
from inference.wff.model import WffModel
from inference.wff.networks.batches import SliceBoxes
from inference.wff.reading import PatientReading, SequenceReading, SliceReading
from inference.wff.stage_times import StageTimes
from inference.wff.weights import load_model

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Examination:
    """Findings, and what they were made from; without series there is no reading."""

    loaded: Loaded
    found: tuple[tuple[SliceBoxes, ...], ...]  # boxes of every slice of every series, whatever their score
    reading: PatientReading | None
    findings: Findings


class WffPipeline:
    """Selects, loads and analyses the sagittal spine sequences of one patient."""

    def __init__(self, model: WffModel, identity: BundleIdentity) -> None:
        self._model = model
        self._identity = identity

    @property
    def identity(self) -> BundleIdentity:
        return self._identity

    @property
    def model(self) -> WffModel:
        return self._model

    def run(self, case: Case) -> Findings:
        """See `inference.pipeline.Pipeline.run`."""
        return self.examine(case).findings

    def examine(self, case: Case) -> Examination:
        """As `run`, for those who want to know how it came about."""
        times = StageTimes()
        with self._model.detection() as detection:  # works on the series that are read while the next is being read
            loaded = load_series(case, detection, times)
            with times.stage("detector"):
                found = tuple(detection.results())
        reading = self._model.decide(loaded.images, found, loaded.age_years, times) if loaded.series else None
        findings = self._not_analysed(loaded) if reading is None else self._told(loaded, reading)
        log.info(
            "case_analysed",
            case_id=case.case_id,
            status=findings.status,
            series_used=len(findings.series_used),
            series_left_out=len(findings.series_left_out),
            **{f"{stage}_s": round(seconds, 3) for stage, seconds in times.seconds.items()},
        )
        return Examination(loaded, found, reading, replace(findings, timings_s=dict(times.seconds)))

    def _not_analysed(self, loaded: Loaded) -> Findings:
        return Findings(
            status=Status.NOT_ANALYSED,
            bundle=self._identity,
            reason=_common_reason(loaded.left_out),
            detail=f"None of {len(loaded.left_out)} series is a readable sagittal T1, T2 or fat-suppressed T2 series "
            "of the spine.",
            age_years=loaded.age_years,
            series_left_out=loaded.left_out,
            parameters=_parameters(self._model),
        )

    def _told(self, loaded: Loaded, reading: PatientReading) -> Findings:
        decision = _decision(reading)
        return Findings(
            status=Status.NO_LESION_DETECTED if decision is None else Status.LESION_DETECTED,
            bundle=self._identity,
            detail=_detail(loaded.series, reading),
            lesions=_lesions(loaded.series, reading),
            sequences=tuple(_sequence(s, r) for s, r in zip(loaded.series, reading.sequences, strict=True)),
            decision=decision,
            age_years=loaded.age_years,
            age_probability=self._model.age_table.probability(loaded.age_years),
            series_used=tuple(map(_used, loaded.series, loaded.gray_limits)),
            series_left_out=loaded.left_out,
            parameters=_parameters(self._model),
        )


def _common_reason(left_out: Sequence[SeriesLeftOut]) -> Reason:
    """Why there was nothing to analyse: the one reason of all series that could have been images of the spine."""
    reasons = {series.reason for series in left_out} - {Reason.NOT_AN_IMAGE, Reason.LOCALIZER}
    return reasons.pop() if len(reasons) == 1 else Reason.NO_ELIGIBLE_SERIES


def load(bundle: Bundle, runtime: Runtime) -> WffPipeline:
    """Called by `inference.pipeline.load_pipeline`."""
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    model = load_model(bundle, runtime=runtime)
    if model.changed:
        log.info(
            "runs_unlike_its_bundle",
            changed=[str(one) for one in model.changed],
            effect="the threshold was fitted at the bundle's own sizes and may be wrong here",
            remedy=f"measure the bundle so before use: spinenode evaluate {_options(model.changed)} ...",
        )
    model.warm_up()
    return WffPipeline(model, bundle.identity)


def _options(changed: Sequence[ChangedSize]) -> str:
    return " ".join(f"--{one.name.replace('_', '-')} {one.as_run}" for one in changed)


def _parameters(model: WffModel) -> dict[str, float]:
    """What the answer depends on beside the weights; sizes only where the site runs others than the bundle's."""
    fusion = model.config.fusion
    parameters = {
        "tau": fusion.tau,
        "lambda_detector": fusion.lambda_detector,
        "lambda_sequence": fusion.lambda_sequence,
        "lambda_age": fusion.lambda_age,
    }
    if fusion.is_calibrated:
        parameters["calibration_slope"] = fusion.calibration_slope
        parameters["calibration_intercept"] = fusion.calibration_intercept
    return parameters | {one.name: float(one.as_run) for one in model.changed}


def _detail(series: Sequence[EligibleSeries], reading: PatientReading) -> str:
    images = sum(len(one.slices) for one in series)
    voting = [len(sequence.slices) for sequence in reading.sequences if sequence.slices]
    if not voting:
        return f"No lesion was detected on {images} images of {len(series)} series."
    return f"Lesions were detected on {sum(voting)} of {images} images, in {len(voting)} of {len(series)} series."


def _used(series: EligibleSeries, gray_limits: tuple[float, float]) -> SeriesUsed:
    return SeriesUsed(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        kind=series.kind,
        kind_evidence=series.kind_evidence,
        images=tuple(s.image for s in series.slices),
        gray_limits=gray_limits,
    )


def _lesions(series: Sequence[EligibleSeries], reading: PatientReading) -> tuple[Lesion, ...]:
    return tuple(
        Lesion(
            image=one.slices[s.index].image,
            series_instance_uid=one.series_instance_uid,
            box=found.box,
            verdict=s.verdict,
            score=found.score,
            probability_malignant=s.probability_malignant,
            detector_verdict=found.verdict,
            corners_mm=_corners_mm(one.slices[s.index], found.box),
        )
        for one, sequence in zip(series, reading.sequences, strict=True)
        for s in sequence.slices
        for found in s.lesions
    )


def _sequence(series: EligibleSeries, reading: SequenceReading) -> SequenceVote:
    vote, clip = reading.vote, reading.clip
    read = [] if clip is None else [series.slices[index] for index in dict.fromkeys(clip.slices)]
    return SequenceVote(
        series_instance_uid=series.series_instance_uid,
        kind=series.kind,
        image_count=len(series.slices),
        votes=tuple(_image_vote(series, s) for s in reading.slices),
        classifier_probability=None if clip is None else clip.probability_malignant,
        crop=None if clip is None else clip.region,
        mean_probability=None if vote is None else vote.mean,
        verdict=None if vote is None else vote.verdict,
        tie=vote is not None and vote.tie,
        crop_corners_mm=() if clip is None else _corners_mm(read[0], clip.region),
        clip_images=tuple(one.image for one in read),
    )


def _corners_mm(image: SliceHead, box: Box) -> tuple[Vector, ...]:
    return box_corners_mm(
        box,
        position_mm=image.position_mm,
        orientation=image.orientation,
        pixel_spacing_mm=image.pixel_spacing_mm,
    )


def _image_vote(series: EligibleSeries, reading: SliceReading) -> ImageVote:
    return ImageVote(
        image=series.slices[reading.index].image,
        detector_probability=reading.detector_probability,
        probability_malignant=reading.probability_malignant,
        verdict=reading.verdict,
    )


def _decision(reading: PatientReading) -> Decision | None:
    if reading.vote is None or reading.vote_fraction_malignant is None:
        return None
    return Decision(
        verdict=reading.vote.verdict,
        probability_malignant=reading.vote.mean,
        vote_fraction_malignant=reading.vote_fraction_malignant,
        tie=reading.vote.tie,
    )
