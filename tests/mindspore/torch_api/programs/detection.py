"""A detection head: classes by focal loss, boxes by GIoU, indices by masks (Lin et al. 2017)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Network(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.InstanceNorm2d(8, affine=True), nn.Hardswish(inplace=True)
        )
        self.cls, self.reg = nn.Conv2d(8, classes, 1), nn.Conv2d(8, 4, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))
        nn.init.constant_(self.cls.bias, -2.0)

    def forward(self, x):
        h = self.body(x)
        scores = self.cls(h).permute(0, 2, 3, 1).reshape(x.size(0), -1, self.cls.out_channels)
        sides = (self.reg(h) * self.scale).exp().flatten(2).transpose(1, 2)
        return scores, sides


def batch():
    boxes = torch.rand(2, 16, 4) + 0.5
    labels = torch.randint(-1, 3, (2, 16))
    return torch.randn(2, 3, 8, 8), labels, boxes


def focal(scores, labels, alpha=0.25, gamma=2.0):
    targets = F.one_hot(labels.clamp(min=0), 3).float() * (labels >= 0).unsqueeze(-1)
    p = scores.sigmoid()
    ce = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    pt = p * targets + (1 - p) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return (weight * (1 - pt) ** gamma * ce).sum()


def giou(a, b):
    overlap = torch.min(a[:, :2], b[:, :2]).sum(1) * torch.min(a[:, 2:], b[:, 2:]).sum(1)
    area = lambda s: (s[:, 0] + s[:, 1]) * (s[:, 2] + s[:, 3])  # noqa: E731
    union = area(a) + area(b) - overlap
    hull = torch.max(a, b)
    hull = (hull[:, 0] + hull[:, 1]) * (hull[:, 2] + hull[:, 3])
    return (1 - overlap / union + (hull - union) / hull.clamp(min=1e-7)).sum()


def loss(model, x, labels, boxes):
    scores, sides = model(x)
    positive = labels >= 0
    n = max(1, positive.sum().item())
    return (focal(scores, labels) + giou(sides[positive], boxes[positive])) / n


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9, dampening=0.1)
