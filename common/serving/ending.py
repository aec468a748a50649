"""An engine that computes until its server has ended.

A text is written in many calls of an engine, and a thread cannot be stopped from outside: each call asks whether an
answer is still wanted.
"""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Ended", "Ending"]

_MADE = ("decoder", "translator")  #: what an engine gives that computes as well


class Ended(Exception):  # noqa: N818  (no error of the model)
    """The server has ended, and nobody waits for an answer."""


class Ending:
    """An engine, or what it gave, whose calls raise `Ended` once ``ended`` is set; what is being computed then ends with
    the next call."""

    def __init__(self, inner: Any, ended: threading.Event):
        self._inner, self._ended = inner, ended

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            if self._ended.is_set():
                raise Ended
            result = found(*given, **named)
            return Ending(result, self._ended) if name in _MADE and result is not None else result

        return call
