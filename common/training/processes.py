"""A training run as one of several processes: joining the others, and leaving every file to the first."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from common.distributed import ALONE, Group, spread
from common.errors import InputError
from common.launch.topology import find_topology
from common.training.progress import Progress
from common.training.rundir import RunDirectory

__all__ = ["Silent", "agreed", "check_alike", "join", "own_directory"]


class Silent(Progress):
    """Shows nothing: what all processes would say, the first one says."""

    def say(self, text: str) -> None:
        """Nothing."""

    def start(self, total: int, done: int = 0) -> None:
        """Nothing."""

    def step(self, event: dict[str, Any]) -> None:
        """Nothing."""

    def evaluation(self, event: dict[str, Any]) -> None:
        """Nothing."""


def join(backend: ModuleType, device: str | None, environ: Mapping[str, str] = os.environ) -> tuple[str, Group | None]:
    """The device of this process, and the processes it trains with: whoever torchrun, msrun or a rank table started
    together.

    Returns:
        The device, and the group; None in the process that msrun starts to coordinate the others, once they are done.

    Raises:
        InputError: the device is not here, or the variables of the launcher contradict each other.
    """
    topology = find_topology(environ)
    if topology.spawns or topology.world_size == 1:
        return backend.device.select(device), ALONE
    for name in topology.unset:
        os.environ.pop(name, None)
    if device in (None, "cuda", "gpu", "ascend", "npu"):  # without a number: the card that is this process's own
        device = backend.distributed.local_device(topology) or device
    device = backend.device.select(device)
    group = backend.distributed.join(topology, device)
    return device, None if topology.scheduler else group


def check_alike(group: Group, mine: Mapping[str, Any]) -> None:
    """Refuse a job whose processes would train different things: their gradients would be summed without a word.

    Args:
        mine: what this process has, by name, ready for JSON.

    Raises:
        InputError: a process has something else than the first; in all of them, with what differs.
    """
    if group.size == 1:
        return
    text = json.dumps(mine)
    first, here = json.loads(spread(group, text.encode())), json.loads(text)
    differing = {name: here.get(name) for name in first.keys() | here.keys() if first.get(name) != here.get(name)}
    marks = np.zeros(group.size, np.float32)
    marks[group.rank] = bool(differing)
    ranks = np.flatnonzero(group.sum_array(marks))
    if not len(ranks):
        return
    theirs = json.loads(spread(group, json.dumps(differing).encode(), int(ranks[0])))
    listed = "; ".join(f"{name}: {first.get(name)!r} and {theirs[name]!r}" for name in sorted(theirs))
    raise InputError(
        "The processes of a job train the same thing from the same inputs; the first and process "
        f"{', '.join(map(str, ranks))} differ (the values are those of 0 and {ranks[0]}) in {listed}. Start all of them with "
        "the same arguments, code and data."
    )


def agreed(group: Group, value: bool) -> bool:
    """What the first process says, whose files are the run's."""
    return bool(group.sum_array(np.array([value and group.rank == 0], np.float32))[0])


@contextmanager
def own_directory(run: RunDirectory, group: Group, resume: bool) -> Iterator[RunDirectory]:
    """Where this process writes: the first into the run's directory, every other into one that is thrown away, so that
    all do the same and one leaves files.

    When a run is resumed the first gives the others what is there: they may be on a machine that does not see it, or
    sees what an earlier attempt left.
    """
    names = json.loads(spread(group, json.dumps(run.files()).encode())) if resume and group.size > 1 else []
    if group.rank == 0:
        for name in names:
            spread(group, (run.path / name).read_bytes())
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="twinlora-process-") as folder:
        own = RunDirectory(Path(folder) / run.path.name)
        for name in names:
            path = own.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(spread(group, b""))
        yield own
