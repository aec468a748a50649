"""A generator's cross-entropy of hidden tokens, and a discriminator's of which tokens were replaced."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from common.backend import IGNORE
from common.models.family import EACH
from pytorch_impl import functional as F
from pytorch_impl.layers.loss import token_loss_sum, token_scores
from pytorch_impl.layers.sampling import sampled

__all__ = ["loss"]


def loss(
    network: nn.Module, inputs: Mapping[str, torch.Tensor], differentiable: bool = True
) -> tuple[torch.Tensor, ...]:
    """Sum of the generator's cross-entropy over the hidden tokens, plus that of the discriminator over the real tokens,
    each times its row's ``scale``; and the generator's right predictions ``(batch,)``, logits of "replaced" and what was
    replaced, both ``(batch, seq)``, which a step that is ``differentiable`` does not compute."""
    ids, labels, positions = inputs["input_ids"], inputs["labels"], inputs["positions"]
    generator, places = network.companion, positions.clamp(min=0)
    hidden = generator.encode(inputs, EACH)
    states = hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[-1])).flatten(0, 1)
    states = generator.features(states)
    targets = torch.where(positions >= 0, labels.gather(1, places), IGNORE).flatten()
    weight, bias = generator.last_product()
    chosen = sampled(states, weight, bias, inputs["uniforms"].flatten()).view_as(positions)

    masked = labels >= 0
    slots = (masked.long().cumsum(1) - 1).clamp(min=0)  # the number of every hidden token among those of its row
    shown = torch.where(masked, chosen.gather(1, slots.clamp(max=positions.shape[1] - 1)), ids)
    logits = network.head(network.encode(network.with_ids(inputs, shown), EACH)).squeeze(-1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    replaced = (shown != torch.where(masked, labels, ids)).to(logits.dtype)
    real = inputs["attention_mask"] * masked.any(1, keepdim=True)
    each = F.binary_cross_entropy_with_logits(logits, replaced, reduction="none") * real
    detection = (each.sum(1) * inputs["scale"]).sum()
    if differentiable:
        return (token_loss_sum(states, weight, targets, True, bias) + detection,)
    loss_sum, right = token_scores(states, weight, targets, bias)
    return loss_sum + detection, right.view_as(positions).sum(1), logits, replaced
