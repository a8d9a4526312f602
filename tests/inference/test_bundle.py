import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.bundle import SCHEMA, open_bundle, write_bundle
from inference.errors import BundleError
from inference.pipeline import bundle_identity, load_pipeline

METADATA = {
    "pipeline": "wff",
    "name": "toy",
    "version": "1",
    "trained_on": "nothing",
    "validated_on": "nothing",
    "phantom_trained": True,
    "components": ["a", "b"],
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "net.safetensors").write_bytes(b"weights")
    (folder / "MODEL_CARD.md").write_text("card")
    (folder / "LICENSE").write_text("licence")
    write_bundle(folder, METADATA)
    return folder


def test_a_bundle_tells_who_it_is(bundle: Path) -> None:
    identity = bundle_identity(bundle)

    assert (identity.pipeline, identity.name, identity.phantom_trained) == ("wff", "toy", True)
    assert identity.components == ("a", "b")
    assert identity.sha256 == (bundle / "SHA256").read_text().strip()


def test_other_weights_are_another_bundle(bundle: Path) -> None:
    before = bundle_identity(bundle).sha256
    (bundle / "net.safetensors").write_bytes(b"other weights")

    after = write_bundle(bundle, METADATA).sha256

    assert after != before


@pytest.mark.parametrize("name", ["MODEL_CARD.md", "LICENSE"])
def test_another_word_in_any_of_its_files_is_another_bundle(bundle: Path, name: str) -> None:
    before = bundle_identity(bundle).sha256
    (bundle / name).write_text("another word")

    after = write_bundle(bundle, METADATA).sha256

    assert after != before


def test_making_the_same_bundle_again_gives_the_same_identity(bundle: Path) -> None:
    before = bundle_identity(bundle)

    assert write_bundle(bundle, METADATA) == before


@pytest.mark.parametrize("name", ["net.safetensors", "MODEL_CARD.md", "LICENSE"])
def test_a_damaged_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"changed")

    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)


@pytest.mark.parametrize("name", ["net.safetensors", "metadata.json"])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()

    with pytest.raises(BundleError, match=name):
        open_bundle(bundle)


def test_metadata_changed_after_the_making_is_noticed(bundle: Path) -> None:
    metadata = json.loads((bundle / "metadata.json").read_text())
    metadata["validated_on"] = "a thousand patients"
    (bundle / "metadata.json").write_text(json.dumps(metadata))

    with pytest.raises(BundleError, match="changed after"):
        open_bundle(bundle)


def test_a_bundle_whose_threshold_meant_another_score_is_refused_with_the_reason(bundle: Path) -> None:
    metadata = json.loads((bundle / "metadata.json").read_text())
    (bundle / "metadata.json").write_text(json.dumps({**metadata, "schema": 1}))

    with pytest.raises(BundleError, match="schema 1, whose threshold was on another score: run its training again"):
        open_bundle(bundle)


def test_a_bundle_of_a_later_release_is_refused(bundle: Path) -> None:
    metadata = json.loads((bundle / "metadata.json").read_text())
    (bundle / "metadata.json").write_text(json.dumps({**metadata, "schema": SCHEMA + 1}))

    with pytest.raises(BundleError, match=f"not of bundle schema {SCHEMA}; use the release that made the bundle"):
        open_bundle(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', f'{{"schema": {SCHEMA}}}'])
def test_metadata_of_another_form_is_refused(bundle: Path, text: str) -> None:
    (bundle / "metadata.json").write_text(text)

    with pytest.raises(BundleError, match=r"metadata\.json"):
        open_bundle(bundle)


def test_metadata_without_an_identity_names_the_key(bundle: Path) -> None:
    (bundle / "SHA256").unlink()
    metadata = json.loads((bundle / "metadata.json").read_text())
    del metadata["trained_on"]
    (bundle / "metadata.json").write_text(json.dumps(metadata))

    with pytest.raises(BundleError, match="trained_on"):
        open_bundle(bundle)


def test_metadata_cannot_name_files_outside_the_bundle(bundle: Path) -> None:
    metadata = json.loads((bundle / "metadata.json").read_text())
    metadata["files"]["../secret"] = "0"
    (bundle / "metadata.json").write_text(json.dumps(metadata))

    with pytest.raises(BundleError, match="outside"):
        open_bundle(bundle)


def test_a_recorded_identity_of_other_bytes_is_told(bundle: Path) -> None:
    (bundle / "SHA256").write_bytes(b"\xff\xfe")

    with pytest.raises(BundleError, match="changed after the bundle was made"):
        open_bundle(bundle)


def test_a_bundle_without_model_card_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(b"weights")

    with pytest.raises(BundleError, match="MODEL_CARD"):
        write_bundle(tmp_path, METADATA)


def test_a_bundle_of_an_unknown_pipeline_is_refused_with_the_known_ones(bundle: Path) -> None:
    write_bundle(bundle, {**METADATA, "pipeline": "divination"})

    with pytest.raises(BundleError, match=r"divination.*wff"):
        load_pipeline(bundle)


def test_weights_that_are_no_safetensors_are_refused_by_name(bundle: Path) -> None:
    from inference.wff.config import config_to_json, micro_config

    for name in ("detector", "sequence_classifier"):
        (bundle / f"{name}.safetensors").write_bytes(b"not weights")
    write_bundle(bundle, {**METADATA, "config": config_to_json(micro_config()), "age_table": [0.5] * 10})

    with pytest.raises(BundleError, match=r"detector\.safetensors"):
        load_pipeline(bundle)


def test_a_bundle_without_configuration_names_what_is_missing(bundle: Path) -> None:
    with pytest.raises(BundleError, match="config"):
        load_pipeline(bundle)


def test_the_identity_of_a_bundle_is_read_without_torch(bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from inference.pipeline import bundle_identity; "
        f"bundle_identity(Path({str(bundle)!r})); print('torch' in sys.modules, 'numpy' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]
