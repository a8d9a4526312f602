from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from inference.case import Case
from inference.findings import Box, BundleIdentity, Findings, Reason, Status, Verdict, verdict_of
from inference.phantom import PhantomConfig, PhantomPatient, generate_patient
from inference.phantom.data_set import windowed
from inference.phantom.dicom import write_study
from inference.selection import read_head, select_series
from inference.volume import load_volume, window_to_uint8
from inference.wff.config import FusionConfig
from inference.wff.fusion import calibrated
from inference.wff.model import SliceBoxes, WffModel
from inference.wff.pipeline import WffPipeline
from inference.wff.reading import DetectedBox

IDENTITY = BundleIdentity(
    pipeline="wff", name="micro", version="0", sha256="0", trained_on="-", validated_on="-", phantom_trained=True
)
MARK = Box(x0=20, y0=8, x1=31, y1=24)
MARKED = (1, 2, 4)  # the slice that a detector in a test marks, of T1, T2 and T2FS
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


class MarkedSlices(AbstractContextManager["MarkedSlices"]):
    """A detection that finds one box on one slice of each sequence."""

    def __init__(self, box: DetectedBox) -> None:
        self._box = box
        self._lengths: list[int] = []

    def add(self, images: np.ndarray) -> None:
        self._lengths.append(len(images))

    def results(self) -> list[tuple[SliceBoxes, ...]]:
        sequences = zip(self._lengths, MARKED, strict=True)
        return [tuple((self._box,) if k == marked else () for k in range(length)) for length, marked in sequences]

    def __exit__(self, *raised: object) -> None:
        pass


@pytest.fixture
def told(
    micro_model: WffModel, patient: PhantomPatient, files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> Findings:
    """A detector that marks one slice of each series, with the class against which the age decides."""
    model = micro_model.with_fusion(FusionConfig(tau=0.5, lambda_detector=0.0, lambda_sequence=0.0, lambda_age=1.0))
    by_age = verdict_of(model.age_table.probability(patient.age_years) or 0.0)
    against = Verdict.BENIGN if by_age is Verdict.MALIGNANT else Verdict.MALIGNANT
    monkeypatch.setattr(model, "detection", lambda: MarkedSlices(DetectedBox(MARK, against, 0.9)))
    return WffPipeline(model, IDENTITY).run(Case(case_id="c", files=files))


def test_boxes_votes_and_clips_name_the_slice_that_they_were_found_on(told: Findings) -> None:
    marked = [used.images[k] for used, k in zip(told.series_used, MARKED, strict=True)]

    assert [lesion.image for lesion in told.lesions] == marked
    assert [vote.image for sequence in told.sequences for vote in sequence.votes] == marked
    assert [sequence.clip_images for sequence in told.sequences] == [(image,) for image in marked]


def test_a_lesion_has_the_class_of_its_image_and_tells_the_detectors_own(told: Findings) -> None:
    assert told.decision is not None
    by_age = verdict_of(told.age_probability or 0.0)
    against = Verdict.BENIGN if by_age is Verdict.MALIGNANT else Verdict.MALIGNANT

    assert {lesion.verdict for lesion in told.lesions} == {by_age, told.decision.verdict}
    assert {lesion.detector_verdict for lesion in told.lesions} == {against}
    assert told.decision.vote_fraction_malignant == float(by_age is Verdict.MALIGNANT)


def test_boxes_are_told_in_millimetres_of_the_patient_too(told: Findings, files: tuple[Path, ...]) -> None:
    """The middle of a box lies where the image says that pixel lies (PS3.3 C.7.6.2.1.1)."""
    headers = {str(header.SOPInstanceUID): header for header in map(dcmread, files)}
    for lesion, sequence in zip(told.lesions, told.sequences, strict=True):
        image = headers[lesion.image.sop_instance_uid]
        assert sequence.crop is not None
        for box, corners in ((lesion.box, lesion.corners_mm), (sequence.crop, sequence.crop_corners_mm)):
            column, row = (box.x0 + box.x1) / 2 - 0.5, (box.y0 + box.y1) / 2 - 0.5
            along_row, along_column = np.array(image.ImageOrientationPatient, dtype=float).reshape(2, 3)
            between_rows, between_columns = map(float, image.PixelSpacing)
            middle = np.array(image.ImagePositionPatient, dtype=float)
            middle += along_row * between_columns * column + along_column * between_rows * row
            assert np.mean(corners, axis=0) == pytest.approx(middle)
            across, down = np.subtract(corners[1], corners[0]), np.subtract(corners[2], corners[1])
            assert across == pytest.approx(along_row * between_columns * (box.x1 - box.x0))
            assert down == pytest.approx(along_column * between_rows * (box.y1 - box.y0))


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
    assert set(findings.timings_s) == {"read", "detector", "crops", "sequence", "fusion"}
    assert all(seconds >= 0 for seconds in findings.timings_s.values())


def test_a_calibrated_model_tells_its_calibration_beside_its_weights(
    micro_model: WffModel, files: tuple[Path, ...], findings: Findings
) -> None:
    fusion = replace(EVERYTHING_VOTES, calibration_slope=1.5, calibration_intercept=-0.25)

    told = WffPipeline(micro_model.with_fusion(fusion), IDENTITY).run(Case(case_id="c", files=files))

    assert told.parameters == {**findings.parameters, "calibration_slope": 1.5, "calibration_intercept": -0.25}
    for before, after in zip(findings.sequences, told.sequences, strict=True):
        assert [v.probability_malignant for v in after.votes] == pytest.approx(
            [calibrated(v.probability_malignant, fusion) for v in before.votes]
        )


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

    assert {s.reason for s in answer.series_left_out} == {Reason.LOCALIZER, Reason.WRONG_PLANE}
    assert (answer.status, answer.reason) == (Status.NOT_ANALYSED, Reason.WRONG_PLANE)  # nobody missed a localizer
    assert answer.series_left_out == findings.series_left_out
    assert answer.decision is None
    assert answer.bundle == IDENTITY


def test_series_left_out_for_several_reasons_leave_the_case_without_one_of_its_own(
    pipeline: WffPipeline, files: tuple[Path, ...], findings: Findings, tmp_path: Path
) -> None:
    outside = {s.series_instance_uid for s in findings.series_left_out}
    only = [file for file in files if read_head(file).series_instance_uid in outside]
    (tmp_path / "damaged").write_bytes(b"no DICOM")

    answer = pipeline.run(Case(case_id="c", files=(*only, tmp_path / "damaged")))

    assert {s.reason for s in answer.series_left_out} >= {Reason.WRONG_PLANE, Reason.UNREADABLE}
    assert answer.reason is Reason.NO_ELIGIBLE_SERIES


def test_the_gray_scale_that_the_networks_saw_is_told_for_each_series(findings: Findings) -> None:
    limits = [series.gray_limits for series in findings.series_used]

    assert len(limits) == 3
    assert all(one is not None and one[0] < one[1] for one in limits)


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
