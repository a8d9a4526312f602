"""The bundle that ships with the node: what it claims, and that it does so on patients it has never seen.

It is part of the package: where it is missing, every test of this file fails.
"""

from itertools import count
from pathlib import Path

import pytest

from inference.bundle import DEMO_BUNDLE, open_bundle
from inference.case import Case
from inference.evaluation.metrics import Rate
from inference.findings import Decision, Findings, SequenceKind, Status, Verdict
from inference.findings_json import from_json, to_json
from inference.phantom import PhantomConfig, PhantomPatient, generate_patient, oracle_probability
from inference.phantom.dicom import write_study
from inference.phantom.patient import draw_subject
from inference.pipeline import Pipeline, bundle_identity, load_pipeline
from inference.wff.config import FusionConfig, config_from_json
from inference.wff.demo_bundle.measuring import weaknesses
from inference.wff.evaluation.hits import HIT_IOU
from tests.real_data import real_data

SEED = 20_001  # of patients that no training, tuning or measurement has seen
PATIENTS = 6  # half of each class
CONFIG = PhantomConfig(lesion_free_fraction=0.0)
PLAIN = 0.95  # the reader who sees every planted sign is this sure, and right


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline(None, device="cpu", threads=1)


@pytest.fixture(scope="module")
def analysed(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[PhantomPatient, Findings]]:
    plain = [*_plain_patients(Verdict.BENIGN), *_plain_patients(Verdict.MALIGNANT)]
    patients = [generate_patient(index, seed=SEED, config=CONFIG) for index in plain]
    folders = [tmp_path_factory.mktemp(p.patient_id) for p in patients]
    return [
        (p, pipeline.run(Case(case_id=p.patient_id, files=write_study(p, folder))))
        for p, folder in zip(patients, folders, strict=True)
    ]


def _plain_patients(verdict: Verdict) -> list[int]:
    """The first few patients of a class whose signs leave hardly a doubt."""
    found: list[int] = []
    for index in count():
        truth = draw_subject(index, seed=SEED, config=CONFIG).truth
        malignant = oracle_probability(truth, with_age=True)
        sure = malignant if verdict is Verdict.MALIGNANT else 1.0 - malignant
        if truth.label is verdict and sure >= PLAIN:
            found.append(index)
        if len(found) == PATIENTS // 2:
            break
    return found


def hit(patient: PhantomPatient, findings: Findings) -> bool:
    for used, series in zip(findings.series_used, patient.series, strict=True):
        planted = dict(zip(used.images, series.boxes, strict=True))
        for lesion in findings.lesions:
            if any(lesion.box.overlap(box) >= HIT_IOU for box in planted.get(lesion.image, ())):
                return True
    return False


def test_the_bundle_is_at_most_sixteen_megabytes() -> None:
    assert sum(file.stat().st_size for file in DEMO_BUNDLE.iterdir()) <= 16 * 2**20


def test_the_bundle_says_how_it_was_measured_that_it_is_of_the_phantom_and_not_for_the_clinic() -> None:
    identity = bundle_identity(None)
    card = (DEMO_BUNDLE / "MODEL_CARD.md").read_text()

    assert identity.phantom_trained
    assert "phantom" in identity.trained_on
    assert "95 % CI" in identity.validated_on
    assert "synthetic phantom, no clinical meaning" in card.splitlines()[0]
    assert "Not for clinical use" in card


def test_the_card_tells_the_weaknesses_that_its_maker_knows() -> None:
    metadata = open_bundle(DEMO_BUNDLE).metadata
    fusion = config_from_json(metadata["config"]).fusion
    oracle = metadata["measured"]["cohorts"]["unseen_sites"]["oracle_decision"]

    lines = weaknesses(fusion, Rate(oracle["hits"], oracle["total"]), None)

    assert all(line in (DEMO_BUNDLE / "MODEL_CARD.md").read_text() for line in lines)
    assert any(f"errs on {oracle['total'] - oracle['hits']} of {oracle['total']} patients" in line for line in lines)


@pytest.mark.parametrize(("weight", "told"), [(0.0, True), (0.45, False)])
def test_the_card_of_a_model_without_weight_for_the_detector_says_so(weight: float, told: bool) -> None:
    lines = weaknesses(FusionConfig(lambda_detector=weight), Rate(9, 10), None)

    assert ("same probability" in "\n".join(lines)) is told


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("verdict", [*Verdict, None])
def test_the_card_says_what_was_said_of_a_real_study_without_a_tumour(verdict: Verdict | None, tie: bool) -> None:
    said = (
        None
        if verdict is None
        else Decision(verdict=verdict, probability_malignant=0.46, vote_fraction_malignant=0.6, tie=tie)
    )
    status = Status.NO_LESION_DETECTED if verdict is None else Status.LESION_DETECTED
    findings = Findings(status=status, bundle=bundle_identity(None), decision=said)

    text = "\n".join(weaknesses(FusionConfig(), Rate(9, 10), findings))

    assert "on a real study without a known tumour, it " in text
    assert ("found nothing" if verdict is None else f'decided "{verdict}", probability of malignancy 0.46') in text
    assert ("60 % of the voting images said malignant" in text) is (verdict is not None)
    assert ("after a tie of the sequences" in text) is (tie and verdict is not None)


def test_the_recorded_numbers_reach_what_the_demo_promises() -> None:
    """On scanners that no training has seen."""
    measured = open_bundle(DEMO_BUNDLE).metadata["measured"]
    unseen = measured["cohorts"]["unseen_sites"]

    assert unseen["lesion_hit"]["total"] >= 200
    assert unseen["lesion_hit"]["value"] >= 0.90
    assert unseen["false_boxes_per_lesion_free"] <= 1.0
    assert measured["images_alone"]["share_of_oracle"] >= 0.85
    area = {row["name"]: row["performance"]["area"]["value"] for row in measured["strategies"]}
    assert area["Det-Seq-Age"] >= area["Det"]


def test_the_card_says_of_each_line_that_was_asked_whether_it_is_met() -> None:
    asked = open_bundle(DEMO_BUNDLE).metadata["measured"]["acceptance"]
    card = (DEMO_BUNDLE / "MODEL_CARD.md").read_text()

    assert len(asked) == 5
    assert all(f"{'met' if line['met'] else 'NOT met'}: {line['measured']} |" in card for line in asked)


def test_planted_lesions_of_unseen_patients_with_plain_signs_are_found_in_their_place_but_for_one_patient(
    analysed: list[tuple[PhantomPatient, Findings]],
) -> None:
    assert sum(hit(patient, findings) for patient, findings in analysed) >= PATIENTS - 1


def test_unseen_patients_with_plain_signs_are_decided_right_but_for_one(
    analysed: list[tuple[PhantomPatient, Findings]],
) -> None:
    right = 0
    for patient, findings in analysed:
        said = Verdict.BENIGN if findings.decision is None else findings.decision.verdict
        right += said is patient.truth.label

    assert right >= PATIENTS - 1


def test_its_findings_survive_json(analysed: list[tuple[PhantomPatient, Findings]]) -> None:
    _, findings = analysed[0]

    assert from_json(to_json(findings)) == findings


def test_of_a_real_lumbar_study_t1_t2_and_stir_are_read_and_boxes_lie_on_their_images(pipeline: Pipeline) -> None:
    folder: Path = real_data("spine-hitachi-airis-vento-lumbar")
    files = tuple(sorted(file for file in folder.rglob("*") if file.is_file()))

    findings = pipeline.run(Case(case_id="real", files=files))

    assert findings.status in (Status.LESION_DETECTED, Status.NO_LESION_DETECTED)
    assert [s.kind for s in findings.series_used] == [SequenceKind.T1, SequenceKind.T2, SequenceKind.T2FS]
    assert len(findings.series_left_out) >= 2
    images = {image for used in findings.series_used for image in used.images}
    assert {lesion.image for lesion in findings.lesions} <= images
    assert findings.bundle.phantom_trained
