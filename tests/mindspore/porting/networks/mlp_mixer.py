"""MLP-Mixer (Tolstikhin et al., 2021)."""

from functools import partial

import torch
from torch import nn


class PreNormResidual(nn.Module):
    def __init__(self, dim, fn):
        super().__init__()
        self.fn = fn
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return self.fn(self.norm(x)) + x


def FeedForward(dim, expansion_factor=4, dropout=0.0, dense=nn.Linear):
    inner_dim = int(dim * expansion_factor)
    return nn.Sequential(
        dense(dim, inner_dim), nn.GELU(), nn.Dropout(dropout), dense(inner_dim, dim), nn.Dropout(dropout)
    )


class MLPMixer(nn.Module):
    def __init__(self, *, image_size=16, channels=3, patch_size=4, dim=24, depth=2, num_classes=5, dropout=0.0):
        super().__init__()
        assert (image_size % patch_size) == 0, "image must be divisible by patch size"
        num_patches = (image_size // patch_size) ** 2
        chan_first, chan_last = partial(nn.Conv1d, kernel_size=1), nn.Linear
        self.patch_size = patch_size
        self.embed = nn.Linear((patch_size**2) * channels, dim)
        self.blocks = nn.ModuleList([])
        for _ in range(depth):
            self.blocks.append(
                nn.Sequential(
                    PreNormResidual(dim, FeedForward(num_patches, 4, dropout, chan_first)),
                    PreNormResidual(dim, FeedForward(dim, 0.5, dropout, chan_last)),
                )
            )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, img):
        b, c, h, w = img.shape
        p = self.patch_size
        x = img.reshape(b, c, h // p, p, w // p, p)
        x = x.permute(0, 2, 4, 3, 5, 1).reshape(b, (h // p) * (w // p), p * p * c)
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x).mean(dim=1)
        return self.head(x)
