"""Whether what should be trained has changed, and what should not be has not."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from common.backend import Engine

__all__ = ["STEPS", "Movement"]

STEPS = 10  #: after which every trained array must have changed; LoRA's A has no gradient in the first
_SHOWN = 5


class Movement:
    """Remembers by checksums what an engine holds now, and later says what has changed. Costs two passes over the
    weights."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._trained = _checksums(engine.trainable().items())
        self._frozen = _checksums(engine.frozen())
        self.unmoved: tuple[str, ...] = ()  #: trained arrays that have not changed
        self.moved: tuple[str, ...] = ()  #: frozen arrays that have

    def check_trained(self, steps: int) -> str | None:
        """What to say of trained arrays after ``steps`` steps; None where all of them have changed."""
        now = _checksums(self._engine.trainable().items())
        self.unmoved = tuple(name for name, checksum in self._trained.items() if now[name] == checksum)
        if not self.unmoved:
            return None
        return (
            f"{len(self.unmoved)} of {len(now)} trained arrays have not changed in {steps} steps: {_listed(self.unmoved)}. "
            "The loss does not depend on them, or the learning rate is too small for float32."
        )

    def check_frozen(self) -> str | None:
        """What to say of frozen arrays; None where all of them are what they were."""
        now = _checksums(self._engine.frozen())
        self.moved = tuple(name for name, checksum in self._frozen.items() if now.get(name) != checksum)
        if not self.moved:
            return None
        return (
            f"{len(self.moved)} of {len(now)} frozen arrays have changed: {_listed(self.moved)}. The result cannot be determined by "
            "what is saved of it. Please report this."
        )

    def plain(self) -> dict[str, Any]:
        """For the summary of a run: nothing where everything is as it should be."""
        found = {"unmoved": list(self.unmoved), "moved": list(self.moved)}
        return {"movement": found} if self.unmoved or self.moved else {}


def _checksums(arrays: Iterable[tuple[str, np.ndarray]]) -> dict[str, int]:
    return {name: zlib.crc32(np.ascontiguousarray(array).data) for name, array in arrays}


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
