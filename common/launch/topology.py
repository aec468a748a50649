"""Which process of a distributed job this is, read from the environment variables of whoever started it."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.launch.variables import Variables

__all__ = ["READ", "Topology", "find_topology", "resolve_host"]

_MODELARTS = ("MA_NUM_HOSTS", "MA_NUM_GPUS", "MA_TASK_NAME", "VC_TASK_INDEX", "VC_WORKER_HOSTS", "VC_WORKER_NUM")
_RANK_TABLE = ("RANK_ID", "RANK_SIZE", "ASCEND_DEVICE_ID")
_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK")
_MSRUN = ("MS_ROLE", "MS_NODE_ID", "MS_WORKER_NUM", "MS_SCHED_HOST", "MS_SCHED_PORT", "DEVICE_ID")
#: every variable that is read here
READ = (
    *_MODELARTS,
    *_RANK_TABLE,
    *_TORCHRUN,
    *_MSRUN,
    "MA_RUN_METHOD",
    "MASTER_ADDR",
    "MASTER_PORT",
    "RANK_TABLE_FILE",
)

_PORT = 8118  # msrun's own default


@dataclass(frozen=True)
class Topology:
    """Where this process stands. In a custom image that ``spawns``, it stands for its whole node: ``rank`` is that of
    the node's first process."""

    mode: str  #: local, rank_table, msrun, torchrun or custom_image
    nodes: int = 1
    node_rank: int = 0
    devices_per_node: int = 1  #: processes on this node
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    master_address: str | None = None
    master_port: int | None = None
    scheduler: bool = False  #: msrun starts the command once more, to coordinate: that process trains nothing
    unset: tuple[str, ...] = ()  #: variables that the training process must not inherit

    @property
    def spawns(self) -> bool:
        """Whether the processes of this node are still to be started. Wherever the platform started one process per
        card, they are not."""
        return self.mode == "custom_image" and self.world_size > 1


def resolve_host(host: str, patience: float = 120.0) -> str:
    """The address of ``host``, IPv4 where it is a name.

    The name of a node that is still starting is not known at once, so it is asked for again for ``patience`` seconds.

    Raises:
        OSError: nobody knew it.
    """
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host.strip("[]")))
    deadline = time.monotonic() + patience
    while True:
        try:
            return socket.gethostbyname(host)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(2)


def find_topology(environ: Mapping[str, str], resolve: Callable[[str], str] = resolve_host) -> Topology:
    """Read the topology from ``environ``; nothing is changed.

    Args:
        resolve: from a host name to an address; raises OSError for an unknown name.

    Raises:
        InputError: variables are missing, are no numbers or contradict each other.
    """
    env = Variables(environ, resolve)
    if env.has("MS_ROLE") and env.has("LOCAL_RANK"):
        raise env.wrong(
            "one launcher starts a process, either msrun (MS_ROLE) or torchrun (LOCAL_RANK)",
            "start it with one of them",
            "MS_ROLE",
            "LOCAL_RANK",
        )
    if env.has("LOCAL_RANK"):
        found = _torchrun(env)
    elif env.has("MS_ROLE"):
        found = _msrun(env)
    elif any(map(env.has, _RANK_TABLE)):
        found = _rank_table(env)
    elif env.has("RANK") or env.number("WORLD_SIZE", 1) > 1:
        raise env.wrong(
            "torchrun sets LOCAL_RANK with RANK and WORLD_SIZE",
            "start with torchrun or unset them",
            "RANK",
            "WORLD_SIZE",
            "LOCAL_RANK",
        )
    elif any(map(env.has, _MODELARTS)):
        found = _custom_image(env)
    else:
        found = Topology("local")
    # MindSpore builds a cluster from this file whenever it is set, which breaks a single process and contradicts every
    # other launcher.
    keep = found.mode == "rank_table" and found.world_size > 1
    return dataclasses.replace(found, unset=() if keep or not env.has("RANK_TABLE_FILE") else ("RANK_TABLE_FILE",))


def _torchrun(env: Variables) -> Topology:
    rank, local_rank, world = env.number("RANK"), env.number("LOCAL_RANK"), env.number("WORLD_SIZE", least=1)
    local = env.number("LOCAL_WORLD_SIZE", world, least=1)
    env.check(
        local_rank < local and rank < world and world % local == 0,
        "ranks are below their sizes, and nodes have equally many processes",
        *_TORCHRUN,
    )
    env.check(
        rank % local == local_rank and env.number("GROUP_RANK", rank // local) == rank // local,
        "RANK is GROUP_RANK x LOCAL_WORLD_SIZE + LOCAL_RANK",
        *_TORCHRUN,
    )
    env.check(env.number("RANK_ID", rank) == rank, "RANK and RANK_ID name the same process", "RANK", "RANK_ID")
    env.check(
        env.number("MA_NUM_HOSTS", world // local) == world // local,
        "there are WORLD_SIZE / LOCAL_WORLD_SIZE nodes",
        *_TORCHRUN,
        "MA_NUM_HOSTS",
    )
    return Topology(
        "torchrun",
        world // local,
        rank // local,
        local,
        rank,
        local_rank,
        world,
        env.address("MASTER_ADDR"),
        env.number("MASTER_PORT"),
    )


def _msrun(env: Variables) -> Topology:
    world, role = env.number("MS_WORKER_NUM" if env.has("MS_WORKER_NUM") else "RANK_SIZE", least=1), env["MS_ROLE"]
    nodes = env.number("MA_NUM_HOSTS", 1, least=1)
    env.check(role in ("MS_WORKER", "MS_SCHED"), "MS_ROLE is MS_WORKER or MS_SCHED", "MS_ROLE")
    env.check(
        env.number("RANK_SIZE", world) == world, "RANK_SIZE is the number of workers", "RANK_SIZE", "MS_WORKER_NUM"
    )
    env.check(world % nodes == 0, "nodes have equally many workers", "MS_WORKER_NUM", "MA_NUM_HOSTS")
    address, port = env.address("MS_SCHED_HOST"), env.number("MS_SCHED_PORT")
    if role == "MS_SCHED":
        return Topology("msrun", nodes, 0, world // nodes, 0, 0, world, address, port, scheduler=True)
    # RANK_ID alone does not do: without --node_rank every worker inherits the scheduler's RANK_ID=0.
    rank, local_rank, local = (
        env.number("MS_NODE_ID", 0 if world == 1 else None),
        env.number("DEVICE_ID", 0 if world == 1 else None),
        world // nodes,
    )
    env.check(
        env.number("RANK_ID", rank) == rank < world,
        "MS_NODE_ID and RANK_ID name one of the workers",
        "MS_NODE_ID",
        "RANK_ID",
        "MS_WORKER_NUM",
    )
    env.check(
        rank % local == local_rank,
        "DEVICE_ID is the worker's place on its node",
        "MS_NODE_ID",
        "DEVICE_ID",
        "MS_WORKER_NUM",
        "MA_NUM_HOSTS",
    )
    return Topology("msrun", nodes, rank // local, local, rank, local_rank, world, address, port)


def _rank_table(env: Variables) -> Topology:
    rank, world, nodes = env.number("RANK_ID"), env.number("RANK_SIZE", least=1), env.number("MA_NUM_HOSTS", 1, least=1)
    env.check(
        rank < world and world % nodes == 0,
        "RANK_ID is below RANK_SIZE, and nodes have equally many cards",
        "RANK_ID",
        "RANK_SIZE",
        "MA_NUM_HOSTS",
    )
    env.check(
        env.number("MA_NUM_GPUS", 0) in (0, world // nodes),
        "every card has one process",
        "RANK_SIZE",
        "MA_NUM_HOSTS",
        "MA_NUM_GPUS",
    )
    if world > 1 and not env.has("RANK_TABLE_FILE"):
        raise env.wrong(
            "one process per card needs a rank table",
            "let the platform set RANK_TABLE_FILE, or unset RANK_ID",
            "RANK_ID",
            "RANK_SIZE",
            "RANK_TABLE_FILE",
        )
    local_rank = env.number("ASCEND_DEVICE_ID", rank % (world // nodes))
    env.check(
        local_rank < world // nodes,
        "ASCEND_DEVICE_ID is a card of this node",
        "ASCEND_DEVICE_ID",
        "RANK_SIZE",
        "MA_NUM_HOSTS",
    )
    return Topology("rank_table", nodes, rank // (world // nodes), world // nodes, rank, local_rank, world)


def _custom_image(env: Variables) -> Topology:
    if env.has("MA_RUN_METHOD"):
        raise env.wrong(
            "MA_RUN_METHOD makes the platform start one process per card, whose variables are missing",
            "unset it",
            "MA_RUN_METHOD",
            "MS_ROLE",
            "LOCAL_RANK",
        )
    env.check(env.get("MA_TASK_NAME", "worker") == "worker", "all tasks are workers", "MA_TASK_NAME")
    nodes, devices = (
        env.number("MA_NUM_HOSTS", 1, least=1),
        max(1, env.number("MA_NUM_GPUS", 0)),
    )  # no card: one process, on the CPU
    env.check(
        env.number("VC_WORKER_NUM", nodes) == nodes,
        "MA_NUM_HOSTS and VC_WORKER_NUM are equal",
        "MA_NUM_HOSTS",
        "VC_WORKER_NUM",
    )
    if nodes == 1:
        master = "127.0.0.1"
    else:
        hosts = [host.strip() for host in env.get("VC_WORKER_HOSTS", "").split(",") if host.strip()]
        env.check(len(hosts) == nodes, "VC_WORKER_HOSTS names every node", "MA_NUM_HOSTS", "VC_WORKER_HOSTS")
        master = env.resolved("VC_WORKER_HOSTS", hosts[0].partition(":")[0])  # old jobs append a port
    index = env.number("VC_TASK_INDEX") if nodes > 1 else 0  # on a single node the platform gives it no meaning
    env.check(index < nodes, "VC_TASK_INDEX is below MA_NUM_HOSTS", "VC_TASK_INDEX", "MA_NUM_HOSTS")
    return Topology(
        "custom_image",
        nodes,
        index,
        devices,
        index * devices,
        0,
        nodes * devices,
        master,
        env.number("MASTER_PORT", _PORT),
    )
