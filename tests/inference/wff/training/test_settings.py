import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.errors import SettingsError
from inference.wff.config import Norm, demo_config, paper_config
from inference.wff.training.presets import micro_settings, paper_settings, settings_of
from inference.wff.training.settings import Candidate, CrossValidation, OptimiserKind, Preset, Schedule
from inference.wff.training.settings_file import read_settings, settings_as_toml, settings_from_toml


def read(text: str) -> Any:
    return settings_from_toml(text, "train.toml")


@pytest.mark.parametrize("preset", list(Preset))
def test_what_is_printed_is_read_back_as_it_was(preset: Preset) -> None:
    candidate = Candidate(overrides={"detector": {"optimiser": {"learning_rate": 0.01}, "batch": 4}})
    settings = replace(settings_of(preset), cross_validation=CrossValidation(candidates=(Candidate(), candidate)))

    assert read(settings_as_toml(settings)) == settings
    assert read(settings_as_toml(settings_of(preset))) == settings_of(preset)


def test_every_printed_key_has_a_comment() -> None:
    lines = [line for line in settings_as_toml(paper_settings()).splitlines() if re.match(r"\w+ = ", line)]

    assert len(lines) > 80
    assert [line for line in lines if "  # " not in line] == []


def test_the_printed_text_is_toml_of_the_defaults() -> None:
    table = tomllib.loads(settings_as_toml(paper_settings()))

    assert table["detector"]["optimiser"]["learning_rate"] == 0.02
    assert table["architecture"]["detector"]["backbone"]["blocks"] == [3, 4, 23, 3]


def test_the_paper_trains_with_the_published_schedules() -> None:
    settings = read("")
    detector, sequence = settings.detector.optimiser, settings.sequence.optimiser

    assert settings.config == paper_config()
    assert (detector.kind, detector.schedule, detector.learning_rate) == (OptimiserKind.SGD, Schedule.STEPS, 0.02)
    assert (detector.reference_batch, detector.warmup_steps, detector.clip_norm) == (16, 500, 35.0)
    assert [12 * share for share in detector.decay_at] == pytest.approx([8, 11])
    assert (settings.detector.epochs, settings.sequence.epochs) == (12, 20)
    assert (sequence.kind, sequence.schedule, sequence.momentum) == (OptimiserKind.SGD, Schedule.COSINE, 0.9)
    assert settings.cross_validation.folds == 4


def test_the_paper_chooses_among_learning_rates_of_either_net_by_cross_validation() -> None:
    settings = read("")

    candidates = [settings.with_candidate(one) for one in settings.cross_validation.candidates]
    rates = [(one.detector.optimiser.learning_rate, one.sequence.optimiser.learning_rate) for one in candidates]
    assert candidates[0] == settings
    assert rates == [(0.02, 0.01), (0.02, 0.002), (0.01, 0.01)]


def test_a_file_that_names_its_own_candidates_has_no_others() -> None:
    settings = read("[cross_validation]\ncandidates = [{}]")

    assert settings.cross_validation.candidates == (Candidate(),)
    assert settings.cross_validation.folds == 4


def test_a_preset_is_the_default_of_every_key_and_single_keys_differ_from_it() -> None:
    settings = read('preset = "demo"\n[architecture.sequence]\nclip_slices = 4\n[detector]\nbatch = 6')

    assert settings.config.detector == demo_config().detector
    assert settings.config.sequence == replace(demo_config().sequence, clip_slices=4)
    assert (settings.detector.batch, settings.detector.steps) == (6, 4000)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sed = 2", "train.toml: unknown key 'sed'"),
        ("[detector]\nbatchsize = 4", "unknown key 'detector.batchsize'"),
        (
            "[detector.optimiser]\nlearning_rate = 'fast'",
            "optimiser.learning_rate is 'fast', expected a number",
        ),
        ("[detector.optimiser]\nlearning_rate = -1.0", "detector.optimiser.learning_rate is -1.0, expected at least 0"),
        ("[detector.optimiser]\nlearning_rate = nan", "learning_rate is nan, expected a finite number"),
        ("[detector.optimiser]\nkind = 'adam'", "kind is 'adam', expected one of sgd, adamw"),
        ("[detector]\nbatch = 4.5", "detector.batch is 4.5, expected a whole number"),
        ("[compute]\nchannels_last = 1", "compute.channels_last is 1, expected true or false"),
        ("[cross_validation]\nfolds = 1", "cross_validation.folds is 1, expected at least 2"),
        ("[cross_validation]\nheld_out = 1.5", "held_out is 1.5, expected at most 0.9"),
        ("detector = 3", "detector is 3, expected a table"),
        ("[sequence]\nclass_weights = [1.0]", "sequence: class_weights is .1.0., expected two numbers"),
        ("[detector.movement]\nscale = [1.2, 0.8]", "detector.movement: scale is"),
        ("[architecture.detector.backbone]\nfen = 'none'", "fen is 'none', expected one of paper, standard"),
        ("preset = 'big'", "preset is 'big', expected one of paper, demo, micro"),
        ("seed = ", "train.toml is no TOML"),
        ("[cross_validation]\ncandidates = []", "candidates is .., expected a list of tables"),
        ("[cross_validation]\ncandidates = [{seed = 2}]", "candidate 1: only detector, sequence, architecture"),
        ("[cross_validation]\ncandidates = [{detector = {bach = 2}}]", "candidate 1: unknown key 'detector.bach'"),
        (f"seed = {10**23}", "seed is 1000.*, expected at most"),
        (f"seed = {'9' * 5000}", "train.toml is no TOML"),
        (f"[detector.optimiser]\nlearning_rate = {10**400}", "learning_rate is inf, expected a finite number"),
        ("[detector.optimiser]\nlearning_rate = 1e300", "learning_rate is 1e.300, expected at most 1000"),
        ("[detector]\nbatch = 1_000_000_000_000", "detector.batch is 1000000000000, expected at most 65536"),
        ("[cross_validation]\nfolds = 1_000_000_000", "folds is 1000000000, expected at most 100"),
        ("[compute]\ndevices = 100_000", "devices is 100000, expected at most 256"),
        ("[compute]\ndevices = 3", "detector.batch is 16 and compute.devices 3, expected a multiple"),
        (
            "compute = { devices = 2 }\n[cross_validation]\ncandidates = [{sequence = {batch = 3}}]",
            "candidate 1: .*sequence.batch is 3 and compute.devices 2",
        ),
        ("[cross_validation]\nheld_out_sites = [3]", "held_out_sites, value 1 is 3, expected a text"),
        ('[sequence]\ninitial_weights = "a\\u0000b"', "initial_weights is .*, expected a text without control"),
        ('[bundle]\nname = ""', "bundle: name is '', expected 1 to 64 letters"),
        ('[bundle]\nname = "<b>mine</b>"', "bundle: name is .*, expected 1 to 64 letters"),
        ('[bundle]\nversion = "1 0"', "bundle: version is '1 0', expected 1 to 64 letters"),
        ("[detector.grey_values]\ngain = [1.0, 1e30]", "gain is .*, expected .lowest, highest. above 0, at most 100"),
    ],
)
def test_a_wrong_setting_is_told_by_file_and_key(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(text)


@pytest.mark.parametrize(
    ("net", "setting", "told"),
    [
        ("detector", "image_size = 0", "image_size is 0, expected at least 64"),
        ("detector", "image_size = 100", "image_size is 100, expected a multiple of 64"),
        ("detector", "anchor_sizes = [8, 16]", "anchor_sizes has 2 values, expected 5"),
        ("detector", "aspect_ratios = []", "aspect_ratios has 0 values, expected at least one"),
        ("detector", "rpn_test_proposals = [0, 0]", "rpn_test_proposals is 0, expected at least 1"),
        ("detector", "rpn_batch = -1", "rpn_batch is -1, expected at least 1"),
        ("detector", "maximum_boxes = -3", "maximum_boxes is -3, expected at least 1"),
        ("detector.backbone", "blocks = [1, 1, 1, 100_000_000]", "blocks is 100000000, expected at most 100"),
        ("detector.backbone", "blocks = [0, 0, 0, 0]", "blocks is 0, expected at least 1"),
        ("detector.backbone", "groups = 0", "groups is 0, expected at least 1"),
        ("detector.backbone", "fen_channels = [128, 256, 512, 1024, 2047]", "is 2047, expected a multiple of 4"),
        ("detector.backbone", "planes = [8, 8, 8, 8]", "expected at least one channel per group"),
        ("sequence", "clip_slices = -4", "clip_slices is -4, expected at least 1"),
        ("sequence", "clip_size = 0", "clip_size is 0, expected at least 8"),
        ("sequence", "margin = -0.6", "margin is -0.6, expected at least 0"),
        ("sequence", "dropout = 1.0", "dropout is 1.0, expected at most 0.99"),
    ],
)
def test_sizes_that_no_net_can_have_are_told_when_the_settings_are_read(net: str, setting: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"architecture.{net}: .*{told}"):
        read(f"[architecture.{net}]\n{setting}")


def test_a_candidate_changes_its_own_keys_only() -> None:
    text = "[cross_validation]\ncandidates = [{}, {sequence = {optimiser = {learning_rate = 0.1}}}]"
    settings = read(text)

    first, second = (settings.with_candidate(one) for one in settings.cross_validation.candidates)

    assert first == settings
    assert second.sequence.optimiser.learning_rate == 0.1
    assert second.detector == settings.detector


def test_weights_to_start_from_bring_batch_normalisation_with_them() -> None:
    plain = micro_settings()
    started = replace(plain, sequence=replace(plain.sequence, initial_weights="kinetics.safetensors"))

    assert plain.config.sequence.norm is Norm.GROUP
    assert started.config.sequence.norm is Norm.BATCH
    assert started.config.detector == plain.config.detector


def test_a_settings_file_is_read_from_disk(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("seed = 7\n")

    assert read_settings(tmp_path / "mine.toml").seed == 7
    assert read_settings(None) == paper_settings()


def test_a_settings_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"seed = 7 # \xff")

    with pytest.raises(SettingsError, match=r"mine\.toml is no text"):
        read_settings(tmp_path / "mine.toml")
