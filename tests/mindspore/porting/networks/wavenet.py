"""Dilated causal convolutions with gates and skip connections (van den Oord et al., 2016)."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class CausalConv1d(nn.Conv1d):
    def __init__(self, in_channels, out_channels, kernel_size, dilation=1, **kwargs):
        self.left_padding = (kernel_size - 1) * dilation
        super().__init__(in_channels, out_channels, kernel_size, dilation=dilation, **kwargs)

    def forward(self, x):
        return super().forward(F.pad(x, (self.left_padding, 0)))


class ResidualLayer(nn.Module):
    def __init__(self, residual_channels, skip_channels, dilation):
        super().__init__()
        self.filter_conv = CausalConv1d(residual_channels, residual_channels, 2, dilation=dilation)
        self.gate_conv = CausalConv1d(residual_channels, residual_channels, 2, dilation=dilation)
        self.res = nn.Conv1d(residual_channels, residual_channels, 1)
        self.skip = nn.Conv1d(residual_channels, skip_channels, 1)

    def forward(self, x):
        out = torch.tanh(self.filter_conv(x)) * torch.sigmoid(self.gate_conv(x))
        return self.res(out) + x, self.skip(out)


class WaveNet(nn.Module):
    def __init__(self, quantization=32, residual_channels=8, skip_channels=12, layers=4):
        super().__init__()
        self.quantization = quantization
        self.start = CausalConv1d(quantization, residual_channels, 2)
        self.stack = nn.ModuleList(
            [ResidualLayer(residual_channels, skip_channels, 2**i) for i in range(layers)]
        )
        self.end1 = nn.Conv1d(skip_channels, skip_channels, 1)
        self.end2 = nn.Conv1d(skip_channels, quantization, 1)

    def forward(self, samples):
        x = F.one_hot(samples, self.quantization).float().transpose(1, 2)
        x = self.start(x)
        skips = 0
        for layer in self.stack:
            x, skip = layer(x)
            skips = skips + skip
        out = self.end1(F.relu(skips))
        return self.end2(F.relu(out))
