import torch
from torch import nn


class Halved(nn.Module):
    def __init__(self, module, edit, values):
        super().__init__()
        self.scale = edit.arguments.scale
        self.doubled = nn.Parameter(torch.zeros(edit.module.out_features, edit.module.in_features))
        self.bias = nn.Parameter(torch.zeros(edit.module.out_features))

    def forward(self, x):
        return nn.functional.linear(x, self.scale * self.doubled, self.bias)


build = Halved
