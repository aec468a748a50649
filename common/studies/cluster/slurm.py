"""A Slurm array script: one task for each point that has not come to its end."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from common.resources import code_folder

__all__ = ["array_script"]

_WARNING = 120  #: seconds before the limit of a job at which Slurm sends SIGTERM, and the run saves its state


def array_script(
    study: Path,
    name: str,
    identities: Sequence[str],
    parallel: int | None,
    seconds: float | None,
    options: Sequence[str],
) -> str:
    """The script; ``sbatch`` submits it.

    Args:
        study: the study directory, which every node must see under this path.
        identities: of the runs.
        parallel: tasks at the same time at most.
        seconds: limit of a run; the job gets what is needed to save the state too.
        options: further options of sbatch, such as ``--partition=gpu``.
    """
    logs = study / "slurm"
    given = [
        f"--job-name={name}",
        f"--array=0-{len(identities) - 1}{f'%{parallel}' if parallel else ''}",
        f"--output={logs}/%A_%a.log",
        f"--signal=B:TERM@{_WARNING}",
        "--requeue",
        *([f"--time={math.ceil((seconds + 2 * _WARNING) / 60)}"] if seconds else []),
        *options,
    ]
    command = [sys.executable, "-m", "twinlora", "study", "work", str(study)]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in given),
        f"# Written by `twinlora study slurm`: submit it with  sbatch {shlex.quote(str(logs / 'array.sh'))}",
        "# A task that was ended or preempted continues its run when it is submitted again; finished runs are left alone.",
        "set -eu",
        f"export PYTHONPATH={shlex.quote(str(code_folder()))}${{PYTHONPATH:+:$PYTHONPATH}}",
        f"runs=({' '.join(identities)})",
        f'exec {shlex.join(command)} "${{runs[$SLURM_ARRAY_TASK_ID]}}"',
    ]
    return "\n".join(lines) + "\n"
