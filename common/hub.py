"""Whether the Hugging Face hub can be reached: asked once, since its client tries for minutes before it gives up."""

from __future__ import annotations

import functools
import os
import socket
import sys
from urllib.parse import urlsplit

__all__ = ["explained", "settle", "unreachable"]

_WAIT = 5.0  #: seconds
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def settle() -> str:
    """Called before the hub is used: where it cannot be reached, its client is set to use what was downloaded before.

    ``HF_ENDPOINT`` names another hub, as for its client. Behind a proxy nothing is tried.

    Returns:
        Why the hub cannot be reached; empty where it can, or where that is not known.
    """
    reason = _unreachable(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    if reason:
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
        for name in ("huggingface_hub.constants", "datasets.config"):  # where they have read the variables already
            if name in sys.modules:
                sys.modules[name].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    return reason


def explained(error: Exception) -> str:
    """The first line of what the hub's client says, or why the hub cannot be reached."""
    reason = settle()
    lines = str(error).splitlines() or [""]
    return reason or f"{type(error).__name__}: {lines[0]}".rstrip(".: ")


@functools.cache
def _unreachable(endpoint: str) -> str:
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set, and it was not downloaded before"
    reason = unreachable(endpoint)
    return f"{endpoint} {reason}, and it was not downloaded before" if reason else ""


def unreachable(endpoint: str) -> str:
    """Why nobody answers at an address: a clause whose subject the address is; empty where somebody does, or behind a
    proxy, where nothing is tried."""
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES):
        return ""
    parts = urlsplit(endpoint)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), _WAIT).close()
    except OSError as error:
        return f"cannot be reached from here ({error})"
    return ""
