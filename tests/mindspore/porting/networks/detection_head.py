"""A RetinaNet-like head on a feature pyramid, with anchors (Lin et al., 2017)."""

import math
from typing import List

import torch
from torch import nn


class DetectionHead(nn.Module):
    def __init__(self, in_channels, num_anchors, num_classes, num_convs=2, prior_probability=0.01):
        super().__init__()
        cls_tower = []
        box_tower = []
        for _ in range(num_convs):
            cls_tower.append(nn.Conv2d(in_channels, in_channels, kernel_size=3, stride=1, padding=1))
            cls_tower.append(nn.GroupNorm(4, in_channels))
            cls_tower.append(nn.ReLU())
            box_tower.append(nn.Conv2d(in_channels, in_channels, kernel_size=3, stride=1, padding=1))
            box_tower.append(nn.GroupNorm(4, in_channels))
            box_tower.append(nn.ReLU())
        self.cls_tower = nn.Sequential(*cls_tower)
        self.box_tower = nn.Sequential(*box_tower)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, kernel_size=3, stride=1, padding=1)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, kernel_size=3, stride=1, padding=1)
        self.num_classes = num_classes
        self.num_anchors = num_anchors

        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                torch.nn.init.normal_(layer.weight, std=0.01)
                torch.nn.init.constant_(layer.bias, 0)
        torch.nn.init.constant_(self.cls_logits.bias, -math.log((1 - prior_probability) / prior_probability))

    def permute_to_N_HWA_K(self, tensor, K):
        """Transpose/reshape a tensor from (N, (A x K), H, W) to (N, (HxWxA), K)"""
        N, _, H, W = tensor.shape
        tensor = tensor.view(N, -1, K, H, W)
        tensor = tensor.permute(0, 3, 4, 1, 2)
        return tensor.reshape(N, -1, K)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor):
        all_logits: List[torch.Tensor] = []
        all_boxes: List[torch.Tensor] = []
        for features in [fine, coarse]:
            logits = self.cls_logits(self.cls_tower(features))
            boxes = self.bbox_reg(self.box_tower(features))
            all_logits.append(self.permute_to_N_HWA_K(logits, self.num_classes))
            all_boxes.append(self.permute_to_N_HWA_K(boxes, 4))
        logits = torch.cat(all_logits, dim=1)
        deltas = torch.cat(all_boxes, dim=1)
        scores, labels = torch.sigmoid(logits).max(dim=-1)
        boxes = self.decode(deltas)
        return logits, boxes, scores

    def decode(self, deltas):
        dx, dy, dw, dh = deltas.unbind(-1)
        dw = torch.clamp(dw, max=math.log(1000.0 / 16))
        dh = torch.clamp(dh, max=math.log(1000.0 / 16))
        w = torch.exp(dw)
        h = torch.exp(dh)
        return torch.stack([dx - 0.5 * w, dy - 0.5 * h, dx + 0.5 * w, dy + 0.5 * h], dim=-1)
