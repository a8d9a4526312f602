import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inference.bundle import open_bundle
from inference.wff.config import FusionConfig
from inference.wff.training.augmentation import NO_GREY_CHANGES, ClipMovement
from inference.wff.training.presets import micro_settings
from inference.wff.training.settings import TrainingSettings
from inference.wff.training.weaknesses import parts_without_weight
from tests.inference.wff.training.conftest import train_in


def card(run: Path) -> str:
    return (run / "bundle" / "MODEL_CARD.md").read_text()


@pytest.fixture(scope="module")
def of_phantom(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on data that the phantom wrote; from settings that try to hide it."""
    folder = tmp_path_factory.mktemp("phantom")
    shutil.copytree(cohort, folder / "data")
    (folder / "data" / "recipe.json").write_text("{}")
    settings = micro_settings()
    sequence = replace(
        settings.sequence,
        box_jitter=0.0,
        mixup=0.4,
        movement=ClipMovement(mirror_probability=0.5, turn_degrees=15.0),
        grey_values=NO_GREY_CHANGES,
        class_weights=(0.2, 0.8),
    )
    named = replace(settings, sequence=sequence, bundle=replace(settings.bundle, name="clinical"))
    train_in(folder / "run", folder / "data", named)
    return folder / "run"


def test_the_card_names_every_section_of_the_making(finished: Path) -> None:
    headings = [line for line in card(finished).splitlines() if line.startswith("#")]

    assert headings == [
        "# wff-micro 1.0.0",
        "## What it is",
        "## What it is for",
        "## Data",
        "## How it was trained",
        "## Cross-validation",
        "## Measured on held-out patients",
        "## Known weaknesses",
        "## Made with",
    ]


def test_the_card_says_research_only(finished: Path) -> None:
    assert "Research only. Not for clinical use" in card(finished).splitlines()[2]
    assert "Research only" in open_bundle(finished / "bundle").metadata["intended_use"]


def test_the_table_of_the_six_strategies_is_that_of_the_evaluation(finished: Path) -> None:
    evaluation = json.loads((finished / "evaluation.json").read_text())
    text = card(finished)

    for row in evaluation["strategies"]:
        area = row["performance"]["area"]
        cells = next(line for line in text.splitlines() if line.startswith(f"| {row['name']} |"))
        bounds = "no interval" if area["low"] == area["high"] else f"{area['low']:.3f}-{area['high']:.3f}"
        assert f"| {area['value']:.3f} ({bounds}) |" in cells


def test_the_table_of_cross_validation_marks_the_chosen_candidate(finished: Path) -> None:
    crossed = json.loads((finished / "cross_validation.json").read_text())
    rows = [line for line in card(finished).splitlines() if line.startswith(("| 1: ", "| 2: ", "| **"))]

    assert len(rows) == 2
    assert [row.count("chosen") for row in rows].index(1) == crossed["chosen"] - 1
    assert "`{ sequence = { optimiser = { learning_rate = 0.05 } } }`" in rows[1]


def test_the_data_are_counted_for_both_parts(finished: Path) -> None:
    text = card(finished)

    assert "| patients | 7 | 3 |" in text
    assert "| regions of lesions | lumbar 6 | lumbar 2 |" in text


def test_weaknesses_are_those_that_the_facts_show(finished: Path) -> None:
    text = card(finished)

    assert "Trained on 7 patients; the published study had 445." in text
    assert "Only 1 held-out patients of the rarer class" in text
    assert "No external test" in text
    assert "No T2FS series was trained on" in text
    assert "probability was not calibrated" in text
    assert "No site is stated" not in text
    assert "of one site" not in text


def test_the_training_is_told_as_it_was(finished: Path, of_phantom: Path) -> None:
    plain, blended = (
        {line.split(" | ")[0]: line.split(" | ")[2] for line in card(run).splitlines() if line.count(" | ") == 2}
        for run in (finished, of_phantom)
    )

    assert plain["| augmentation"] == "box jitter 0.12 of the side, grey values |"
    assert blended["| augmentation"] == (
        "mirror left to right (0.50), turn up to 15 degrees, mixup with Beta(0.4, 0.4) |"
    )
    assert plain["| loss"] == "cross-entropy, classes 0.5 to 0.5, label smoothing 0.05 |"
    assert blended["| loss"] == "cross-entropy, classes 0.2 to 0.8, label smoothing 0.05 |"
    assert "The networks are not the published ones" in card(finished)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ((0.0, 0.8, 0.2), "The detector has"),
        ((1.0, 0.0, 0.0), "The sequence classifier has"),
        ((0.5, 0.5, 0.0), "age has"),
    ],
)
def test_a_part_that_the_training_gave_no_say_is_told(weights: tuple[float, float, float], told: str) -> None:
    detector, sequence, age = weights

    lines = parts_without_weight(FusionConfig(lambda_detector=detector, lambda_sequence=sequence, lambda_age=age))

    assert f"{told} weight 0" in "\n".join(lines)
    assert len(lines) == weights.count(0.0)


def test_no_folder_of_the_machine_is_in_the_card(finished: Path) -> None:
    assert "/home/somebody" not in card(finished)
    assert "`spinenode train wff --data data --out run`" in card(finished)


def test_a_bundle_of_the_phantom_says_so_in_every_place_whatever_it_is_called(of_phantom: Path) -> None:
    bundle = open_bundle(of_phantom / "bundle")
    lines = card(of_phantom).splitlines()

    assert bundle.identity.phantom_trained
    assert "phantom" in bundle.identity.trained_on
    assert "no clinical meaning" in bundle.identity.validated_on
    assert lines[0] == "# clinical 1.0.0: synthetic phantom, no clinical meaning"
    assert lines[2].startswith("**Not for clinical use.**")
    measured = [line for line in lines if line.startswith(("## Data", "## Cross", "## Measured"))]
    assert all(line.endswith("synthetic phantom, no clinical meaning") for line in measured)


def test_no_number_of_the_published_study_stands_beside_the_phantoms(of_phantom: Path) -> None:
    assert "445" not in card(of_phantom)


def test_a_bundle_of_patients_is_not_called_one_of_the_phantom(finished: Path) -> None:
    bundle = open_bundle(finished / "bundle")

    assert not bundle.identity.phantom_trained
    assert "phantom" not in card(finished)


def test_the_licence_is_the_makers(cohort: Path, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Ours alone.\n")
    plain: TrainingSettings = micro_settings()
    settings = replace(plain, bundle=replace(plain.bundle, license_file=str(tmp_path / "mine.txt")))

    train_in(tmp_path / "run", cohort, settings)

    assert (tmp_path / "run" / "bundle" / "LICENSE").read_text() == "Ours alone.\n"
    assert "Nobody was given a licence" in (finished / "bundle" / "LICENSE").read_text()


def test_metadata_repeat_the_settings_and_the_hashes_of_what_was_used(finished: Path) -> None:
    training = open_bundle(finished / "bundle").metadata["training"]
    run = json.loads((finished / "run.json").read_text())

    assert training["data_sha256"] == run["data_sha256"]
    assert training["split_sha256"] == run["splits_sha256"]
    assert training["settings"]["detector"]["batch"] == micro_settings().detector.batch
    assert training["training_patients"] == {"benign": 3, "malignant": 3, "lesion-free": 1}
