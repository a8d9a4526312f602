import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.bundle import open_bundle
from inference.findings import BundleIdentity
from inference.phantom import PhantomConfig
from inference.phantom.data_set import PhantomSet
from inference.wff.config import demo_config
from inference.wff.demo_bundle import Recipe, demo_recipe, make
from inference.wff.training.display import Silent
from inference.wff.training.settings import micro_settings
from inference.wff.weights import load_model

RECIPE = Recipe(
    phantom=PhantomSet(first=0, count=24, seed=3, config=PhantomConfig(matrix=64, minimum_slices=6, maximum_slices=6)),
    settings=replace(micro_settings(), seed=3),
)
COMMAND = ["python", "-m", "inference.wff.demo_bundle"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo-bundle")


@pytest.fixture(scope="module")
def made(folder: Path) -> BundleIdentity:
    return make(RECIPE, folder / "work", folder / "bundle", Silent(), command=COMMAND)


def test_a_bundle_is_made_from_the_phantom_measured_and_can_be_loaded(folder: Path, made: BundleIdentity) -> None:
    bundle = open_bundle(folder / "bundle")

    assert bundle.identity == made
    assert made.phantom_trained
    assert load_model(bundle).config.detector == RECIPE.settings.config.detector
    assert (folder / "bundle" / "LICENSE").read_text().startswith("Copyright the SpineNode authors")


def test_what_was_measured_is_of_the_held_out_patients(folder: Path, made: BundleIdentity) -> None:
    measured = open_bundle(folder / "bundle").metadata["measured"]
    held_out = json.loads((folder / "work" / "run" / "splits.json").read_text())["held_out"]

    counted = measured["held_out"]
    assert counted["lesion_hit"]["total"] + counted["lesion_free"] == len(held_out)
    assert measured["oracle_decision"]["total"] == counted["decision_right"]["total"]
    assert measured["cohort"]["lesion_free"] == counted["lesion_free"]


def test_the_card_has_the_oracle_and_the_six_strategies(folder: Path, made: BundleIdentity) -> None:
    card = (folder / "bundle" / "MODEL_CARD.md").read_text()

    assert "Bayes oracle" in card
    assert all(f"| {name} |" in card for name in ("Det", "Det-Age", "Seq", "Seq-Age", "Det-Seq", "Det-Seq-Age"))
    assert card.count("synthetic phantom, no clinical meaning") >= 4


def test_going_on_in_the_same_folder_makes_the_same_weights(folder: Path, made: BundleIdentity) -> None:
    make(RECIPE, folder / "work", folder / "again", Silent(), command=COMMAND)

    first, second = (open_bundle(folder / name).metadata["files"] for name in ("bundle", "again"))
    weights = [name for name in first if name.endswith(".safetensors")]
    assert len(weights) == 2
    assert [first[name] for name in weights] == [second[name] for name in weights]


def test_the_demo_is_the_small_architecture_on_the_plain_phantom() -> None:
    recipe = demo_recipe(patients=1220, seed=1, processes=3)

    assert recipe.settings.config.detector == demo_config().detector
    assert recipe.settings.config.sequence == demo_config().sequence
    assert recipe.phantom.config == PhantomConfig()
    assert recipe.settings.detector.batch % 3 == recipe.settings.sequence.batch % 3 == 0
