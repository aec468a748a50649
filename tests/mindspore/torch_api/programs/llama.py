"""A Llama block: RMS norm, rotary positions, grouped queries, gated feed-forward (Touvron et al. 2023)."""

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-6):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return self.weight * (x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)).type_as(x)


def rotate_half(x):
    x1, x2 = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


class Network(nn.Module):
    def __init__(self, dim=16, heads=4, kv=2):
        super().__init__()
        self.heads, self.kv, self.hd = heads, kv, dim // heads
        self.wq, self.wk = nn.Linear(dim, dim, bias=False), nn.Linear(dim, kv * self.hd, bias=False)
        self.wv, self.wo = nn.Linear(dim, kv * self.hd, bias=False), nn.Linear(dim, dim, bias=False)
        self.w1, self.w2, self.w3 = (
            nn.Linear(dim, 32, bias=False),
            nn.Linear(32, dim, bias=False),
            nn.Linear(dim, 32, bias=False),
        )
        self.attention_norm, self.ffn_norm = RMSNorm(dim), RMSNorm(dim)
        inv_freq = 1.0 / (10000 ** (torch.arange(0, self.hd, 2, dtype=torch.int64).float() / self.hd))
        self.register_buffer("inv_freq", inv_freq, persistent=False)

    def forward(self, x):
        b, t, _ = x.shape
        freqs = torch.outer(torch.arange(t, device=x.device).type_as(self.inv_freq), self.inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        cos, sin = emb.cos()[None, None], emb.sin()[None, None]
        h = self.attention_norm(x)
        q = self.wq(h).view(b, t, self.heads, -1).transpose(1, 2)
        k = self.wk(h).view(b, t, self.kv, -1).transpose(1, 2)
        v = self.wv(h).view(b, t, self.kv, -1).transpose(1, 2)
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        k, v = k.repeat_interleave(self.heads // self.kv, dim=1), v.repeat_interleave(self.heads // self.kv, dim=1)
        mask = torch.full((t, t), float("-inf"), device=x.device).triu(diagonal=1)
        scores = F.softmax((q @ k.transpose(2, 3)) * self.hd**-0.5 + mask, dim=-1, dtype=torch.float32).to(q.dtype)
        x = x + self.wo((scores @ v).transpose(1, 2).reshape(b, t, -1))
        h = self.ffn_norm(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


def batch():
    return (torch.randn(2, 5, 16),)


def loss(model, x):
    return model(x).abs().mean()


def optimizer(model):
    return torch.optim.RAdam(model.parameters(), lr=1e-2)
