from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.case import Case
from inference.findings import BundleIdentity, Findings, Reason, Status, Verdict
from inference.phantom import PhantomConfig, PhantomPatient, generate_patient
from inference.phantom.dicom import write_study
from inference.selection import read_head, select_series
from inference.volume import load_volume, window_to_uint8
from inference.wff.config import FusionConfig
from inference.wff.model import WffModel
from inference.wff.phantom_data import windowed
from inference.wff.pipeline import WffPipeline

IDENTITY = BundleIdentity(
    pipeline="wff", name="micro", version="0", sha256="0", trained_on="-", validated_on="-", phantom_trained=True
)
EVERYTHING_VOTES = FusionConfig(tau=0.06)  # untrained nets give low scores


@pytest.fixture(scope="module")
def patient() -> PhantomPatient:
    return generate_patient(0, seed=7, config=PhantomConfig(matrix=64))


@pytest.fixture(scope="module")
def files(patient: PhantomPatient, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_study(patient, tmp_path_factory.mktemp("study"), distractors=True)


@pytest.fixture(scope="module")
def pipeline(micro_model: WffModel) -> WffPipeline:
    return WffPipeline(micro_model.with_fusion(EVERYTHING_VOTES), IDENTITY)


@pytest.fixture(scope="module")
def findings(pipeline: WffPipeline, files: tuple[Path, ...]) -> Findings:
    return pipeline.run(Case(case_id="c", files=files))


def test_every_sagittal_series_takes_part_and_the_others_are_left_out_with_a_reason(findings: Findings) -> None:
    assert [s.kind for s in findings.series_used] == ["T1", "T2", "T2FS"]
    assert {s.reason for s in findings.series_left_out} <= {Reason.WRONG_PLANE, Reason.LOCALIZER, Reason.TOO_FEW_SLICES}
    assert findings.series_left_out


def test_lesions_lie_inside_the_original_image_and_on_images_that_voted(findings: Findings) -> None:
    assert findings.status is Status.LESION_DETECTED
    voted = {vote.image for sequence in findings.sequences for vote in sequence.votes}
    for lesion in findings.lesions:
        assert 0 <= lesion.box.x0 < lesion.box.x1 <= 64
        assert 0 <= lesion.box.y0 < lesion.box.y1 <= 64
        assert lesion.score >= EVERYTHING_VOTES.tau
    assert {lesion.image for lesion in findings.lesions} == voted
    images = sum(len(used.images) for used in findings.series_used)
    assert findings.detail == f"Lesions were detected on {len(voted)} of {images} images, in 3 of 3 series."


def test_a_vote_is_the_weighted_fusion_of_its_terms(findings: Findings) -> None:
    f = EVERYTHING_VOTES
    for sequence in findings.sequences:
        assert sequence.classifier_probability is not None
        assert findings.age_probability is not None
        for vote in sequence.votes:
            expected = (
                f.lambda_detector * vote.detector_probability
                + f.lambda_sequence * sequence.classifier_probability
                + f.lambda_age * findings.age_probability
            )
            assert vote.probability_malignant == pytest.approx(expected)
            assert (vote.verdict is Verdict.MALIGNANT) == (vote.probability_malignant >= 0.5)


def test_the_decision_says_what_the_sequences_say(findings: Findings) -> None:
    assert findings.decision is not None
    means = [s.mean_probability for s in findings.sequences if s.mean_probability is not None]

    assert findings.decision.probability_malignant == pytest.approx(float(np.mean(means)))
    verdicts = [s.verdict for s in findings.sequences]
    assert verdicts.count(findings.decision.verdict) >= len(verdicts) / 2


def test_age_parameters_and_stage_times_are_told(findings: Findings, patient: PhantomPatient) -> None:
    assert findings.age_years == patient.age_years
    assert findings.parameters == {
        "tau": 0.06,
        "lambda_detector": 0.45,
        "lambda_sequence": 0.45,
        "lambda_age": 0.1,
    }
    assert set(findings.timings_s) == {"read", "preprocess", "detector", "crops", "sequence", "fusion"}
    assert all(seconds >= 0 for seconds in findings.timings_s.values())


def test_the_order_of_the_files_has_no_effect(
    pipeline: WffPipeline, files: tuple[Path, ...], findings: Findings
) -> None:
    again = pipeline.run(Case(case_id="c", files=tuple(reversed(files))))

    assert replace(again, timings_s={}) == replace(findings, timings_s={})


def test_a_series_with_broken_pixels_is_left_out_and_the_rest_goes_on(
    pipeline: WffPipeline, patient: PhantomPatient, tmp_path: Path
) -> None:
    files = write_study(patient, tmp_path)
    broken = dcmread(files[0])
    broken.PixelData = broken.PixelData[:100]
    broken.save_as(files[0])

    findings = pipeline.run(Case(case_id="c", files=files))

    assert [s.kind for s in findings.series_used] == ["T2", "T2FS"]
    (left_out,) = findings.series_left_out
    assert (left_out.reason, left_out.series_instance_uid) == (Reason.BROKEN_PIXELS, broken.SeriesInstanceUID)
    assert str(broken.SOPInstanceUID) in left_out.detail


def test_a_case_without_eligible_series_is_not_analysed_and_says_why(
    pipeline: WffPipeline, files: tuple[Path, ...], findings: Findings
) -> None:
    outside = {s.series_instance_uid for s in findings.series_left_out}
    only = tuple(file for file in files if read_head(file).series_instance_uid in outside)

    answer = pipeline.run(Case(case_id="c", files=only))

    assert (answer.status, answer.reason) == (Status.NOT_ANALYSED, Reason.NO_ELIGIBLE_SERIES)
    assert answer.series_left_out == findings.series_left_out
    assert answer.decision is None
    assert answer.bundle == IDENTITY


def test_a_case_without_any_file_is_not_analysed(pipeline: WffPipeline) -> None:
    assert pipeline.run(Case(case_id="c", files=())).status is Status.NOT_ANALYSED


def test_nothing_above_the_threshold_is_no_lesion_detected_without_class_or_probability(
    micro_model: WffModel, files: tuple[Path, ...]
) -> None:
    deaf = WffPipeline(micro_model.with_fusion(FusionConfig(tau=0.999)), IDENTITY)

    findings = deaf.run(Case(case_id="c", files=files))

    assert findings.status is Status.NO_LESION_DETECTED
    assert findings.decision is None
    assert findings.lesions == ()
    assert findings.detail.startswith("No lesion was detected on")
    assert [s.verdict for s in findings.sequences] == [None, None, None]
    assert [s.crop for s in findings.sequences] == [None, None, None]


def test_training_sees_the_same_grey_values_as_the_clinic(patient: PhantomPatient, files: tuple[Path, ...]) -> None:
    eligible = select_series([read_head(file) for file in files]).eligible

    for one, phantom in zip(eligible, patient.series, strict=True):
        assert one.kind is phantom.kind
        assert np.array_equal(window_to_uint8(load_volume(one)), windowed(phantom))


def test_a_model_that_runs_out_of_memory_goes_on_with_smaller_batches(
    micro_model: WffModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    model = micro_model.with_fusion(EVERYTHING_VOTES)
    images = np.random.default_rng(0).integers(0, 255, size=(8, 64, 64), dtype=np.uint8)
    expected = model.detect(images)
    detector, _ = model.nets
    whole = detector.detect

    def small_only(batch: torch.Tensor) -> object:
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return whole(batch)

    monkeypatch.setattr(detector, "detect", small_only)

    found = model.detect(images)

    assert [len(boxes) for boxes in found] == [len(boxes) for boxes in expected]
