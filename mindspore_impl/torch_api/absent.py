"""Placeholders for parts of torch that are imported by name and not used by a network on one device.

A library imports ``torch.distributed.DeviceMesh`` for an annotation or a branch that is not taken. Such a name becomes
a class that can be named, compared and inherited from; calling it raises an error with torch's name of it.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["Absent", "absent", "absent_module"]


class _Kind(type):
    """The class of placeholders: every attribute is one, and a call is refused."""

    path: str

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return absent(f"{cls.path}.{name}")

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"{cls.path} is not available on MindSpore.")

    def __repr__(cls) -> str:
        return f"<{cls.path}, not available>"

    def __bool__(cls) -> bool:
        return False


class Absent(metaclass=_Kind):
    """What placeholders inherit from."""

    path = "torch"


_MADE: dict[str, type[Absent]] = {}


def absent(path: str) -> type[Absent]:
    """The placeholder of one name.

    Example:
        >>> absent("torch.distributed.DeviceMesh")()
        Traceback (most recent call last):
        NotImplementedError: torch.distributed.DeviceMesh is not available on MindSpore.
    """
    if path not in _MADE:
        _MADE[path] = _Kind(path.rpartition(".")[2], (Absent,), {"path": path})
    return _MADE[path]


def absent_module(path: str, **known: Any) -> ModuleType:
    """A module of placeholders, apart from the names in ``known``."""
    module = ModuleType(path, f"``{path}``: names to import, not available on MindSpore.")
    module.__path__ = []
    module.__dict__.update(known)

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return absent(f"{path}.{name}")

    module.__getattr__ = find  # type: ignore[method-assign]
    return module
