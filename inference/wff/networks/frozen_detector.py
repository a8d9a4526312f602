"""A trained detector made ready for one device: it finds the same boxes as `Detector.detect`, several times faster."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from inference.wff.config import DetectorConfig
from inference.wff.networks.deformable import DeformableConv3x3
from inference.wff.networks.dense_part import Dense, DensePart, sides_of
from inference.wff.networks.detector import CLASSES, ROI_SAMPLING, ROI_SIZE, Detections, Detector
from inference.wff.networks.devices import Numerics
from inference.wff.networks.folding import fold_batch_norm
from inference.wff.networks.proposals import Proposer, at_least
from inference.wff.networks.region_pooling import pool_regions
from inference.wff.networks.suppression import suppress

_POOLED_LEVELS = 4  # the fifth scale only proposes
_SMALLEST_PX = 1e-2  # side of a box in letterbox pixels, as in torchvision's RoIHeads
_NOTHING = -1.0  # score of a place in the result that holds no box


class FrozenDetector:
    """Batch norm folded, channels last, no gradients; every step works on all images of a batch together."""

    def __init__(self, detector: Detector, config: DetectorConfig, *, device: torch.device, numerics: Numerics) -> None:
        """`config` may differ from that of the detector in image size and proposals. Copies what it takes."""
        self._config = config
        self.device = device
        self.dtype = numerics.dtype
        trained = deepcopy(detector).eval().requires_grad_(False).to(device)
        fold_batch_norm(trained)
        self.dense = DensePart(trained.backbone, trained.rpn.head)
        self.dense.to(numerics.dtype).to(memory_format=torch.channels_last)
        for module in self.dense.modules():
            if isinstance(module, DeformableConv3x3):
                module.conv.to(numerics.deformable_dtype)
        self._proposer = Proposer(
            trained.rpn,
            size=config.image_size,
            sides=sides_of(config.image_size),
            counts=config.rpn_test_proposals,
            device=device,
        )
        self._coder = trained.roi_heads.box_coder
        self._head = _rows_first(trained.roi_heads.box_head, config).to(numerics.dtype)
        self._predictor = trained.roi_heads.box_predictor.to(numerics.dtype)
        self.run_dense: Dense = self.dense  # replaced where the device has something faster

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """images (B, 3, S, S) normalised -> (B, M, 6) on the device: corners, label, score; the best first.

        Places without a box have score -1. Nothing here waits for the device, so that its queue stays full; only the
        suppression looks at it now and then.
        """
        images = images.to(self.device, self.dtype, memory_format=torch.channels_last)
        maps = self.run_dense(images)
        proposals = self._proposer(maps.objectness, maps.deltas)
        pooled = pool_regions(
            maps.features[:_POOLED_LEVELS],
            proposals,
            image_size=self._config.image_size,
            size=ROI_SIZE,
            sampling=ROI_SAMPLING,
        )
        logits, deltas = self._predictor(self._head(pooled.flatten(1)))
        return self._detections(logits.float(), deltas.float(), proposals)

    def _detections(self, logits: Tensor, deltas: Tensor, proposals: Tensor) -> Tensor:
        """logits (B x R, classes), deltas (B x R, 4 x classes), proposals (B, R, 4) -> (B, M, 6)."""
        config = self._config
        batch, regions = proposals.shape[:2]
        size = (config.image_size, config.image_size)
        boxes = clip_boxes_to_image(self._coder.decode_single(deltas, proposals.view(-1, 4)).view(-1, 4), size)
        boxes = boxes.view(batch, regions, CLASSES, 4)
        scores = logits.softmax(dim=-1).view(batch, regions, CLASSES)
        found = []
        for label in range(1, CLASSES):
            ranked = scores[..., label].sort(dim=1, descending=True, stable=True)
            its = boxes[:, :, label].gather(1, ranked.indices[..., None].expand(-1, -1, 4))
            counts = (ranked.values > config.score_threshold) & at_least(its, _SMALLEST_PX)
            kept = suppress(its, counts, config.nms_iou)
            labels = torch.full_like(ranked.values, label)
            found.append(torch.cat((its, labels[..., None], ranked.values.where(kept, _NOTHING)[..., None]), dim=-1))
        together = torch.cat(found, dim=1)
        best = together[..., 5].topk(min(config.maximum_boxes, together.shape[1]), dim=1)
        return together.gather(1, best.indices[..., None].expand(-1, -1, 6))


def detections_of(packed: Tensor) -> list[Detections]:
    """(B, M, 6) on the CPU -> one Detections per image."""
    found = []
    for image in packed:
        real = image[image[:, 5] > _NOTHING]
        found.append(Detections(boxes=real[:, :4], labels=real[:, 4].long(), scores=real[:, 5]))
    return found


def _rows_first(head: Any, config: DetectorConfig) -> nn.Sequential:
    """torchvision's TwoMLPHead for pooled features in the order (place, channel) instead of (channel, place)."""
    first, second = head.fc6, head.fc7
    channels = config.backbone.fpn_channels
    first.weight = nn.Parameter(
        first.weight.view(-1, channels, ROI_SIZE**2).transpose(1, 2).flatten(1), requires_grad=False
    )
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))
