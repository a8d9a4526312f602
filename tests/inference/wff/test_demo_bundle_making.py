from pathlib import Path

import pytest
from rich.progress import Progress

from inference.bundle import open_bundle
from inference.phantom import PhantomConfig
from inference.wff.bundle_files import Made
from inference.wff.config import config_from_json, micro_config
from inference.wff.demo_bundle import Recipe, Workshop
from inference.wff.weights import load_model

RECIPE = Recipe(
    patients=12,
    tuning_patients=6,
    held_out_patients=8,
    detector_steps=2,
    classifier_steps=2,
    seed=3,
    threads=1,
    phantom=PhantomConfig(matrix=64),
    config=micro_config(),
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo-bundle")


@pytest.fixture(scope="module")
def made(folder: Path) -> Made:
    return Workshop(RECIPE, folder / "work", Progress(disable=True)).make(folder / "bundle")


def test_a_bundle_is_made_from_the_phantom_measured_and_can_be_loaded(folder: Path, made: Made) -> None:
    bundle = open_bundle(folder / "bundle")
    model = load_model(bundle)

    assert model.config == config_from_json(bundle.metadata["config"])
    assert model.config.detector == RECIPE.config.detector
    assert made.held_out.hit.total + made.held_out.lesion_free == RECIPE.held_out_patients
    assert bundle.metadata["measured"]["held_out"]["lesion_hit"]["total"] == made.held_out.hit.total
    assert str(made.held_out.decision.accuracy) in (folder / "bundle" / "MODEL_CARD.md").read_text()


def test_going_on_in_the_same_folder_makes_the_same_weights(folder: Path, made: Made) -> None:
    again = Workshop(RECIPE, folder / "work", Progress(disable=True)).make(folder / "again")

    first, second = (open_bundle(folder / name).metadata["files"] for name in ("bundle", "again"))
    weights = [name for name in first if name.endswith(".safetensors")]
    assert len(weights) == 2
    assert [first[name] for name in weights] == [second[name] for name in weights]
    assert again.split_sha256 == made.split_sha256
