"""Squeeze-and-excitation on a small convolutional network (Hu et al., 2018)."""

import torch
import torch.nn as nn


class SELayer(nn.Module):
    def __init__(self, channel, reduction=4):
        super(SELayer, self).__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channel, channel // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channel // reduction, channel, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class SENet(nn.Module):
    def __init__(self, in_channels=3, width=16, num_classes=7):
        super(SENet, self).__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(in_channels, width, 3, 1, 1, bias=False))
        self.features.add_module("bn0", nn.BatchNorm2d(width))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("se0", SELayer(width))
        self.features.add_module("pool0", nn.MaxPool2d(2, 2))
        self.features.add_module("conv1", nn.Conv2d(width, width * 2, 3, 1, 1, bias=False))
        self.features.add_module("bn1", nn.BatchNorm2d(width * 2))
        self.features.add_module("relu1", nn.ReLU(inplace=True))
        self.features.add_module("se1", SELayer(width * 2))
        self.classifier = nn.Linear(width * 2, num_classes)

    def forward(self, x):
        x = self.features(x)
        x = x.mean([2, 3])
        return self.classifier(x)
