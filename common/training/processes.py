"""A training run as one of several processes: joining the others, and leaving every file to the first."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from common.distributed import ALONE, Group
from common.launch.topology import find_topology
from common.training.progress import Progress
from common.training.rundir import RunDirectory

__all__ = ["Silent", "join", "own_directory"]


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


@contextmanager
def own_directory(run: RunDirectory, group: Group, resume: bool) -> Iterator[RunDirectory]:
    """Where this process writes: the first into the run's directory, every other into one that is thrown away, so that
    all do the same and one leaves files.

    When a run is resumed the others begin with a copy of what is there.
    """
    if group.rank == 0:
        yield run
        return
    with tempfile.TemporaryDirectory(prefix="twinlora-process-") as folder:
        own = RunDirectory(Path(folder) / run.path.name)
        if resume:
            run.copy_to(own)
        yield own
