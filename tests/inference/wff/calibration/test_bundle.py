import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.bundle import LICENSE, METADATA, MODEL_CARD, RECORDED, Bundle, open_bundle, sha256_of, write_bundle
from inference.errors import CalibrationError
from inference.evaluation.intervals import Estimate
from inference.wff.calibration.bundle import write_calibrated_bundle
from inference.wff.calibration.card import SiteData
from inference.wff.calibration.fitting import SiteCalibration, SiteModel, calibrate
from inference.wff.weights import load_model
from tests.inference.wff.classified_patients import Law
from tests.node.micro_bundle import write_micro_bundle

DATA = SiteData(sha256="d" * 64, patients_sha256="e" * 64, is_phantom=False, overlap="")
SITE = Law(0.4, -0.8).draw(60, seed=1)


@pytest.fixture
def parent(tmp_path: Path) -> Bundle:
    write_micro_bundle(tmp_path / "parent")
    return open_bundle(tmp_path / "parent")


@pytest.fixture
def made(parent: Bundle) -> SiteCalibration:
    model = load_model(parent)
    fusion = replace(model.config.fusion, lambda_detector=1.0, lambda_sequence=0.0, lambda_age=0.0)
    return calibrate(SiteModel(fusion, model.age_table), SITE)


def rewritten(parent: Bundle, **changed: object) -> Bundle:
    """The parent with other metadata."""
    told = {key: value for key, value in parent.metadata.items() if key not in ("schema", "files")}
    write_bundle(parent.folder, {**told, **changed})
    return open_bundle(parent.folder)


def test_the_weights_are_the_parents_byte_for_byte_and_the_identity_is_new(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    identity = write_calibrated_bundle(tmp_path / "new", parent, made, DATA)

    assert open_bundle(tmp_path / "new").identity == identity
    assert identity.sha256 != parent.identity.sha256
    for file in ("detector.safetensors", "sequence_classifier.safetensors", LICENSE):
        assert (tmp_path / "new" / file).read_bytes() == (parent.folder / file).read_bytes()


def test_the_new_bundle_serves_the_calibrated_model(parent: Bundle, made: SiteCalibration, tmp_path: Path) -> None:
    write_calibrated_bundle(tmp_path / "new", parent, made, DATA)

    model = load_model(open_bundle(tmp_path / "new"))

    assert model.config.fusion == made.model.fusion
    assert model.age_table == made.model.age_table
    assert model.config.detector == load_model(parent).config.detector


def test_the_metadata_name_the_parent_the_cases_and_what_was_measured(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    parent = rewritten(parent, measured={"decision_right": 0.8})
    identity = write_calibrated_bundle(tmp_path / "new", parent, made, DATA)

    told = json.loads((tmp_path / "new" / METADATA).read_text())
    assert told["parent"] == {
        "name": "micro",
        "version": "0",
        "sha256": parent.identity.sha256,
        "measured": {"decision_right": 0.8},
    }
    assert "measured" not in told
    assert told["calibration"]["cases"]["patients"] == 60
    assert told["calibration"]["data_sha256"] == DATA.sha256
    assert told["calibration"]["after_cross_validated"]["log_loss"] == made.after.log_loss
    assert (identity.name, identity.version) == ("micro-calibrated", "0-calibrated.1")
    assert identity.trained_on == "nothing; probabilities calibrated on 60 labelled patients of a site"
    assert f"decision right in {made.after.accuracy} (before: {made.before.accuracy})" in identity.validated_on


def test_the_part_of_the_data_set_that_was_calibrated_on_is_told(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    write_calibrated_bundle(tmp_path / "new", parent, made, replace(DATA, part="held_out"))

    told = json.loads((tmp_path / "new" / METADATA).read_text())["calibration"]
    assert (told["part"], told["patients_sha256"]) == ("held_out", DATA.patients_sha256)
    assert "its part held_out" in " ".join((tmp_path / "new" / MODEL_CARD).read_text().split())


def test_a_second_calibration_names_the_first_as_its_parent(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    first = write_calibrated_bundle(tmp_path / "first", parent, made, DATA)

    second = write_calibrated_bundle(tmp_path / "second", open_bundle(tmp_path / "first"), made, DATA)

    assert (second.name, second.version) == ("micro-calibrated", "0-calibrated.2")
    told = json.loads((tmp_path / "second" / METADATA).read_text())["parent"]
    assert told["sha256"] == first.sha256
    assert told["calibration"]["data_sha256"] == DATA.sha256
    assert told["parent"]["sha256"] == parent.identity.sha256


def test_what_was_measured_on_patients_of_the_training_says_so_in_every_report(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    identity = write_calibrated_bundle(tmp_path / "new", parent, made, replace(DATA, overlap="This very data set."))

    assert "of whom the model may have seen some in its training: decision right in" in identity.validated_on


@pytest.mark.parametrize(
    ("parent_is", "data_is", "child_is"), [(True, False, True), (True, True, True), (False, True, True), (False,) * 3]
)
def test_phantom_origin_is_never_lost(
    parent: Bundle, made: SiteCalibration, tmp_path: Path, parent_is: bool, data_is: bool, child_is: bool
) -> None:
    parent = rewritten(parent, phantom_trained=parent_is)

    identity = write_calibrated_bundle(tmp_path / "new", parent, made, replace(DATA, is_phantom=data_is))

    card = (tmp_path / "new" / MODEL_CARD).read_text()
    assert identity.phantom_trained is child_is
    assert ("synthetic phantom, no clinical meaning" in card.splitlines()[0]) is child_is
    assert ("Not for clinical use" in card) is child_is
    assert ("## Calibrated: synthetic phantom" in card) is data_is


def test_the_card_has_the_reliability_before_and_after_and_the_parents_card_below(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    (parent.folder / MODEL_CARD).write_text("# micro 0\n\n## Known weaknesses\nUntrained.\n")
    parent = rewritten(parent)

    write_calibrated_bundle(tmp_path / "new", parent, made, DATA)

    card = (tmp_path / "new" / MODEL_CARD).read_text()
    own, _, below = card.partition("## The parent's card\n")
    assert parent.identity.sha256 in own
    assert f"| log loss | {made.before.log_loss:.3f} | {made.after.log_loss:.3f} |" in own
    counts = [f"| {one.patients} | " for one in made.before.probabilities.bins if one.patients]
    assert all(count in own for count in counts)
    assert own.count("| 0.") + own.count("| 1.") > 20
    assert below == "### micro 0\n\n#### Known weaknesses\nUntrained.\n"


def test_a_bundle_that_was_written_although_it_is_worse_says_so_in_its_card(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    worse = replace(made, change=Estimate(0.1, 0.02, 0.2))

    write_calibrated_bundle(tmp_path / "better", parent, made, DATA)
    write_calibrated_bundle(tmp_path / "worse", parent, worse, DATA)

    told = "The calibration makes the model worse. The bundle was written all the same, as asked."
    assert told in (tmp_path / "worse" / MODEL_CARD).read_text()
    assert "worse" not in (tmp_path / "better" / MODEL_CARD).read_text()


def test_card_and_reports_name_the_share_of_malignant_cases_that_the_probability_holds(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    identity = write_calibrated_bundle(tmp_path / "new", parent, made, DATA)

    malignant = made.cases.malignant
    card = " ".join((tmp_path / "new" / MODEL_CARD).read_text().split())
    assert f"{malignant} of 60 cases are malignant ({100 * malignant / 60:.0f} %), and the calibrated" in card
    assert f"{malignant} of the 60 are malignant" in identity.validated_on
    told = open_bundle(tmp_path / "new").metadata["calibration"]
    assert told["cases"]["malignant_share"] == malignant / 60
    assert told["change_of_log_loss"]["high"] == made.change.high


def test_a_site_with_phantom_patients_among_its_own_is_not_called_synthetic_alone(
    parent: Bundle, made: SiteCalibration, tmp_path: Path
) -> None:
    mixed = replace(DATA, is_phantom=True, patients="patients, those of a synthetic phantom among them")

    identity = write_calibrated_bundle(tmp_path / "new", parent, made, mixed)

    assert "calibrated on 60 patients, those of a synthetic phantom among them" in identity.trained_on
    assert identity.phantom_trained


def test_an_existing_folder_is_never_written_over(parent: Bundle, made: SiteCalibration, tmp_path: Path) -> None:
    before = sha256_of(parent.folder / RECORDED)

    with pytest.raises(CalibrationError, match="exists already"):
        write_calibrated_bundle(parent.folder, parent, made, DATA)
    assert sha256_of(parent.folder / RECORDED) == before
