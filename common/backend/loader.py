"""Finding a backend by name."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from common.errors import InputError, nearest

__all__ = ["BACKENDS", "available", "load"]

BACKENDS = {"pytorch": "torch", "mindspore": "mindspore"}  #: backend name to the framework it needs


def available() -> dict[str, bool]:
    """Which backends have their framework installed; imports neither."""
    return {name: importlib.util.find_spec(framework) is not None for name, framework in BACKENDS.items()}


def load(name: str) -> Any:
    """Import backend ``name`` and return its package.

    Raises:
        InputError: the name is unknown or its framework is not installed.
    """
    if name not in BACKENDS:
        raise InputError(
            f"The backend must be one of {', '.join(BACKENDS)}; received {name!r}.{nearest(name, BACKENDS)}"
        )
    if not available()[name]:
        others = [other for other, there in available().items() if there]
        instead = f", or use --backend {others[0]}, which is installed here" if others else ""
        raise InputError(
            f"Backend {name!r} needs {BACKENDS[name]}, which is not installed. "
            f"Install it with: pip install 'twinlora[{name}]'{instead}."
        )
    return importlib.import_module(f"{name}_impl")
