"""Finding a backend by name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from common.errors import InputError, nearest
from common.language import translated

__all__ = ["BACKENDS", "available", "load", "remedy", "require"]

BACKENDS = {"pytorch": "torch", "mindspore": "mindspore"}  #: backend name to the framework it needs
_NEWEST = {
    "mindspore": (3, 12)
}  #: Python of the framework's wheels, where it is older than the newest that twinlora takes
_PYTHON = sys.version_info[:2]


def available() -> dict[str, bool]:
    """Which backends have their framework installed; imports neither."""
    return {name: importlib.util.find_spec(framework) is not None for name, framework in BACKENDS.items()}


def remedy(name: str) -> str:
    """What to do where the framework of backend ``name`` is not installed."""
    newest = _NEWEST.get(name, _PYTHON)
    if newest < _PYTHON:
        return translated(
            "{framework} has no wheel for Python {here}: make an environment with Python {newest}, pip install {extra}",
            framework=BACKENDS[name],
            here=".".join(map(str, _PYTHON)),
            newest=".".join(map(str, newest)),
            extra=f"'twinlora[{name}]'",
        )
    return f"pip install 'twinlora[{name}]'"


def require(name: str) -> None:
    """Import nothing, and refuse what `load` would refuse.

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
        cure = remedy(name)
        cure = f"Install it with: {cure}" if cure.startswith("pip ") else cure
        raise InputError(f"Backend {name!r} needs {BACKENDS[name]}, which is not installed. {cure}{instead}.")


def load(name: str) -> Any:
    """Import backend ``name`` and return its package.

    Raises:
        InputError: the name is unknown or its framework is not installed.
    """
    require(name)
    return importlib.import_module(f"{name}_impl")
