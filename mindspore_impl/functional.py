"""Mirrors pytorch_impl.functional; differs: each name is the target that was verified on this device, or a shim.

Which one is read from the lock file once, when this module is imported, so that graphs see plain functions.
"""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor

from common.api_mapping.names import named
from common.backend import IGNORE
from mindspore_impl.mapping import bound
from mindspore_impl.shims.pointwise import log as _log

_ROWS = named("torch", "torch.nn.functional")
globals().update(bound(_ROWS))

__all__ = [*_ROWS, "cross_entropy_sum"]


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over the scored labels of -log softmax(logits)[label], in float32."""
    logits = ms.ops.reshape(logits, (-1, logits.shape[-1])).astype(ms.float32)
    largest = ms.ops.ReduceMax(keep_dims=True)(logits, 1)
    # The float32 kernel's vector and scalar code round differently, and how many elements get which depends on the
    # threads that it tries: the loss of a step would depend on how many steps this process has done.
    normalizer = _log(ms.ops.sum(ms.ops.exp(logits - largest), 1, True)) + largest
    return ms.ops.nll_loss(logits - normalizer, ms.ops.reshape(labels, (-1,)), ignore_index=IGNORE, reduction="sum")
