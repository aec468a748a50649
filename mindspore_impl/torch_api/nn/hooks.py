"""Hooks: functions that a module calls, until they are removed."""

from __future__ import annotations

import itertools
from typing import Any

__all__ = ["Hook", "register"]


class Hook:
    """A registered hook."""

    _numbers = itertools.count()

    def __init__(self, hooks: dict[int, Any]):
        self.hooks, self.number = hooks, next(Hook._numbers)

    def remove(self) -> None:
        """Call it no longer."""
        self.hooks.pop(self.number, None)

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove()


def register(hooks: dict[int, Any], hook: Any, prepend: bool = False) -> Hook:
    """Add a hook, behind the others or before them."""
    handle = Hook(hooks)
    later = dict(hooks) if prepend else {}
    if prepend:
        hooks.clear()
    hooks[handle.number] = hook
    hooks.update(later)
    return handle
