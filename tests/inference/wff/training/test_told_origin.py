"""What a bundle tells of where it comes from: whose weights it began at, which patients were synthetic, no folders."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn

from inference.bundle import open_bundle
from inference.errors import WeightsError
from inference.phantom.origin import mark_as_phantom
from inference.wff.config import Norm
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.framework import prepare
from inference.wff.training.initial_weights.names import Purpose, must_be_given
from inference.wff.training.presets import micro_settings
from inference.wff.training.settings import Candidate, TrainingSettings
from inference.wff.training.tables import overridden
from tests.inference.wff.training.conftest import train_in

HEADING = "synthetic phantom, no clinical meaning"
_MICRO = micro_settings()


def write_initial(net: nn.Module, purpose: Purpose, file: Path, licence: str) -> Path:
    """A file as the converter writes it, for the micro net."""
    state = {name: value.clone() for name, value in net.state_dict().items() if must_be_given(name, purpose)}
    header = {
        "purpose": purpose.value,
        "architecture": f"ResNeXt of {purpose.value}",
        "source": f"{purpose.value}.pth",
        "source_sha256": "5" * 64,
        "licence": licence,
    }
    save_file(state, file, metadata=header)
    return file


@pytest.fixture(scope="module")
def initial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Initial weights of both nets, in a folder with a name that nobody shall read."""
    folder = tmp_path_factory.mktemp("somebodys-folder")
    config = _MICRO.config
    detector = Detector(replace(config.detector, backbone=replace(config.detector.backbone, norm=Norm.BATCH)))
    classifier = SequenceClassifier(replace(config.sequence, norm=Norm.BATCH))
    return {
        "detector": write_initial(detector, Purpose.DETECTOR, folder / "image.safetensors", "CC BY-NC 4.0"),
        "sequence": write_initial(classifier, Purpose.SEQUENCE, folder / "video.safetensors", "MIT"),
    }


def started_from(initial: dict[str, Path]) -> TrainingSettings:
    """The detector of all candidates begins at weights; the classifier of the second one, too."""
    licence = initial["detector"].parent / "LICENCE.txt"
    licence.write_text("Ours alone.\n")
    second = Candidate(overrides={"sequence": {"initial_weights": str(initial["sequence"])}})
    return replace(
        _MICRO,
        bundle=replace(_MICRO.bundle, license_file=str(licence)),
        detector=replace(_MICRO.detector, initial_weights=str(initial["detector"])),
        cross_validation=replace(_MICRO.cross_validation, candidates=(second,)),
    )


@pytest.fixture(scope="module")
def run(initial: dict[str, Path], cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Began at weights, on a data set of which some patients are the phantom's."""
    folder = tmp_path_factory.mktemp("told")
    shutil.copytree(cohort, folder / "data")
    mark_as_phantom(folder / "data")
    train_in(folder / "run", folder / "data", started_from(initial))
    return folder / "run"


def test_metadata_name_the_weights_that_a_training_began_at_with_hash_and_licence(
    run: Path, initial: dict[str, Path]
) -> None:
    told = open_bundle(run / "bundle").metadata["training"]["initial_weights"]

    assert told["detector"] == {
        "file": "image.safetensors",
        "sha256": hashlib.sha256(initial["detector"].read_bytes()).hexdigest(),
        "source": "detector.pth",
        "source_sha256": "5" * 64,
        "architecture": "ResNeXt of detector",
        "licence": "CC BY-NC 4.0",
    }
    assert told["sequence"]["licence"] == "MIT"


def test_the_card_names_them_too_and_warns_of_their_terms(run: Path, initial: dict[str, Path]) -> None:
    card = " ".join((run / "bundle" / "MODEL_CARD.md").read_text().split())

    assert hashlib.sha256(initial["detector"].read_bytes()).hexdigest() in card
    assert "stated at the conversion: CC BY-NC 4.0." in card
    assert "somebody else (licence: MIT)" in card


def test_a_training_from_random_weights_names_none(finished: Path) -> None:
    assert open_bundle(finished / "bundle").metadata["training"]["initial_weights"] == {}
    assert "| first weights | random | random |" in (finished / "bundle" / "MODEL_CARD.md").read_text()


def test_no_folder_of_the_machine_is_anywhere_in_a_bundle(run: Path, initial: dict[str, Path]) -> None:
    files = [file for file in (run / "bundle").iterdir() if file.suffix != ".safetensors"]

    for file in files:
        text = file.read_text()
        assert initial["detector"].parent.name not in text, file.name
        assert "/home/somebody" not in text, file.name
    told = open_bundle(run / "bundle").metadata["training"]
    assert told["command"] == ["spinenode", "train", "wff", "--data", "data", "--out", "run"]
    assert told["settings"]["bundle"]["license_file"] == "LICENCE.txt"
    assert told["settings"]["detector"]["initial_weights"] == "image.safetensors"


def test_a_mixed_data_set_is_called_neither_synthetic_alone_nor_of_patients_alone(run: Path) -> None:
    bundle = open_bundle(run / "bundle")
    card = (run / "bundle" / "MODEL_CARD.md").read_text()

    assert bundle.identity.phantom_trained
    assert "those of a synthetic phantom among them" in bundle.identity.trained_on
    assert HEADING in bundle.identity.validated_on
    assert "Some of the patients in this data set are synthetic." in card
    assert "All patients" not in card
    assert card.splitlines()[0].endswith(HEADING)


@pytest.mark.parametrize("name", ["evaluation.json", "cross_validation.json"])
def test_what_a_run_measured_with_the_phantom_says_so_first(run: Path, finished: Path, name: str) -> None:
    of_phantom, of_patients = (json.loads((one / name).read_text()) for one in (run, finished))

    assert next(iter(of_phantom)) == "heading"
    assert of_phantom["heading"] == HEADING
    assert of_patients["heading"] == ""


def test_weights_of_the_other_net_are_refused_before_the_training_begins(
    cohort: Path, initial: dict[str, Path]
) -> None:
    settings = replace(_MICRO, detector=replace(_MICRO.detector, initial_weights=str(initial["sequence"])))

    with pytest.raises(WeightsError, match="holds weights for 'sequence', not for 'detector'"):
        prepare(cohort, settings)


def test_a_damaged_file_of_weights_is_refused_before_the_training_begins(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    settings = replace(_MICRO, detector=replace(_MICRO.detector, initial_weights=str(tmp_path / "broken.safetensors")))

    with pytest.raises(WeightsError, match=r"broken\.safetensors is no whole safetensors file"):
        prepare(cohort, settings)


@pytest.mark.parametrize("net", ["detector", "sequence"])
def test_weights_of_another_architecture_are_refused_before_the_training_begins(
    cohort: Path, initial: dict[str, Path], net: str
) -> None:
    """Of the net that is trained last, too: hours would pass before its weights are loaded."""
    deeper = {"detector": {"backbone": {"blocks": (1, 2, 1, 1)}}, "sequence": {"blocks": (1, 2, 1, 1)}}
    change = {net: {"initial_weights": str(initial[net])}, "architecture": {net: deeper[net]}}

    with pytest.raises(WeightsError, match="the net to train has blocks 1-2-1-1"):
        prepare(cohort, overridden(_MICRO, change, "test"))
