"""Subjects: what a worker process trains. Ours are the engines of `twinlora train`.

A peer is a file in the folder ``peers`` of the backend whose framework it uses. It is imported by its own name, not as
a member of the backend, whose settings of the framework it would get otherwise.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from common import backend as backends
from common.backend import Batch
from common.bench.cases import Case
from common.errors import InputError, nearest
from common.resources import package_folder
from common.training.assembly import build_engine

__all__ = [
    "GENERATORS",
    "OURS",
    "PEERS",
    "SUBJECTS",
    "Subject",
    "build",
    "changed",
    "framework_of",
    "is_ours",
    "load_peer",
    "peer_folder",
    "plain_name",
]

OURS = ("pytorch", "mindspore")
#: Peer to the backend whose folder holds it, and its module.
PEERS = {
    "peft": ("pytorch", "peft_peer"),
    "peft-compile": ("pytorch", "peft_peer"),
    "loralib": ("pytorch", "loralib_peer"),
    "mindpet": ("mindspore", "mindpet_peer"),
    "torch": ("pytorch", "torch_peer"),
    "cells": ("mindspore", "cells_peer"),
}
SUBJECTS = (*OURS, *PEERS)
#: The same of peers that generate text.
GENERATORS = {
    "transformers": ("pytorch", "generate_peer"),
    "transformers-static": ("pytorch", "generate_peer"),
}


def plain_name(name: str) -> str:
    """The subject of ``NAME`` or ``NAME:KEY=VALUE``, which is NAME under another setting of the experiment."""
    return name.partition(":")[0]


def is_ours(name: str) -> bool:
    """Whether the subject is one of our backends."""
    return plain_name(name) in OURS


def changed(name: str, request: dict[str, Any]) -> dict[str, Any]:
    """The request of a case with the setting that the subject's name adds."""
    setting = name.partition(":")[2]
    return {**request, "set": [*request["set"], setting]} if setting else request


class Subject(Protocol):
    """A model under training. Peers export ``build(name, case, device) -> Subject``."""

    device: str
    model: Any  #: the framework's module
    note: str  #: what it computes differently from the others; empty: nothing

    def step(self, batch: Batch) -> Any:
        """One optimizer step; returns what ``losses`` reads, without waiting for the device."""

    def losses(self, handles: Sequence[Any]) -> list[float]:
        """Mean losses of the steps; waits for the device."""

    def check_loss(self, batch: Batch) -> float:
        """Mean loss without dropout and without an update."""


class Own:
    """One of our backends, built as `twinlora train` builds it."""

    note = ""

    def __init__(self, name: str, case: Case, device: str | None):
        self.backend = backends.load(name)
        self.device = self.backend.device.select(device)
        self.engine = build_engine(self.backend, self.device, case.config, case.spec, case.plan)
        self.model = self.engine.model
        self._rate = case.config.optimization.learning_rate

    def step(self, batch: Batch) -> Any:
        return self.engine.train_step([batch], self._rate)

    def losses(self, handles: Sequence[Any]) -> list[float]:
        return [total / handle.count for (total, _), handle in zip(self.engine.fetch(handles), handles, strict=True)]

    def check_loss(self, batch: Batch) -> float:
        result = self.engine.eval_step(batch)
        return result.loss_sum / result.count


def peer_folder(backend: str) -> Path:
    """Folder of the peers that use the framework of ``backend``, which is not imported."""
    return package_folder(f"{backend}_impl") / "peers"


def framework_of(name: str) -> str:
    """The backend whose framework a subject runs in.

    Raises:
        InputError: there is no such subject.
    """
    known = (*SUBJECTS, *GENERATORS)
    if name not in known:
        raise InputError(f"A subject is one of {', '.join(known)}; received {name!r}.{nearest(name, known)}")
    return name if name in OURS else (PEERS | GENERATORS)[name][0]


def load_peer(backend: str, module: str) -> Any:
    """The module of a peer."""
    sys.path.insert(0, str(peer_folder(backend)))
    return importlib.import_module(module)


def build(name: str, case: Case, device: str | None) -> Subject:
    """Build the subject ``name``. Raises InputError where it is unknown or its packages are missing."""
    if name not in SUBJECTS:
        raise InputError(f"A subject is one of {', '.join(SUBJECTS)}; received {name!r}.{nearest(name, SUBJECTS)}")
    if name in OURS:
        return Own(name, case, device)
    return load_peer(*PEERS[name]).build(name, case, device)
