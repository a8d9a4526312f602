from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.resnet import ResNet

from inference.datasets import DataSetWriter, LabelledPatient
from inference.findings import Box, SequenceKind, Verdict
from inference.wff.age import AgeTable
from inference.wff.config import micro_config
from inference.wff.model import WffModel
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier
from tests.inference.wff.training.foreign_nets import VideoNet, randomised, shallow_resnext

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def micro_model() -> WffModel:
    """Untrained nets with fixed weights."""
    config = micro_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return WffModel(config, Detector(config.detector), SequenceClassifier(config.sequence), AgeTable())


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Four patients with a bright square as lesion (malignant: larger), one without; one T1 series of six slices."""
    writer = DataSetWriter(tmp_path / "data")
    patients = []
    for number, verdict in enumerate([Verdict.BENIGN, Verdict.MALIGNANT, Verdict.BENIGN, Verdict.MALIGNANT, None]):
        rng = np.random.default_rng(number)
        images = rng.integers(0, 60, size=(6, 96, 96), dtype=np.uint8)
        side = 12 if verdict is Verdict.BENIGN else 24
        boxes: list[list[Box]] = [[] for _ in range(6)]
        for z in (2, 3, 4) if verdict is not None else ():
            images[z, 40 : 40 + side, 30 : 30 + side] += 150
            boxes[z] = [Box(x0=30, y0=40, x1=30 + side, y1=40 + side)]
        name = f"P{number}"
        series = writer.add_series(name, 0, SequenceKind.T1, images, boxes)
        patients.append(LabelledPatient(patient_id=name, age_years=50.0, verdict=verdict, series=(series,)))
    writer.close(patients)
    return tmp_path / "data"


@pytest.fixture(scope="session")
def resnext() -> ResNet:
    return shallow_resnext()


@pytest.fixture(scope="session")
def resnext_file(resnext: ResNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "resnext.pth"
    torch.save(resnext.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(4)
    net = randomised(VideoNet((2, 1, 1, 1)))
    old = {f"module.{n}": v for n, v in net.state_dict().items() if not n.endswith("num_batches_tracked")}
    path = tmp_path_factory.mktemp("source") / "resnext-101-kinetics.pth"
    checkpoint = {"epoch": 150, "arch": "resnext-101", "state_dict": old}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)  # as in the days of that library
    return net, path
