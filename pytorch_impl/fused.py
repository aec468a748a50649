"""Functions with a hand-written backward pass, for the training step. Torch's own have one; `mindspore_impl.fused`
offers the same ones."""

from __future__ import annotations

from torch.nn.functional import gelu, layer_norm, rms_norm

__all__ = ["gelu", "layer_norm", "rms_norm"]

from common.api_mapping.names import named

_ROWS = {name: row for name, row in named("torch.nn.functional").items() if name in __all__}
