import hashlib
import json
from pathlib import Path

import pytest
import torch

from inference.bundle import METADATA
from inference.data_facts import data_facts
from inference.datasets import INDEX, open_data_set
from inference.errors import BundleError, EvaluationError, LabelsError, SettingsError
from inference.evaluation.files import DATA, PAGE, write_evaluation
from inference.evaluation.subject import PHANTOM_HEADING
from inference.findings import Verdict
from inference.splits import Splits, draw_splits, save_splits
from inference.wff.evaluation.run import EvaluationRequest, EvaluationRun
from inference.wff.versions import versions
from tests.inference.wff.labelled_patients import T1, T2, Case, write_patients
from tests.node.micro_bundle import write_micro_bundle

CASES = [Case(verdict, {T1: verdict, T2: verdict}) for verdict in (Verdict.BENIGN, Verdict.MALIGNANT) for _ in range(4)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "micro"
    write_micro_bundle(folder)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_patients(tmp_path / "north", [*CASES, Case(None, {T1: None, T2: None})])
    return tmp_path / "north"


@pytest.fixture
def splits(tmp_path: Path, data: Path) -> Splits:
    drawn = draw_splits(open_data_set(data), folds=2, held_out=0.25, seed=1)
    save_splits(drawn, tmp_path / "splits.json", data_sha256=data_facts(data, open_data_set(data)).sha256)
    return drawn


def test_an_evaluation_writes_its_data_and_its_page(tmp_path: Path, bundle: Path, data: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run = EvaluationRun(EvaluationRequest(bundle=bundle, data=data))

    evaluation = run.evaluate(report=lambda stage, done, total: told.append((stage, done, total)))
    write_evaluation(tmp_path / "out", evaluation, run.subject)

    written = json.loads((tmp_path / "out" / DATA).read_text())
    assert written["subject"]["bundle_sha256"] == run.subject.bundle_sha256
    assert written["cohort"]["patients"] == 8
    assert "Evaluation of micro 0" in (tmp_path / "out" / PAGE).read_text()
    assert told[-1] == ("sequence classifier", 8, 8)
    assert ("lesion detector", 9, 9) in told


def test_the_evaluation_records_what_it_takes_to_repeat_it(
    tmp_path: Path, bundle: Path, data: Path, splits: Splits
) -> None:
    readers = tmp_path / "readers.csv"
    held_out = [one for one in splits.held_out if one.verdict is not None]
    readers.write_text(
        "patient,reader,with_age,verdict\n" + "".join(f"{one.patient_id},D1,no,benign\n" for one in held_out)
    )
    run = EvaluationRun(EvaluationRequest(bundle=bundle, data=data, splits=tmp_path / "splits.json", readers=readers))

    write_evaluation(tmp_path / "out", run.evaluate(), run.subject)

    subject = json.loads((tmp_path / "out" / DATA).read_text())["subject"]
    on_gpu = torch.cuda.is_available()
    assert subject["device"] == (torch.cuda.get_device_name() if on_gpu else "cpu")
    assert subject["precision"] in (("bfloat16", "float16") if on_gpu else ("float32",))
    assert subject["versions"] == versions()
    assert subject["readers_sha256"] == hashlib.sha256(readers.read_bytes()).hexdigest()
    assert subject["split_sha256"] == splits.sha256


def test_of_readers_and_a_split_that_were_not_given_nothing_is_recorded(bundle: Path, data: Path) -> None:
    subject = EvaluationRun(EvaluationRequest(bundle=bundle, data=data)).subject

    assert (subject.readers_sha256, subject.split_sha256) == ("", "")


def test_a_bundle_trained_on_the_phantom_heads_everything_it_is_evaluated_with(
    tmp_path: Path, bundle: Path, data: Path
) -> None:
    run = EvaluationRun(EvaluationRequest(bundle=bundle, data=data))

    write_evaluation(tmp_path / "out", run.evaluate(), run.subject)

    assert json.loads((tmp_path / "out" / DATA).read_text())["heading"] == PHANTOM_HEADING


def test_a_data_set_of_the_phantom_is_known_by_its_recipe(tmp_path: Path, bundle: Path, data: Path) -> None:
    metadata = json.loads((bundle / METADATA).read_text())
    clinical = tmp_path / "clinical"
    clinical.mkdir()
    for file in bundle.iterdir():
        if file.name not in (METADATA, "SHA256"):
            (clinical / file.name).write_bytes(file.read_bytes())
    (clinical / METADATA).write_text(json.dumps({**metadata, "phantom_trained": False}))

    before = EvaluationRun(EvaluationRequest(bundle=clinical, data=data)).subject.heading
    (data / "recipe.json").write_text("{}")
    after = EvaluationRun(EvaluationRequest(bundle=clinical, data=data)).subject.heading

    assert (before, after) == ("", PHANTOM_HEADING)


def test_a_part_of_a_split_is_evaluated_alone(tmp_path: Path, bundle: Path, data: Path, splits: Splits) -> None:
    parts = {
        part: EvaluationRun(
            EvaluationRequest(bundle=bundle, data=data, splits=tmp_path / "splits.json", part=part)
        ).patients
        for part in ("held_out", "training", "fold-2")
    }

    assert parts["held_out"] == splits.held_out
    assert parts["training"] == tuple(splits.training)
    assert parts["fold-2"] == splits.folds[1]


def test_an_unknown_part_is_answered_with_those_there_are(
    tmp_path: Path, bundle: Path, data: Path, splits: Splits
) -> None:
    request = EvaluationRequest(bundle=bundle, data=data, splits=tmp_path / "splits.json", part="test")

    with pytest.raises(SettingsError, match="no part 'test'; it has held_out, training, fold-1, fold-2"):
        EvaluationRun(request)


def test_a_split_of_other_patients_is_refused(tmp_path: Path, bundle: Path, data: Path, splits: Splits) -> None:
    file = tmp_path / "splits.json"
    file.write_text(file.read_text().replace("P00", "P99"))

    with pytest.raises(SettingsError, match="P99"):
        EvaluationRun(EvaluationRequest(bundle=bundle, data=data, splits=file))


def test_a_split_of_another_data_set_with_the_same_names_is_refused(
    tmp_path: Path, bundle: Path, data: Path, splits: Splits
) -> None:
    write_patients(tmp_path / "south", [*reversed(CASES), Case(None, {T1: None, T2: None})])

    with pytest.raises(SettingsError, match="parts another data set"):
        EvaluationRun(EvaluationRequest(bundle=bundle, data=tmp_path / "south", splits=tmp_path / "splits.json"))


def test_readers_of_unknown_patients_are_refused_before_the_networks_run(
    tmp_path: Path, bundle: Path, data: Path
) -> None:
    readers = tmp_path / "readers.csv"
    readers.write_text("patient,reader,with_age,verdict\nP77,D1,no,benign\n")

    with pytest.raises(EvaluationError, match="line 2: patient 'P77'"):
        EvaluationRun(EvaluationRequest(bundle=bundle, data=data, readers=readers))


def test_readers_of_another_data_set_are_refused_before_the_networks_run(
    tmp_path: Path, bundle: Path, data: Path
) -> None:
    readers = tmp_path / "readers.csv"
    readers.write_text(f"patient,reader,with_age,verdict,data_sha256\nP00,D1,no,benign,{64 * '0'}\n")

    with pytest.raises(EvaluationError, match=r"line 2: .* of another data set"):
        EvaluationRun(EvaluationRequest(bundle=bundle, data=data, readers=readers))


def test_a_data_set_of_one_class_is_refused_before_the_networks_run(tmp_path: Path, bundle: Path) -> None:
    write_patients(tmp_path / "benign", CASES[:4])

    with pytest.raises(EvaluationError, match="4 benign and 0 malignant"):
        EvaluationRun(EvaluationRequest(bundle=bundle, data=tmp_path / "benign"))


@pytest.mark.parametrize("content", ["{", '[{"patient_id": "P1"}]'])
def test_a_damaged_index_is_named(bundle: Path, data: Path, content: str) -> None:
    (data / INDEX).write_text(content)

    with pytest.raises(LabelsError, match=r"patients\.json is damaged"):
        EvaluationRun(EvaluationRequest(bundle=bundle, data=data))


def test_a_bundle_of_another_pipeline_is_refused(tmp_path: Path, bundle: Path, data: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    metadata = json.loads((bundle / METADATA).read_text())
    for file in bundle.iterdir():
        if file.name not in (METADATA, "SHA256"):
            (other / file.name).write_bytes(file.read_bytes())
    (other / METADATA).write_text(json.dumps({**metadata, "pipeline": "fracture-mri"}))

    with pytest.raises(BundleError, match="'fracture-mri'; only wff"):
        EvaluationRun(EvaluationRequest(bundle=other, data=data))


def test_a_damaged_series_is_refused_before_the_networks_run(bundle: Path, data: Path) -> None:
    series = data / "P03.1.npy"
    series.write_bytes(series.read_bytes()[:-1])

    with pytest.raises(LabelsError, match=r"patient P03: .*P03\.1\.npy is damaged"):
        EvaluationRun(EvaluationRequest(bundle=bundle, data=data))
