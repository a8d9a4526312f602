from dataclasses import replace
from pathlib import Path

import pytest

from inference.errors import TrainingError
from inference.wff.training.augmentation import ClipMovement
from inference.wff.training.display import Silent
from inference.wff.training.overfit import Overfitted, overfit
from inference.wff.training.presets import micro_settings


def test_the_loss_of_both_nets_falls_on_four_patients(cohort: Path, tmp_path: Path) -> None:
    tried = overfit(cohort, micro_settings(), tmp_path, Silent(), count=4)

    assert [one.net for one in tried] == ["detector", "sequence classifier"]
    assert all(one.fell for one in tried), [str(one) for one in tried]


def test_the_loss_falls_whatever_the_settings_do_to_make_learning_by_heart_hard(cohort: Path, tmp_path: Path) -> None:
    settings = micro_settings()
    hard = replace(
        settings.sequence,
        mixup=0.4,
        box_jitter=0.25,
        movement=ClipMovement(mirror_probability=0.5, flip_probability=0.5, turn_degrees=15.0, stretch=0.2),
    )

    tried = overfit(cohort, replace(settings, sequence=hard), tmp_path, Silent(), count=4)

    assert all(one.fell for one in tried), [str(one) for one in tried]


def test_a_loss_that_stays_is_said_to_stay() -> None:
    stays = Overfitted(net="detector", first=1.0, last=0.9)
    falls = replace(stays, last=0.3)

    assert str(stays) == "detector: the loss does not fall, from 1.000 to 0.900"
    assert str(falls) == "detector: the loss falls, from 1.000 to 0.300"


def test_more_patients_than_there_are_is_told(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"--overfit 12 needs 6 benign patients with labelled boxes.*has 4"):
        overfit(cohort, micro_settings(), tmp_path, Silent(), count=12)
