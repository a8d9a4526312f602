"""Untrained nets whose weights are spread so far that boxes, offsets and scores differ from place to place."""

from dataclasses import replace

import torch
from torch import nn

from inference.runtime import Runtime
from inference.wff.age import AgeTable
from inference.wff.config import Norm, WffConfig, micro_config
from inference.wff.model import WffModel
from inference.wff.networks.deformable import DeformableConv3x3
from inference.wff.networks.detector import Detector
from inference.wff.networks.sequence_classifier import SequenceClassifier


def with_norm(config: WffConfig, norm: Norm) -> WffConfig:
    detector = replace(config.detector, backbone=replace(config.detector.backbone, norm=norm))
    return replace(config, detector=detector, sequence=replace(config.sequence, norm=norm))


def lively_nets(config: WffConfig, *, seed: int = 1) -> tuple[Detector, SequenceClassifier]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector, classifier = Detector(config.detector), SequenceClassifier(config.sequence)
        for module in [*detector.modules(), *classifier.modules()]:
            _enliven(module)
        nn.init.normal_(detector.rpn.head.cls_logits.weight, std=0.3)
        nn.init.normal_(detector.rpn.head.bbox_pred.weight, std=0.1)
        nn.init.normal_(detector.roi_heads.box_predictor.cls_score.weight, std=0.3)
    return detector.eval(), classifier.eval()


def lively_model(runtime: Runtime | None = None, *, norm: Norm = Norm.GROUP) -> WffModel:
    config = with_norm(micro_config(), norm)
    return WffModel(config, *lively_nets(config), AgeTable(), runtime=runtime)


def _enliven(module: nn.Module) -> None:
    if isinstance(module, DeformableConv3x3):
        nn.init.normal_(module.offset.weight, std=0.05)
    if isinstance(module, nn.GroupNorm | nn.BatchNorm2d | nn.BatchNorm3d):
        nn.init.uniform_(module.weight, 0.5, 1.5)  # the last one of a block starts at zero
        nn.init.normal_(module.bias, std=0.1)
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        module.running_mean = 0.1 * torch.randn_like(module.running_mean)
        module.running_var = torch.rand_like(module.running_var) + 0.5
