"""What ``twinlora trace`` and ``twinlora parity`` do, apart from their arguments."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import backend as backends
from common.errors import InputError, RunError
from common.files import write_atomic, write_json
from common.parity.cases import BUILT
from common.parity.compare import Comparison, compare
from common.parity.parts import FOLDER
from common.parity.text import to_markdown, to_text
from common.parity.trace import TENSORS, is_trace, read_trace
from common.parity.verdict import FAIL
from common.terminal import printable, printable_line
from common.writing import is_temporary

__all__ = ["compare_traces", "prove", "record_trace"]

DTYPES = ("float32", "float64")


def record_trace(
    suite: str, backend: str, device: str | None, dtype: str, output: Path, options: dict[str, Any], **flags: Any
) -> None:
    """Record a suite on this host and say how it went.

    Args:
        flags: ``compile``, ``plain`` and ``stats_only``.

    Raises:
        InputError: suite, backend, device, dtype or an option does not exist, or the folder holds something else.
    """
    from common.parity.cases import Host
    from common.parity.recording import record
    from common.parity.suites import build
    from common.studies.identity import code_fingerprint
    from common.training.fingerprints import hashed

    if dtype not in DTYPES:
        raise InputError(
            f"--dtype must be one of {', '.join(DTYPES)}; received {dtype!r}. bfloat16 runs are compared by the suite training with a configuration."
        )
    if output.exists() and not _free(output):
        raise InputError(f"A trace gets a folder of its own; {output} holds something else. Give another one with -o.")
    if (options.get("draws") or 0) < 0:
        raise InputError(f"--draws is a number of computations, 0 or more; received {options['draws']}.")
    if options.get("draws") and (backend, dtype) != ("pytorch", "float64"):
        raise InputError(
            f"--draws rounds the float64 reference at random; received --backend {backend} --dtype {dtype}. Give --backend pytorch --dtype float64."
        )
    package = backends.load(backend)
    host = Host(backend, package, package.device.select(device), dtype, flags.get("compile"), flags.get("plain", False))
    built, begun = build(suite, options), time.perf_counter()
    # the suites, the mapping and what is ported compute too; an experiment has more settings than its cases say
    code = hashed(f"{code_fingerprint(backend, aside=())} {options.get('config')}")
    entries = record(built, host, output, flags.get("stats_only", False), _progress(len(built.cases)), code)
    counts = {status: sum(entry["status"] == status for entry in entries) for status in ("ok", "unsupported", "error")}
    said = (
        f"{counts['ok']:,} computed, {counts['unsupported']:,} not available here, {counts['error']:,} raised an error"
    )
    print(
        f"{output}: {suite} with {backend} on {host.device}, {dtype}: {said}; {time.perf_counter() - begun:.0f} s",
        flush=True,
    )
    for entry in [entry for entry in entries if entry["status"] == "error"][:5]:
        print(printable_line(f"  {entry['id']} ({entry['title'][:60]}): {entry['message']}"), file=sys.stderr)


def _free(output: Path) -> bool:
    """Whether it is a folder that is empty, or holds a trace, or what was kept of one that was not written to its end."""
    if not output.is_dir():
        return False
    names = {path.name for path in output.iterdir() if not is_temporary(path)}
    return names <= {TENSORS, FOLDER} or is_trace(output)


def compare_traces(
    baseline: Path,
    test: Path,
    reference: Path | None,
    html: Path | None,
    markdown: Path | None,
    json_file: Path | None,
    draws: Path | None = None,
) -> Comparison:
    """Compare traces, print the verdicts and write what was asked for.

    Raises:
        InputError: a trace cannot be read, or they do not belong together.
    """
    traces = read_trace(baseline), read_trace(test), read_trace(reference) if reference else None
    found = compare(*traces, read_trace(draws) if draws else None)
    print(printable(to_text(found)))
    if json_file:
        write_json(json_file, found.to_json())
    if markdown:
        write_atomic(markdown, to_markdown(found))
    if html:
        from common.parity.page import comparison_page

        write_atomic(html, comparison_page(found, *traces))
    for path in filter(None, (json_file, markdown, html)):
        print(path)
    return found


def prove(suite: str, given: Sequence[str], devices: dict[str, str | None], output: Path, draws: int) -> Comparison:
    """Record a suite in PyTorch, in MindSpore, and in float64, each in a process of its own, and compare the three.

    Networks that differ are computed in float64 again, with rounding at random, to see whether rounding is the reason.

    Args:
        given: further arguments of ``twinlora trace record``.
        devices: backend to device; None is the backend's default.
        draws: how many times; 0 takes every difference for a failure.

    Raises:
        InputError: a framework is not installed, or recording refused its arguments.
        RunError: recording ended otherwise.
    """
    if draws < 0:
        raise InputError(f"--draws is a number of computations, 0 or more; received {draws}.")
    absent = [name for name, there in backends.available().items() if not there]
    if absent:
        raise InputError(
            f"twinlora parity runs both frameworks; not installed here: {', '.join(backends.BACKENDS[name] for name in absent)}. Skipped: 1 of 1 suites. "
            "Record a trace on each machine with `twinlora trace record`, and compare the two folders anywhere with `twinlora trace compare`."
        )
    jobs = {"test": ("mindspore", "float32"), "baseline": ("pytorch", "float32"), "reference": ("pytorch", "float64")}

    def run(names: Sequence[str]) -> None:
        for name in names:
            backend, dtype = jobs[name]
            device = "cpu" if dtype == "float64" else devices.get(backend)
            where = ["--device", device] if device else []
            _record_apart([suite, *given, "--backend", backend, "--dtype", dtype, *where, "-o", str(output / name)])

    with ThreadPoolExecutor(2) as pool:  # MindSpore takes about as long as both of PyTorch's
        for done in [pool.submit(run, names) for names in (("test",), ("baseline", "reference"))]:
            done.result()
    print()
    baseline, test, reference = (output / name for name in ("baseline", "test", "reference"))
    found = compare(read_trace(baseline), read_trace(test), read_trace(reference))
    failed = [case.id for case in found.cases if case.verdict == FAIL and case.kind in BUILT]
    drawn = output / "draws" if failed and draws else None
    if drawn:
        print(f"{len(failed)} differ; computed {draws} times each with rounding at random", flush=True)
        only = ["--only", ",".join(failed), "--draws", str(draws)]
        _record_apart([suite, *given, *only, "--backend", "pytorch", "--dtype", "float64", "-o", str(drawn)])
    html, markdown, data = (output / f"report.{form}" for form in ("html", "md", "json"))
    return compare_traces(baseline, test, reference, html, markdown, data, drawn)


def _record_apart(arguments: Sequence[str]) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = {"OMP_NUM_THREADS": str(max(1, cores // 2)), **os.environ}
    program = "import sys; from common.cli.main import main; sys.exit(main(sys.argv[1:]))"
    code = subprocess.run(
        [sys.executable, "-c", program, "trace", "record", *arguments], env=environment, check=False
    ).returncode
    if code:
        raise (InputError if code == 2 else RunError)(
            f"Recording stopped with exit code {code}: twinlora trace record {' '.join(arguments)}"
        )


def _progress(total: int) -> Callable[[Any, dict[str, Any]], None]:
    """A line every few seconds where somebody watches, every minute in a log."""
    interval = 2.0 if sys.stderr.isatty() else 60.0
    state = {"done": 0, "next": time.perf_counter() + interval}

    def say(case: Any, entry: dict[str, Any]) -> None:
        state["done"] += 1
        if time.perf_counter() >= state["next"]:
            state["next"] = time.perf_counter() + interval
            print(f"  {state['done']:,} of {total:,}: {case.id}", file=sys.stderr, flush=True)

    return say
