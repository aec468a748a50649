"""A small convolutional network with batch norm and dropout switched off by its rate."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.LeakyReLU(0.1),
        )
        self.classifier = nn.Linear(16 * 2 * 2, 5)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(x, 1)
        return F.dropout(self.classifier(x), p=0.0, training=self.training)


def batch():
    return torch.randn(4, 3, 8, 8), torch.randint(0, 5, (4,))


def loss(model, x, y):
    return F.cross_entropy(model(x), y, label_smoothing=0.1)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)
