"""Lesion detector: Faster R-CNN over the feature pyramid, three classes (background, benign, malignant)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign

from inference.wff.config import DetectorConfig
from inference.wff.networks.backbone import LEVELS, PyramidBackbone

BENIGN, MALIGNANT = 1, 2  # 0 is background
CLASSES = 3
ROI_SIZE = 7
ROI_SAMPLING = 2


@dataclass(frozen=True, slots=True)
class Target:
    """Truth of one image: boxes (n, 4) as x0, y0, x1, y1 in letterbox pixels; labels (n,) BENIGN or MALIGNANT."""

    boxes: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes of one image on the CPU, best first: boxes (n, 4) in letterbox pixels, labels (n,), scores (n,)."""

    boxes: Tensor
    labels: Tensor
    scores: Tensor


class Detector(nn.Module):
    """Works on square images of one size: what a slice gives does not depend on its batch."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = PyramidBackbone(config.backbone)
        self.rpn = _region_proposals(config)
        self.roi_heads = _region_heads(config)

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """images (B, 3, S, S) -> the four losses of Faster R-CNN. The module must be in training mode.

        Both box losses are smooth L1 with beta 1/9, as torchvision has them; MMDetection, from which the schedule is
        taken, has L1. A choice: they differ only for errors below 1/9 of a normalised offset, where smooth L1 has a
        gradient that fades out, and torchvision's tested parts stay as they are.
        """
        _, losses = self._run(images, [{"boxes": t.boxes, "labels": t.labels} for t in targets])
        return losses

    @torch.inference_mode()
    def detect(self, images: Tensor) -> list[Detections]:
        """images (B, 3, S, S) normalised -> one Detections per image. The module must be in evaluation mode."""
        found, _ = self._run(images, None)
        return [Detections(f["boxes"].cpu(), f["labels"].cpu(), f["scores"].cpu()) for f in found]

    def _run(
        self, images: Tensor, targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        size = self.config.image_size
        if images.shape[1:] != (3, size, size):
            raise ValueError(f"detector expects images (B, 3, {size}, {size}), got {tuple(images.shape)}")
        sizes = [(size, size)] * len(images)
        features = self.backbone(images)
        # boxes take the type of the features, and 8 bits are too few for a coordinate
        with torch.autocast(images.device.type, enabled=False):
            features = {level: values.float() for level, values in features.items()}
            proposals, rpn_losses = self.rpn(ImageList(images, sizes), features, targets)
            found, roi_losses = self.roi_heads(features, proposals, sizes, targets)
        return found, {**rpn_losses, **roi_losses}


def _region_proposals(config: DetectorConfig) -> Any:
    anchors = AnchorGenerator(
        sizes=tuple((size,) for size in config.anchor_sizes),
        aspect_ratios=(config.aspect_ratios,) * len(config.anchor_sizes),
    )
    head = RPNHead(config.backbone.fpn_channels, len(config.aspect_ratios))
    train, test = config.rpn_train_proposals, config.rpn_test_proposals
    return RegionProposalNetwork(
        anchors,
        head,
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=config.rpn_batch,
        positive_fraction=0.5,
        pre_nms_top_n={"training": train[0], "testing": test[0]},
        post_nms_top_n={"training": train[1], "testing": test[1]},
        nms_thresh=0.7,
    )


def _region_heads(config: DetectorConfig) -> Any:
    channels = config.backbone.fpn_channels
    return RoIHeads(
        # P2 to P5: the fifth scale only proposes
        box_roi_pool=MultiScaleRoIAlign(list(LEVELS[:4]), output_size=ROI_SIZE, sampling_ratio=ROI_SAMPLING),
        box_head=TwoMLPHead(channels * ROI_SIZE**2, config.roi_hidden),
        box_predictor=FastRCNNPredictor(config.roi_hidden, CLASSES),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=config.roi_batch,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        score_thresh=config.score_threshold,
        nms_thresh=config.nms_iou,
        detections_per_img=config.maximum_boxes,
    )
