"""What ``twinlora map`` does, apart from its arguments: the actions that run rows print as they go, the others return
text."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.api_mapping import lock, peer
from common.api_mapping.report import VERDICTS, describe, errors, lines, read_document, summary, views
from common.api_mapping.rows import find, search
from common.api_mapping.running import (
    MODES,
    document,
    entry,
    open_backends,
    probe_rows,
    selected,
    unprobed,
    verify_rows,
)
from common.api_mapping.snippets import snippets
from common.api_mapping.verify import CALLS
from common.errors import InputError, RunError, nearest
from common.files import write_json

if TYPE_CHECKING:
    from common.api_mapping.record import Log
    from common.config import ExperimentConfig

__all__ = ["check_choice", "listing", "probe", "record", "show", "verify", "verify_peer"]


def check_choice(option: str, given: str, known: Iterable[str]) -> str:
    """``given`` if it is one of ``known``.

    Raises:
        InputError: it is not; the nearest ones are told.
    """
    known = list(known)
    if given not in known:
        raise InputError(f"{option} must be one of {', '.join(known)}; received {given!r}.{nearest(given, known)}")
    return given


def verify(
    names: list[str], device: str | None, mode: str, repeat: int | None, json_file: Path | None
) -> dict[str, Any]:
    """Verify rows and print a line for each, its failures and a summary.

    Args:
        repeat: how often every call is made; by default once in PyNative and `CALLS` times where something is compiled.

    Raises:
        InputError: a row, the mode or the device does not exist, a framework is missing, or ``repeat`` is not positive.
        RunError: a row failed; everything was printed and written before.
    """
    check_choice("--mode", mode, MODES)
    repeat = repeat if repeat is not None else 1 if mode == "pynative" else CALLS
    if repeat < 1:
        raise InputError(f"--repeat must be at least 1; received {repeat}.")
    rows = selected(names)
    backends = open_backends(device)
    locked = backends.locked
    if new := unprobed(rows, locked):
        known = f"{', '.join(new[:3])}{', ...' if len(new) > 3 else ''}"
        print(
            f"not probed on {backends.device} as they are: {len(new)} rows ({known}); `twinlora map probe` may find better targets.",
            file=sys.stderr,
        )
    width = max(len(row.name) for row in rows)
    print(
        f"{'':<{width}}  {'verdict':<16}  {'target':<26}  calls  {'error of values':<23}  {'error of gradients':<23}  2022 table"
    )
    entries: dict[str, dict[str, Any]] = {}
    one_mode, silent = [], []
    for row, results in verify_rows(rows, backends, mode, repeat):
        found = entries[row.name] = entry(row, results, locked)
        _print_row(width, row.name, found)
        for part in (*results,)[1:]:
            for failure in results[part].outcome.failures:
                print(f"  {_MODES[part]}, {row.name}({failure.case}): {failure.message}", flush=True)
        failing = [part for part, result in results.items() if result.verdict == "failed"]
        if 0 < len(failing) < len(results):
            works = " and ".join(_MODES[part] for part in results if part not in failing)
            one_mode.append(f"{row.name} works in {works} only")
        if any(not failure.refused for result in results.values() for failure in result.outcome.failures):
            silent.append(row.name)
    _print_summary(entries, one_mode, silent)
    if json_file is not None:
        write_json(json_file, document(backends, mode, entries))
        print(json_file)
    failed = [
        name
        for name, found in entries.items()
        if "failed"
        in (found["verdict"], *(found.get(part, {}).get("verdict") for part in ("compiled", "compiled_gradient")))
    ]
    if failed:
        raise RunError(
            f"{len(failed)} of {len(entries)} rows failed: {', '.join(failed[:8])}{', ...' if len(failed) > 8 else ''}."
        )
    return entries


def verify_peer(
    suite: str, names: list[str], device: str | None, mode: str, limit: int, json_file: Path | None
) -> dict[str, Any]:
    """Run the samples of torch's own test databases, print what differs, and return the summary of `peer.summary`.

    Args:
        limit: samples of an operator and dtype; 0 for all.

    Raises:
        InputError: a row, the suite, the mode or the device does not exist, or a framework or expecttest is missing.
        RunError: a sample differs without an error; everything was printed and written before.
    """
    check_choice("--peer", suite, ("opinfo",))
    check_choice("--mode", mode, ("pynative", "graph", "gradient"))
    rows = {row.name: row for row in selected(names)}
    backends = open_backends(device)
    if importlib.util.find_spec("expecttest") is None:
        raise InputError("The test databases of torch need expecttest. Install with: pip install expecttest")
    suites = importlib.import_module("pytorch_impl.mapping_peer").SUITES
    spoil = importlib.import_module("mindspore_impl.mapping_memory").spoil_memory
    findings: list[peer.Finding] = []
    for samples in suites.values():
        made = samples(rows, limit)
        for finding in peer.run(made, backends.torch, backends.mindspore, backends.mindspore.named, mode, spoil):
            findings.append(finding)
            if finding.kind in ("different", "accepted"):
                print(f"{finding.kind}: {finding.row}({finding.call}): {finding.message}", flush=True)
            if json_file is not None and len(findings) % 1000 == 0:
                write_json(json_file, peer.summary(findings))  # so that little is lost if a kernel ends the process
    found = peer.summary(findings)
    print(", ".join(f"{count} {kind}" for kind, count in found["total"].items()))
    if json_file is not None:
        write_json(json_file, found)
        print(json_file)
    if found["total"]["different"]:
        rows_told = sorted(name for name, counted in found["rows"].items() if counted.get("different"))
        raise RunError(f"Samples of {len(rows_told)} rows differ without an error: {', '.join(rows_told[:8])}.")
    return found


def _print_row(width: int, name: str, found: dict[str, Any]) -> None:
    size = f"{errors(found):<23}  {errors(found, gradient=True):<23}" if found["verdict"] != "unsupported here" else ""
    old = f"  {found['legacy']['target']}: {found['legacy']['verdict']}" if found["legacy"] else ""
    print(
        f"{name:<{width}}  {found['verdict']:<16}  {found['target']:<26}  {found['cases']:>5}  {size:<48}{old}".rstrip(),
        flush=True,
    )
    for failure in found["failures"]:
        print(f"  {name}{'(' + failure['case'] + ')' if failure['case'] else ''}: {failure['message']}", flush=True)


#: How the modes are called where their results are printed.
_MODES = {"pynative": "PyNative", "graph": "graph mode", "gradient": "the compiled gradient"}


def _print_summary(entries: dict[str, dict[str, Any]], one_mode: list[str], silent: list[str]) -> None:
    print(f"{len(entries)} rows: {summary(entries.values())}")
    refused = sum(len(found["refused"]) for found in entries.values())
    calls = sum(found["cases"] for found in entries.values())
    print(f"{calls} calls" + (f", of which MindSpore refuses {refused}, as the rows say" if refused else ""))
    if old := [found["legacy"] for found in entries.values() if found["legacy"]]:
        print(f"targets of the 2022 table: {len(old)}: {summary(old)}")
    for line in one_mode:
        print(line)
    if silent:
        print(f"different without an error: {', '.join(silent)}")


def probe(names: list[str], device: str | None, output: Path | None) -> Path:
    """Probe rows, print what was chosen, and return the lock file."""
    rows = selected(names)
    backends = open_backends(device)
    width = max(len(row.name) for row in rows)

    def say(name: str, found: dict[str, Any]) -> None:
        print(f"{name:<{width}}  {found['target'] or 'none'}", flush=True)
        for candidate, why in found["rejected"].items():
            print(f"{'':<{width}}    not {candidate}: {why}", flush=True)

    path = output or lock.user_file()
    probe_rows(rows, backends, path, say)
    return path


def show(name: str) -> str:
    """Everything known of a row, and the pair of programs."""
    row = find(name)
    content = read_document()
    [view] = views([row])
    torch, mindspore = snippets(row, view.target if view.target != "none" else None)
    parts = [describe(view, content), f"# torch\n{torch}", f"# MindSpore\n{mindspore}" if mindspore else ""]
    return "\n\n".join(part for part in parts if part)


def listing(section: str | None, verdict: str | None, legacy: bool, text: str | None) -> str:
    """The rows that fit, as an aligned table."""
    found = views(search(text) if text else None)
    if section is not None:
        sections = dict.fromkeys(view.row.section for view in views())
        check_choice("--section", section, sections)
    if verdict is not None:
        check_choice("--verdict", verdict, VERDICTS)
    found = [
        view
        for view in found
        if section in (None, view.row.section) and verdict in (None, view.verdict) and (view.row.legacy or not legacy)
    ]
    return "\n".join([*lines(found), f"{len(found)} rows"]) if found else "no row fits"


def record(config: ExperimentConfig, device: str | None, steps: int) -> Log:
    """Train ``steps`` steps of the MindSpore backend in PyNative with the recorder on; nothing is written."""
    import dataclasses
    import importlib

    from common import backend as backends
    from common.data import BatchPlan
    from common.training.assembly import build_engine, encode_split, prepare
    from common.training.schedule import learning_rate, total_steps, warmup_steps

    if steps < 1:
        raise InputError(f"--steps must be at least 1; received {steps}.")
    backend = backends.load("mindspore")
    place = backend.device.select(device)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, compile=False))
    inputs = prepare(config)
    training, multiple = config.training, config.data.length_multiple
    batches = BatchPlan(
        encode_split(inputs, "train"), training.global_batch_size, training.micro_batch_size, multiple, config.seed
    )
    engine = build_engine(backend, place, config, inputs.spec, inputs.plan)
    total = total_steps(training, batches.steps_per_epoch)
    warmup = warmup_steps(config.optimization, total)
    losses = []
    with importlib.import_module(f"{backend.__name__}.mapping").record() as log:
        for step, micro_batches in enumerate(islice(batches.epoch(0), steps), start=1):
            rate = learning_rate(step, total, warmup, config.optimization, batches.steps_per_epoch)
            handle = engine.train_step(micro_batches, rate)
            [(loss, _)] = engine.fetch([handle])
            losses.append(loss / handle.count)
    print(
        f"{len(losses)} steps of {config.name} on {place}, {inputs.plan.method}; losses {', '.join(f'{loss:.4f}' for loss in losses)}",
        file=sys.stderr,
    )
    return log
