"""Placeholders for parts of torch that are imported by name and not used by a network on one device.

A library names ``torch.distributed.DeviceMesh`` in an annotation, in a check of types, as a base class or in a branch
that is not taken. A placeholder stands for such a name; calling it raises an error with torch's name.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["Absent", "absent_module"]


class Absent:
    """A name that is there and does nothing.

    Example:
        >>> Absent("torch.distributed.DeviceMesh")()
        Traceback (most recent call last):
        NotImplementedError: torch.distributed.DeviceMesh is not available on MindSpore.
    """

    def __init__(self, path: str):
        self.path = path

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"{self.path} is not available on MindSpore.")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.path}.{name}")

    def __repr__(self) -> str:
        return f"<{self.path}, not available>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Absent) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        """A class that names it as a base has that base no more."""
        return ()

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __subclasscheck__(self, subclass: type) -> bool:
        return False

    def __or__(self, other: Any) -> Any:
        return other

    __ror__ = __or__

    def __getitem__(self, _: Any) -> Absent:
        return self


def absent_module(path: str, **known: Any) -> ModuleType:
    """A module of placeholders, apart from the names in ``known``; asked whether something is available, it says no."""
    module = ModuleType(path, f"``{path}``: names that can be imported, and are not available on MindSpore.")
    module.__path__ = []
    module.__dict__.update(known)

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name.startswith("is_") and name.endswith("_available"):
            return lambda *_, **__: False
        return Absent(f"{path}.{name}")

    module.__getattr__ = find  # type: ignore[method-assign]
    return module
