from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from inference.datasets import open_data_set
from inference.errors import WeightsError
from inference.wff.config import Norm, micro_config
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier
from inference.wff.training.detector_task import DetectorTask
from inference.wff.training.initial_weights import start
from inference.wff.training.initial_weights.conversion import InitialWeights
from inference.wff.training.processes import train
from inference.wff.training.sequence_task import SequenceTask
from inference.wff.training.settings import DetectorTraining, SequenceTraining
from tests.inference.wff.training.line_task import PLAN

DETECTOR = replace(micro_config().detector, backbone=replace(micro_config().detector.backbone, norm=Norm.BATCH))
SEQUENCE = replace(micro_config().sequence, norm=Norm.BATCH)


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> str:
    """Stands for a file of the converter, whose nets are of full size: it fills the trunk with a known pattern."""

    def load(net: nn.Module, file: Path) -> InitialWeights:
        for name, value in net.state_dict().items():
            if "trunk." in name and value.is_floating_point():
                value.copy_(torch.linspace(0.5, 1.5, value.numel()).view(value.shape) / max(1, value.dim() - 1) ** 3)
        return InitialWeights(matched=1, at_start={}, header={})

    monkeypatch.setattr(start, "load_initial", load)
    return "imagenet.safetensors"


def detector_task_of(data: Path, weights: str) -> DetectorTask:
    names = tuple(p.patient_id for p in open_data_set(data))
    return DetectorTask(config=DETECTOR, settings=DetectorTraining(initial_weights=weights), data=data, patients=names)


def test_statistics_and_first_stage_of_a_trunk_with_converted_weights_stay(
    cohort: Path, converted: str, tmp_path: Path
) -> None:
    task = detector_task_of(cohort, converted)
    beginning = task.build()
    task.start(beginning)

    net = train(task, replace(PLAN, steps=3), tmp_path)

    before, after = beginning.state_dict(), net.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    trunk = {name for name in before if name.startswith("backbone.trunk.")}
    statistics = {name for name in trunk if "running_" in name}
    first = {name for name in trunk if name.startswith(("backbone.trunk.stem.", "backbone.trunk.stages.0."))}
    assert statistics | first <= same
    assert not any(name.endswith("conv1.weight") for name in same - first)


def test_the_first_stage_of_the_clip_net_is_its_first_blocks(converted: str) -> None:
    net = SequenceClassifier(SEQUENCE)

    start.set_training_mode(net, started_from_weights=True)

    frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in net.named_parameters() if name.startswith(("trunk.stem.", "trunk.stages.0."))}
    assert not any(m.training for m in net.modules() if isinstance(m, _BatchNorm))
    assert net.head.training


def test_without_converted_weights_everything_is_trained() -> None:
    net = Detector(DETECTOR).eval()

    start.set_training_mode(net, started_from_weights=False)

    assert all(module.training for module in net.modules())
    assert all(p.requires_grad for p in net.parameters())


def test_parts_that_began_at_random_learn_their_statistics(converted: str) -> None:
    net = Detector(DETECTOR)

    start.set_training_mode(net, started_from_weights=True)

    assert net.backbone.fifth is not None
    assert all(module.training for module in net.backbone.fifth.modules())


def test_a_file_that_is_not_of_the_net_is_told(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"no weights")

    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        train(detector_task_of(cohort, str(tmp_path / "other.safetensors")), PLAN, tmp_path / "run")


def test_both_tasks_start_where_their_settings_say(converted: str) -> None:
    tasks = (
        DetectorTask(config=DETECTOR, settings=DetectorTraining(initial_weights=converted), data=Path(), patients=()),
        SequenceTask(config=SEQUENCE, settings=SequenceTraining(initial_weights=converted), data=Path(), patients=()),
    )

    for task in tasks:
        net = task.build()
        task.start(net)

        running = [v for n, v in net.state_dict().items() if "trunk." in n and n.endswith("running_mean")]
        assert all(value[0] == 0.5 for value in running)
