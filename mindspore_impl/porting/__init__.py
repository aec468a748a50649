"""What converted programs call besides the verified functions: containers, start values, gradients.

Torch needs none of it, so this package has no counterpart. ``twinlora map convert`` writes its names.
"""

from __future__ import annotations

from mindspore_impl.porting import data, init, lr_scheduler
from mindspore_impl.porting.containers import ModuleDict, Sequential
from mindspore_impl.porting.gradients import clip_grad_norm, clip_grad_value
from mindspore_impl.porting.seeding import manual_seed
from mindspore_impl.porting.transformer import TransformerDecoder, TransformerEncoder

__all__ = ["ModuleDict", "Sequential", "TransformerDecoder", "TransformerEncoder", "clip_grad_norm", "clip_grad_value"]
__all__ += ["data", "init", "lr_scheduler", "manual_seed"]
