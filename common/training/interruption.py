"""Ending a run between two steps instead of in the middle of one, so that the saved state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

__all__ = ["Interrupted", "Interruption"]


class Interrupted(Exception):  # noqa: N818  (no error: somebody wished it)
    """Somebody asked the run to end; the model stands between two steps."""


class Interruption:
    """While entered, Ctrl-C and SIGTERM are remembered and raised by ``check``. A second signal ends the process at
    once, as usual; so does one after the last check, when the block is left."""

    def __init__(self):
        self.requested = 0  #: number of the signal that came
        self._previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers nowhere else
            self._previous = {
                number: signal.signal(number, self._request) for number in (signal.SIGINT, signal.SIGTERM)
            }
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._restore()
        if self.requested and kind is None:
            signal.raise_signal(self.requested)

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal came."""
        if self.requested:
            self.requested = 0
            raise Interrupted

    def _request(self, number: int, frame: object) -> None:
        self.requested = number
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())
