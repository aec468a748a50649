"""Starting one process per card of a node, where the platform started one for all of them."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import InputError
from common.launch.arguments import Arguments, split
from common.launch.processes import ROOT
from common.launch.topology import Topology

__all__ = ["exit_code", "exits", "launcher"]


def launcher(
    args: Arguments,
    topology: Topology,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    job_dir: Path,
    output: Path,
) -> tuple[list[str], dict[str, str], int]:
    """The command that starts the processes of this node, its environment, and the signal that ends it.

    It runs the boot file again, once per card, with the same arguments: there it finds the launcher's variables and
    starts nothing further, and what is in a bucket is staged already. Only the place of the output is replaced by the
    local one, since this process uploads.

    Raises:
        InputError: msrun would start another interpreter.
    """
    own, passed_on = split(arguments)
    boot = [
        str(ROOT / "scripts" / "modelarts" / "boot.py"),
        *own,
        "--job_dir",
        str(job_dir),
        "--train_url",
        str(output),
    ]
    boot += ["--", *passed_on] if passed_on else []
    cluster = [
        "--master_addr",
        str(topology.master_address),
        "--master_port",
        str(topology.master_port),
        "--node_rank",
        str(topology.node_rank),
    ]
    if args.backend == "pytorch":
        counts = ["--nnodes", str(topology.nodes), "--nproc_per_node", str(topology.devices_per_node)]
        return [sys.executable, "-m", "torch.distributed.run", *counts, *cluster, *boot], dict(environ), signal.SIGTERM
    here = Path(sys.executable).parent  # not resolved: in a virtual environment the link is what matters
    if not (here / "python").exists():
        raise InputError(
            f"msrun starts the program `python` on PATH, and beside {sys.executable} there is none. Link one there in the image."
        )
    counts = ["--worker_num", str(topology.world_size), "--local_worker_num", str(topology.devices_per_node)]
    logs = ["--log_dir", str(job_dir / "msrun"), "--join", "True"]
    path = f"{here}{os.pathsep}{environ.get('PATH', '')}"
    # msrun ends its workers on SIGINT only; on SIGTERM it would leave them behind.
    return (
        [sys.executable, "-m", "mindspore.parallel.cluster.run", *counts, *cluster, *logs, *boot],
        {**environ, "PATH": path},
        signal.SIGINT,
    )


def exits(reports: Path) -> list[tuple[str, int]]:
    """Name and exit code of every process that reported one, the first to end first. A report that is no number is a
    failure."""
    reported = sorted(
        (
            path.stat().st_mtime_ns,
            path.name.replace("_", " "),
            _code(path.read_text(encoding="utf-8", errors="replace")),
        )
        for path in reports.glob("rank_*")
    )
    return [(name, code) for _, name, code in reported]


def _code(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else 1


def exit_code(code: int, reported: Sequence[tuple[str, int]], processes: int) -> int:
    """The exit code of the process that failed first, which the launcher replaces by its own ``code``.

    A launcher that was stopped says 0 all the same: without a report from each of its ``processes`` that is no success.
    """
    first = next((failure for _, failure in reported if failure), code)
    return first if first or len(reported) == processes else 1
