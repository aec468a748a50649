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
    "Wanted",
    "data",
    "endpoint",
    "explained",
    "model",
    "obtaining",
    "refuse_absent",
    "registered_data",
    "settle",
    "tokenizer",
    "unreachable",
]

_WAIT = 5.0  #: seconds
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
_FOUND = "TWINLORA_HUB_UNREACHABLE"  #: why, for processes that this one starts: they find the client set offline


@dataclass(frozen=True)
class Wanted:
    """Something that the hub has.

    Args:
        name: its id there.
        title: with its kind before it.
        instead: what can be named in its place, and where.
    """

    name: str
    title: str
    instead: str


def model(name: str) -> Wanted:
    """A model: its configuration and weights."""
    instead = translated("a local folder, python:PACKAGE/FOLDER or modelscope:ORG/NAME as the model (--model)")
    return Wanted(name, translated("the model {name}", name=name), instead)


def tokenizer(name: str) -> Wanted:
    """A tokenizer."""
    instead = translated("a local folder or python:PACKAGE/FOLDER as the tokenizer (model.tokenizer)")
    return Wanted(name, translated("the tokenizer {name}", name=name), instead)


def registered_data(name: str) -> Wanted:
    """A data set that `common.data.registry` has, which is read from a folder too."""
    instead = translated("a local folder of the data set (--data-dir)")
    return Wanted(name, translated("the data set {name}", name=name), instead)


def data(name: str) -> Wanted:
    """Any other data set."""
    instead = translated("its files (data.name: files) or modelscope:ORG/NAME (data.hub)")
    return Wanted(name, translated("the data set {name}", name=name), instead)


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


def refuse_absent(wanted: Sequence[Wanted]) -> None:
    """Refuse what can be had neither from the hub nor from what was downloaded before, all of it in one message, before
    a library is imported that would look for it.

    Raises:
        InputError: the hub cannot be reached, and nothing of one of them was ever downloaded.
    """
    absent = [one for one in wanted if not _downloaded(one.name)] if settle() else []
    if absent:
        raise InputError(_said(absent))


@contextmanager
def obtaining(wanted: Wanted) -> Iterator[None]:
    """Around calls of the hub's client, and of libraries that call it, for ``wanted``.

    Raises:
        InputError: for every error inside, with what was looked for, why it cannot be had, and what to do.
    """
    refuse_absent([wanted])
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # errors of many libraries: offline, unknown id, gated, time-out
        raise InputError(_said([wanted], error)) from error


def _said(wanted: Sequence[Wanted], error: Exception | None = None) -> str:
    things = translated(" and ").join(one.title for one in wanted)
    given = {
        "things": things[0].upper() + things[1:],
        "choices": translated(", and ").join(one.instead for one in wanted),
        "reason": settle(),
    }
    if not given["reason"]:
        assert error is not None
        return translated(
            "{things} cannot be had from {address}: {reason}. Check its name and the connection, or name {choices}.",
            **given | {"reason": explained(error), "address": endpoint()},
        )
    if _offline():
        return translated(
            "{things} cannot be had: HF_HUB_OFFLINE is set, and not all of it was downloaded before. Name {choices}, or "
            "unset HF_HUB_OFFLINE.",
            **given,
        )
    return translated(
        "{things} cannot be had: {reason}, and not all of it was downloaded before. Name {choices}, or a mirror of the "
        "hub (HF_ENDPOINT).",
        **given,
    )


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
