"""The whole training on a tiny set: two folds, two candidates, a few steps."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from structlog.testing import capture_logs

from inference.bundle import open_bundle
from inference.case import Case
from inference.datasets import LabelledPatient, open_data_set
from inference.errors import LabelsError, SettingsError, TrainingError
from inference.findings import Status
from inference.phantom import PhantomConfig, generate_patient
from inference.phantom.dicom import write_study
from inference.pipeline import load_pipeline
from inference.splits import read_splits
from inference.wff.training import cross_validation, fit, framework
from inference.wff.training.framework import prepare
from inference.wff.training.journal import read_metrics
from inference.wff.training.presets import micro_settings
from inference.wff.training.run_folder import open_run_folder
from inference.wff.training.settings import ComputeSettings, Precision, TrainingSettings
from inference.wff.training.settings_file import settings_from_toml
from inference.wff.training.tables import overridden
from inference.wff.weights import load_model
from tests.inference.wff.training.conftest import COMMAND, TWO_CANDIDATES, train_in, write_cohort


def written(run: Path, name: str) -> Any:
    return json.loads((run / name).read_text())


def test_the_bundle_is_served_and_answers_a_case_of_dicom_files(finished: Path, tmp_path: Path) -> None:
    patient = generate_patient(1, seed=3, config=PhantomConfig(matrix=64, minimum_slices=6, maximum_slices=6))

    findings = load_pipeline(finished / "bundle", device="cpu", threads=1).run(
        Case(case_id="1", files=write_study(patient, tmp_path))
    )

    assert findings.status in (Status.LESION_DETECTED, Status.NO_LESION_DETECTED)
    assert len(findings.series_used) == 3
    assert not findings.bundle.phantom_trained


def test_the_run_folder_holds_what_is_needed_to_repeat_it(finished: Path, cohort: Path, tmp_path: Path) -> None:
    settings = settings_from_toml((finished / "settings.toml").read_text(), "settings.toml")
    data_sha256 = written(finished, "run.json")["data_sha256"]
    splits = read_splits(finished / "splits.json", open_data_set(cohort), data_sha256=data_sha256)

    train_in(tmp_path / "again", cohort, settings)

    assert settings == TWO_CANDIDATES
    assert written(tmp_path / "again", "splits.json")["sha256"] == splits.sha256
    first, second = (open_bundle(run / "bundle").metadata["files"] for run in (finished, tmp_path / "again"))
    assert first == second


def test_a_run_that_goes_on_under_another_torch_tells_it_to_the_person_and_the_log(
    finished: Path, cohort: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "bundle")
    record = written(run, "run.json")
    record["starts"][-1]["versions"]["torch"] = "1.0"
    (run / "run.json").write_text(json.dumps(record))

    with capture_logs() as logs:
        said = train_in(run, cohort, TWO_CANDIDATES).said

    told = f"torch {torch.__version__} instead of 1.0"
    assert [one["changes"] for one in logs if one["event"] == "run_goes_on_otherwise"] == [told]
    assert any(told in text and "may differ" in text for text in said)


def test_every_fold_of_every_candidate_is_trained_and_then_all_training_patients(finished: Path) -> None:
    stages = list(dict.fromkeys(line["stage"] for line in read_metrics(finished)))

    parts = [f"folds/candidate-{c}/fold-{f}" for c in (1, 2) for f in (1, 2)] + ["final"]
    assert stages == [f"{part}/{net}" for part in parts for net in ("detector", "sequence")]


def test_the_candidate_with_the_least_log_loss_is_chosen_and_shipped(finished: Path) -> None:
    crossed = written(finished, "cross_validation.json")

    best = min(crossed["candidates"], key=lambda one: one["log_loss"])
    config = load_model(open_bundle(finished / "bundle")).config
    assert crossed["chosen"] == best["number"]
    assert [one["overrides"] for one in crossed["candidates"]] == [
        {},
        {"sequence": {"optimiser": {"learning_rate": 0.05}}},
    ]
    assert config.fusion.tau == best["fusion"]["tau"]
    assert config.fusion.lambda_sequence == best["fusion"]["lambda_sequence"]


def test_the_held_out_patients_are_evaluated_with_all_strategies(finished: Path) -> None:
    evaluation, splits = written(finished, "evaluation.json"), written(finished, "splits.json")

    names = [row["name"] for row in evaluation["strategies"]]
    assert names[:6] == ["Det", "Det-Age", "Seq", "Seq-Age", "Det-Seq", "Det-Seq-Age"]
    assert {one["patient_id"] for one in evaluation["diagnoses"]["Det"]} < set(splits["held_out"])


def test_a_finished_run_says_so(finished: Path, cohort: Path) -> None:
    prepared = prepare(cohort, TWO_CANDIDATES)

    with open_run_folder(finished, prepared.inputs, COMMAND) as run:
        assert run.is_finished


def test_a_run_folder_is_not_gone_on_in_with_other_settings_or_other_data(
    finished: Path, cohort: Path, data_set: Path
) -> None:
    other = prepare(cohort, replace(TWO_CANDIDATES, seed=2)).inputs
    prepared = prepare(cohort, TWO_CANDIDATES).inputs

    with pytest.raises(TrainingError, match="other settings"), open_run_folder(finished, other, COMMAND):
        pass
    with (
        pytest.raises(TrainingError, match="another data set"),
        open_run_folder(finished, replace(prepared, data_sha256="0"), COMMAND),
    ):
        pass


def test_each_fold_is_read_by_a_model_and_an_age_table_that_have_not_seen_it(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[set[str]] = []
    aged: list[set[str]] = []
    read: list[set[str]] = []

    def names(patients: Sequence[LabelledPatient]) -> set[str]:
        return {patient.patient_id for patient in patients}

    real_fit, real_age, real_detections = fit.fit, fit.age_table_of, fit.detections_of

    def spy_fit(where: Any, stage: str, settings: TrainingSettings, patients: Any) -> Any:
        fitted.append(names(patients))
        return real_fit(where, stage, settings, patients)

    def spy_age(patients: Any) -> Any:
        aged.append(names(patients))
        return real_age(patients)

    def spy_detections(where: Any, stage: str, settings: TrainingSettings, model: Any, patients: Any) -> Any:
        read.append(names(patients))
        return real_detections(where, stage, settings, model, patients)

    monkeypatch.setattr(fit, "age_table_of", spy_age)
    for module in (cross_validation, framework):
        monkeypatch.setattr(module, "fit", spy_fit)
        monkeypatch.setattr(module, "detections_of", spy_detections)
    train_in(tmp_path / "run", cohort, micro_settings())

    everybody = names(open_data_set(cohort))
    held_out = set(written(tmp_path / "run", "splits.json")["held_out"])
    assert fitted == aged
    assert [mine & other for mine, other in zip(fitted, read, strict=True)] == [set(), set(), set()]
    assert read[0] | read[1] == everybody - held_out == fitted[2]
    assert read[2] == held_out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architecture": {"sequence": {"groups": 3}}}, "cannot be built"),
        ({"architecture": {"sequence": {"variant": "2d", "planes": (8, 8, 16, 17)}}}, "expected even numbers"),
        ({"cross_validation": {"folds": 4}}, "too few for 4 folds"),
        ({"compute": {"precision": "fp16", "device": "cpu"}}, "needs a GPU"),
    ],
)
def test_what_cannot_be_trained_is_told_before_it_begins(cohort: Path, change: dict[str, Any], told: str) -> None:
    settings = overridden(micro_settings(), change, "test")

    with pytest.raises(SettingsError, match=told):
        prepare(cohort, settings)


def test_a_licence_file_that_is_not_there_is_told_before_it_begins(cohort: Path) -> None:
    settings = micro_settings()

    with pytest.raises(FileNotFoundError, match=r"mine\.txt"):
        prepare(cohort, replace(settings, bundle=replace(settings.bundle, license_file="mine.txt")))


def test_the_whole_training_in_half_precision_ends_with_a_bundle(cohort: Path, tmp_path: Path) -> None:
    settings = replace(micro_settings(), compute=ComputeSettings(precision=Precision.BF16))

    train_in(tmp_path / "run", cohort, settings)

    assert open_bundle(tmp_path / "run" / "bundle").identity.pipeline == "wff"


def test_a_damaged_data_set_is_told_before_it_begins(tmp_path: Path) -> None:
    data = write_cohort(tmp_path / "data")
    (data / "P3.1.npy").write_bytes(b"")

    with pytest.raises(LabelsError, match=r"patient P3: .*P3\.1\.npy is damaged"):
        prepare(data, micro_settings())


def test_a_licence_that_is_no_utf8_is_told_before_any_training(cohort: Path, tmp_path: Path) -> None:
    licence = tmp_path / "LICENCE.txt"
    licence.write_bytes("Erlaubnis für alle".encode("latin-1"))
    settings = replace(micro_settings(), bundle=replace(micro_settings().bundle, license_file=str(licence)))

    with pytest.raises(SettingsError, match=r"license_file: .*LICENCE.txt is no text in UTF-8"):
        prepare(cohort, settings)


def test_without_a_refit_the_nets_that_have_not_seen_the_first_fold_are_the_bundle(
    cohort: Path, tmp_path: Path
) -> None:
    settings = replace(micro_settings(), cross_validation=replace(micro_settings().cross_validation, refit=False))

    train_in(tmp_path / "run", cohort, settings)

    trained = [file.parent.relative_to(tmp_path / "run") for file in tmp_path.glob("run/**/weights.safetensors")]
    assert sorted(map(str, trained)) == ["folds/candidate-1/fold-1/detector", "folds/candidate-1/fold-1/sequence"]
    shipped = load_model(open_bundle(tmp_path / "run" / "bundle")).nets[0].state_dict()
    kept = load_file(tmp_path / "run" / "folds/candidate-1/fold-1/detector/weights.safetensors")
    assert all(torch.equal(value, kept[name].half().float()) for name, value in shipped.items())
    splits = written(tmp_path / "run", "splits.json")
    chosen = written(tmp_path / "run", "cross_validation.json")["candidates"][0]["performance"]
    assert sum(chosen["counts"].values()) == sum(name[0] == "P" and int(name[1:]) < 8 for name in splits["folds"][0])
    card = (tmp_path / "run" / "bundle" / "MODEL_CARD.md").read_text()
    assert f"One part of 2, {len(splits['folds'][0])} more patients than are told above, was left out" in card
    metadata = open_bundle(tmp_path / "run" / "bundle").metadata
    assert sum(metadata["training"]["training_patients"].values()) == len(splits["folds"][1])
    assert metadata["trained_on"].startswith(f"{len(splits['folds'][1])} patients")
    assert metadata["trained_on"].endswith(f"chosen on {len(splits['folds'][0])} others")
