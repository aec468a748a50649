"""Whether the Hugging Face hub can be reached: asked once, since its client tries for minutes before it gives up. And
what is said where something cannot be had from it."""

from __future__ import annotations

import functools
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from common.errors import InputError
from common.language import translated

__all__ = [
    "ANY_DATA",
    "DATA",
    "MODEL",
    "TOKENIZER",
    "Kind",
    "endpoint",
    "explained",
    "obtaining",
    "refuse_absent",
    "settle",
    "unreachable",
]

_WAIT = 5.0  #: seconds
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_FOUND = "TWINLORA_HUB_UNREACHABLE"  #: why, for processes that this one starts: they find the client set offline


@dataclass(frozen=True)
class Kind:
    """A kind of thing that the hub has.

    Args:
        title: with its id behind it.
        instead: what can be named in its place, and where.
    """

    title: str
    instead: str


MODEL = Kind("the model {name}", "a local folder, python:PACKAGE/FOLDER or modelscope:ORG/NAME as the model (--model)")
TOKENIZER = Kind("the tokenizer {name}", "a local folder or python:PACKAGE/FOLDER as the tokenizer (model.tokenizer)")
DATA = Kind("the data set {name}", "a local folder of the data set (--data-dir)")
ANY_DATA = Kind("the data set {name}", "its files (data.name: files) or modelscope:ORG/NAME (data.hub)")


def endpoint() -> str:
    """The address of the hub: that of ``HF_ENDPOINT``, as for its client."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def settle() -> str:
    """Called before the hub is used: where it cannot be reached, its client is set to use what was downloaded before.

    Behind a proxy nothing is tried.

    Returns:
        Why the hub cannot be reached, a clause; empty where it can, or where that is not known.
    """
    reason = _unreachable(endpoint())
    if reason:
        if not _offline():
            os.environ[_FOUND] = reason
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
        for name in ("huggingface_hub.constants", "datasets.config"):  # where they have read the variables already
            if name in sys.modules:
                sys.modules[name].HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    return reason


def explained(error: Exception) -> str:
    """The first line of what the hub's client says, or why the hub cannot be reached."""
    lines = str(error).splitlines() or [""]
    return settle() or f"{type(error).__name__}: {lines[0]}".rstrip(".: ")


def refuse_absent(wanted: Sequence[tuple[Kind, str]]) -> None:
    """Refuse what can be had neither from the hub nor from what was downloaded before, all of it in one message, before
    a library is imported that would look for it.

    Args:
        wanted: what is looked for, with its id.

    Raises:
        InputError: the hub cannot be reached, and nothing of one of them was ever downloaded.
    """
    absent = [(kind, name) for kind, name in wanted if not _downloaded(name)] if settle() else []
    if absent:
        raise InputError(_said(absent))


@contextmanager
def obtaining(kind: Kind, name: str) -> Iterator[None]:
    """Around calls of the hub's client, and of libraries that call it, for ``name``.

    Raises:
        InputError: for every error inside, with what was looked for, why it cannot be had, and what to do.
    """
    refuse_absent([(kind, name)])
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # errors of many libraries: offline, unknown id, gated, time-out
        raise InputError(_said([(kind, name)], error)) from error


def _said(wanted: Sequence[tuple[Kind, str]], error: Exception | None = None) -> str:
    things = translated(" and ").join(translated(kind.title, name=name) for kind, name in wanted)
    things, choices = (
        things[0].upper() + things[1:],
        translated(", and ").join(translated(one.instead) for one, _ in wanted),
    )
    reason = settle()
    if not reason:
        assert error is not None
        template = (
            "{things} cannot be had from {address}: {reason}. Check its name and the connection, or name {choices}."
        )
        return translated(template, things=things, address=endpoint(), reason=explained(error), choices=choices)
    template = "{things} cannot be had: {reason}, and not all of it was downloaded before. Name {choices}, or {other}."
    other = "unset HF_HUB_OFFLINE" if _offline() else "a mirror of the hub (HF_ENDPOINT)"
    return translated(template, things=things, reason=translated(reason), choices=choices, other=translated(other))


def _downloaded(name: str) -> bool:
    """Whether a folder in the caches of the hub's clients is named after a model or data set."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    models = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or Path(home, "hub")
    caches = [models, os.environ.get("HF_DATASETS_CACHE") or Path(home, "datasets")]
    folders = [Path(os.path.expandvars(cache)).expanduser() for cache in caches]
    held = [entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir()]
    return any(_letters(entry).endswith(_letters(name)) for entry in held)  # each client writes them in its own way


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _offline() -> bool:
    """Whether the user wants nothing to be downloaded; not where `settle` has set it, here or in a parent process."""
    return _FOUND not in os.environ and os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE")


@functools.cache
def _unreachable(address: str) -> str:
    if os.environ.get(_FOUND, "").startswith(f"{address} "):
        return os.environ[_FOUND]
    if _offline():
        return "HF_HUB_OFFLINE is set"
    reason = unreachable(address)
    return f"{address} {reason}" if reason else ""


def unreachable(address: str) -> str:
    """Why nobody answers at an address: a clause whose subject the address is; empty where somebody does, or behind a
    proxy, where nothing is tried."""
    if any(os.environ.get(name) or os.environ.get(name.lower()) for name in _PROXIES):
        return ""
    parts = urlsplit(address)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((parts.hostname or "", port), _WAIT).close()
    except OSError as error:
        return translated("cannot be reached from here ({error})", error=error)
    return ""
