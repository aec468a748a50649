"""`pytorch_impl.layers.attention` as an attention function of `transformers`."""

from __future__ import annotations

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from common.errors import InputError
from pytorch_impl.layers.attention import KEPT, attention
from pytorch_impl.layers.frozen import computed_in

__all__ = ["ATTENTION"]

ATTENTION = "twinlora"  #: the name under which `transformers` knows it
_REFUSED = ("softcap", "s_aux")  #: options that change the scores


def _attend(
    module: nn.Module,
    query,
    key,
    value,
    attention_mask,
    scaling=None,
    dropout=0.0,
    is_causal=None,
    position_bias=None,
    **options,
):
    """What `transformers` calls: attention with counted dropout; without dropout, what torch does itself where that is
    fast. All ``(batch, heads, seq, width)``. On CPUs torch is slower for few probabilities, and its backward pass in
    bfloat16 takes several times as long.
    """
    if unknown := [name for name in _REFUSED if options.get(name) is not None]:
        raise InputError(
            f"Attention with {unknown[0]}, as {type(module).__name__} wants it, is not computed here. Use a model without it."
        )
    query, key, value = (x.to(computed_in(x)) for x in (query, key, value))  # rotary positions are float32 in bf16
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    count = (
        query.shape[:3].numel() * key.shape[2] * (2 if causal else 1)
    )  # torch's kernel leaves half of a causal mask out
    slow = query.device.type == "cpu" and (query.dtype == torch.bfloat16 or count <= KEPT)
    dropout = dropout if module.training else 0.0
    if dropout == 0.0 and not (slow and torch.is_grad_enabled()):
        given = {"scaling": scaling, "is_causal": is_causal, "position_bias": position_bias}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **given, **options)
    added = _additive(query, key, attention_mask, causal)
    if position_bias is not None:
        added = position_bias if added is None else added + position_bias
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    module.probabilities.p = dropout
    hand_written = position_bias is None and "attention" not in getattr(
        module, "plain", ()
    )  # a position bias may be trained
    mixed = attention(query, key, value, added, scale, module.probabilities, hand_written)
    return mixed.transpose(1, 2).contiguous(), None


def _additive(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, causal: bool) -> torch.Tensor | None:
    """The mask of `sdpa_mask` as a summand: of booleans, or none, which stands for a causal one where attention is
    causal."""
    if mask is None:
        if not causal or query.shape[2] == 1:
            return None
        mask = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()
    if mask.dtype != torch.bool:
        return mask
    dtype = torch.promote_types(query.dtype, torch.float32)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, torch.finfo(dtype).min)


AttentionInterface.register(ATTENTION, _attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
