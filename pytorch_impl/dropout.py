"""Dropout whose masks are functions of counters (`common.dropout`), and its way into the networks of `transformers`."""

from __future__ import annotations

import re

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask

from common.dropout import counters, limit, step_key

__all__ = ["Dropout", "DropoutKey", "connect"]

DROPOUT_ENTRY = re.compile(r"(dropout|dropout_prob|_pdrop)$")  #: of a configuration of `transformers`, in whatever family
_ATTENTION = "twinlora"


class DropoutKey:
    """The key of the step that is being computed, shared by every dropout of a model."""

    def __init__(self, device: str):
        self.value = torch.zeros((), dtype=torch.int32, device=device)

    def set(self, seed: int, step: int, micro_batch: int) -> None:
        """Begin a micro-batch."""
        self.value.fill_(step_key(seed, step, micro_batch))


class Dropout(nn.Module):
    """y = x m / (1 - p) while training, with the mask m of the module's path and of the key; x otherwise. ``(..., width)`` to the same.

    The mask is computed again in the backward pass: nothing of the size of x is kept for it.
    """

    def __init__(self, path: str, p: float):
        super().__init__()
        self.path, self.p = path, p
        self.key: DropoutKey | None = None
        self._counters: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The masked and scaled ``x``. Raises RuntimeError while training before `connect`."""
        if not self.training or self.p == 0.0:
            return x
        if self.key is None:
            raise RuntimeError(f"The dropout {self.path} has no key yet. Train through an Engine, or call dropout.connect(model) first.")
        width = x.shape[-1]
        rows, columns = self._words("rows", x.numel() // width), self._words("columns", width)
        return _Masked.apply(x, rows[:, None], columns, limit(self.p), 1.0 / (1.0 - self.p))

    def _words(self, axis: str, count: int) -> torch.Tensor:
        known = self._counters.get(axis)
        if known is None or len(known) < count:
            known = self._counters[axis] = torch.from_numpy(counters(self.path, axis, count)).to(self.key.value.device)
        return (known[:count] ^ self.key.value) | 1


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, rows, columns, least, scale):
        ctx.save_for_backward(rows, columns)
        ctx.least, ctx.scale = least, scale
        return _mask(x, rows, columns, least, scale)

    @staticmethod
    def backward(ctx, gradient):
        return _mask(gradient, *ctx.saved_tensors, ctx.least, ctx.scale), None, None, None, None


def _mask(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, least: int, scale: float) -> torch.Tensor:
    return x * ((rows * columns >= least).to(x.dtype) * scale).view(x.shape)


def connect(model: nn.Module) -> DropoutKey:
    """Give every dropout of ``model`` one key, and return it. A network's own dropouts become `Dropout`, that of its attention probabilities as well."""
    key = DropoutKey(str(next(model.parameters()).device))
    for path, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            parent, _, leaf = path.rpartition(".")
            setattr(model.get_submodule(parent), leaf, Dropout(path, module.p))
        elif "Attention" in type(module).__name__ and not hasattr(module, "probabilities"):
            module.probabilities = Dropout(f"{path}.probabilities", 0.0)  # of which the probability is known when it is called
    for module in model.modules():
        if isinstance(module, Dropout):
            module.key = key
    if any(value for name, value in model.config.to_dict().items() if DROPOUT_ENTRY.search(name)):
        model.set_attn_implementation(_ATTENTION)
    return key


def _attend(module, query, key, value, attention_mask, scaling=None, dropout=0.0, position_bias=None, **options):
    """softmax(q k^T s + mask) v with counted dropout of the probabilities; without dropout, what torch does itself. All ``(batch, heads, seq, width)``."""
    if dropout == 0.0 or not module.training:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, position_bias=position_bias, **options)
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) if groups > 1 else x for x in (key, value))
    scores = torch.matmul(query, key.transpose(2, 3)) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    for added in (position_bias, attention_mask):
        scores = scores if added is None else scores + added
    module.probabilities.p = dropout
    mixed = torch.matmul(module.probabilities(torch.softmax(scores, -1)), value)  # of probabilities (batch, heads, seq, seq)
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION, _attend)
AttentionMaskInterface.register(_ATTENTION, eager_mask)
