"""One node's launcher (torchrun, msrun) from start to end: its port is tested first, signals reach the training, and
nothing is left behind.

``scripts/distributed.sh`` ends in this program; a shell script could not forward a signal while it waits.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from common.errors import InputError
from common.launch.descendants import adopt_orphans, children_of, kill_descendants
from common.launch.processes import die_with_parent
from common.terminal import printable, printable_line

__all__ = ["check_port", "main", "supervise"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_POLL = 0.1  # seconds


def main(arguments: Sequence[str]) -> None:
    """Run the command after ``--`` and end the process with its exit code."""
    place = list(arguments).index("--")
    given = _parser().parse_args(arguments[:place])
    if given.node_rank == 0:
        check_port(given.master, given.port)
    code = supervise(arguments[place + 1 :], given.grace, given.workers_first)
    if given.msrun_logs is not None:
        code = code or int((given.msrun_logs / "scheduler.ended").exists())  # msrun calls that a success
        _report(given.msrun_logs, given.first_rank, code)
    sys.exit(code)


def check_port(host: str, port: int) -> None:
    """Raise InputError unless processes of this machine can listen on ``port``, and ``host`` is this machine."""
    try:
        addresses = {str(address[4][0]) for address in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise InputError(f"--master must be a host that can be resolved; {host}: {error}. Give its address.") from error
    for family, address in ((socket.AF_INET, ""), (socket.AF_INET6, "::"), *((None, address) for address in addresses)):
        family = family or (socket.AF_INET6 if ":" in address else socket.AF_INET)
        with contextlib.suppress(_NoSuchFamilyError), _probe(family) as probe:
            try:
                probe.bind((address, port))
            except OverflowError as error:
                raise InputError(f"--port must be from 1 to 65535; received {port}.") from error
            except OSError as error:
                _refuse(error, host, address, port)


def supervise(command: Sequence[str], grace: float, workers_first: bool = False) -> int:
    """Run ``command`` to its end and return its exit code, 128 + N where signal N ended it or this program.

    SIGTERM, SIGINT and SIGHUP are forwarded, once; training saves its state then. After ``grace`` seconds, or on a
    second signal, everything is killed. Whatever is left when the command has ended, however it did, is killed too; and
    the command is ended with this process where that one is killed.

    Args:
        workers_first: forward to the command's children instead of itself: msrun would kill them at once, or leave them
            behind.
    """
    adopt_orphans()
    asked: list[int] = []
    heard = [
        number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN
    ]  # nohup, or a shell that put this in the background
    previous = {number: signal.signal(number, lambda number, _: asked.append(number)) for number in heard}
    process = subprocess.Popen(
        command, preexec_fn=partial(die_with_parent, signal.SIGINT if workers_first else signal.SIGTERM)
    )
    forwarded, deadline = False, float("inf")
    try:
        while process.poll() is None:
            if asked and not forwarded:
                forwarded, deadline = True, time.monotonic() + grace
                _say(
                    f"received {signal.Signals(asked[0]).name}; the training saves its state and ends, within {grace:g} s"
                )
                _forward(process.pid, workers_first)
            if len(asked) > 1 or time.monotonic() > deadline:
                _say(
                    "the training has not ended and is killed"
                    if len(asked) < 2
                    else "received a second signal; the training is killed"
                )
                break
            time.sleep(_POLL)
    finally:
        kill_descendants()
        for number, handler in previous.items():
            signal.signal(number, handler)
    code = process.wait()
    code = code if code >= 0 else 128 - code
    return code or (128 + asked[0] if asked else 0)


def _forward(process: int, workers_first: bool) -> None:
    workers = children_of(process) if workers_first else []
    for target, number in [(worker, signal.SIGTERM) for worker in workers] or [
        (process, signal.SIGINT if workers_first else signal.SIGTERM)
    ]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, number)


class _NoSuchFamilyError(Exception):
    """This machine has no addresses of the kind."""


def _probe(family: int) -> socket.socket:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _NoSuchFamilyError from error
    probe.setsockopt(
        socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
    )  # a connection that was closed a moment ago is no obstacle
    if family == socket.AF_INET6:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return probe


def _refuse(error: OSError, host: str, address: str, port: int) -> None:
    if error.errno == errno.EADDRINUSE:
        raise InputError(
            f"--port must be free on the node of rank 0; another program uses {port}. Choose another one, the same on every node."
        ) from error
    if error.errno == errno.EACCES:
        raise InputError(
            f"--port must be one that this user may open; received {port}. Choose one above 1023."
        ) from error
    if error.errno == errno.EADDRNOTAVAIL and address not in ("", "::"):
        raise InputError(
            f"--master must be the node of rank 0, where this command runs; {host} ({address}) is another machine. "
            "Give this machine's address, or the --node-rank of this one."
        ) from error
    if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        raise InputError(f"--port {port} cannot be opened: {error.strerror}. Choose another one.") from error


def _report(logs: Path, first_rank: int, code: int) -> None:
    """What msrun does not say: who ended first, and what the processes reported."""
    if code == 0:
        lines = _lines(logs / f"worker_{first_rank}.log")
        print("\n".join([printable_line(line) for line in lines if "DISTRIBUTED" not in line][-6:]))
        return
    ended = sorted((path.read_text(encoding="utf-8").partition(" ")[::2], path.stem) for path in logs.glob("*.ended"))
    if ended:
        (_, what), name = ended[0]
        _say(f"{name.replace('_', ' ')} ended first: {what.strip()}")
        if name == "scheduler":
            _say(f"it coordinates the others; scheduler.log in {logs} says why. Is the port taken, or a node missing?")
    _say(f"the job failed; the logs of its processes are in {logs}")
    errors = {line for path in logs.glob("worker_*.log") for line in _lines(path) if line.startswith("error: ")}
    for line in sorted(errors):
        print(printable_line(line), file=sys.stderr)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _say(text: str) -> None:
    print(f"distributed.sh: {printable(text)}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="distributed.sh", allow_abbrev=False)
    add = parser.add_argument
    add("--master", required=True)
    add("--port", type=int, required=True)
    add("--node-rank", type=int, required=True)
    add("--grace", type=float, default=60.0)
    add("--workers-first", action="store_true")
    add("--msrun-logs", type=Path)
    add("--first-rank", type=int, default=0)
    return parser
