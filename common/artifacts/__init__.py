"""How the result of a method is stored: one module each, with ``FOLDER``, ``WHOLE``, ``save`` and ``load``."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["storage"]


def storage(name: str) -> ModuleType:
    """The module that stores artifacts of kind ``name`` (`common.methods.method.Method.artifact`)."""
    return importlib.import_module(f"common.artifacts.{name}")
