"""Mirrors pytorch_impl.functional; differs: each name is the target that was verified on this device, or a shim.

Which one is read from the lock file once, when this module is imported, so that graphs see plain functions.
"""

from __future__ import annotations

import mindspore as ms
from mindspore import Tensor

from common.api_mapping.names import named
from common.backend import IGNORE
from mindspore_impl.mapping import bound

_ROWS = named("torch", "torch.nn.functional")
globals().update(bound(_ROWS))

__all__ = [*_ROWS, "cross_entropy_sum"]


def cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over the scored labels of -log softmax(logits)[label], in float32."""
    classes = logits.shape[-1]
    return ms.ops.cross_entropy(
        ms.ops.reshape(logits, (-1, classes)).astype(ms.float32),
        ms.ops.reshape(labels, (-1,)),
        ignore_index=IGNORE,
        reduction="sum",
    )
