"""The seed of everything that is random."""

from __future__ import annotations

import mindspore as ms

from common.porting import loading

__all__ = ["manual_seed"]


def manual_seed(seed: int) -> None:
    """Seed start values, dropout and random tensors, and the order of data loaders, which is then torch's."""
    ms.set_seed(seed)
    loading.DEFAULT[0].manual_seed(seed)
