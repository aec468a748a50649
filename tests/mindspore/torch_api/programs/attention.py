"""An attention block as in "Attention Is All You Need", written out."""

import math

import torch
import torch.nn as nn


class Attention(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.h = h
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x, mask=None):
        b, n, d = x.size()
        q, k, v = (f(x).view(b, n, self.h, d // self.h).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(d // self.h)
        if mask is not None:
            scores = scores.masked_fill(mask == 0, -1e9)
        p = scores.softmax(dim=-1)
        return self.o(torch.matmul(p, v).transpose(1, 2).contiguous().view(b, n, d))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.ModuleDict(
                    {
                        "attn": Attention(8, 2),
                        "norm": nn.LayerNorm(8),
                        "ff": nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)),
                    }
                )
                for _ in range(2)
            ]
        )
        pe = torch.zeros(10, 8)
        position = torch.arange(0, 10).unsqueeze(1)
        div = torch.exp(torch.arange(0, 8, 2) * -(math.log(10000.0) / 8))
        pe[:, 0::2] = torch.sin(position * div)
        pe[:, 1::2] = torch.cos(position * div)
        self.register_buffer("pe", pe.unsqueeze(0))

    def forward(self, x, mask):
        x = x + self.pe[:, : x.size(1)].requires_grad_(False)
        for layer in self.layers:
            x = x + layer["attn"](layer["norm"](x), mask)
            x = x + layer["ff"](layer["norm"](x))
        return x


def batch():
    mask = torch.tril(torch.ones(1, 1, 6, 6))
    return torch.randn(2, 6, 8), mask


def loss(model, x, mask):
    return (model(x, mask) ** 2).mean()


def optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
