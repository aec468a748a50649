"""Tokens per second of generation, of several subjects in turn. Ours are the engines of `twinlora generate`."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol, cast

import numpy as np

from common import backend as backends
from common.bench.cases import Case
from common.bench.rounds import alternate, median, ratios
from common.bench.settings import Settings, begin, say
from common.bench.subjects import GENERATORS, OURS, load_peer
from common.bench.workers import Worker
from common.errors import InputError, RunError
from common.generation.options import GenerationOptions
from common.generation.run import continue_tokens
from common.generation.stopping import Stopping
from common.models import FAMILIES
from common.random import uniform
from common.training.assembly import build_engine

__all__ = ["Generator", "build_generator", "measure_generation", "random_prompts", "timed"]


class Generator(Protocol):
    """A subject: continues prompts of equal length greedily, without ending early."""

    def __call__(self, prompts: np.ndarray, new: int) -> np.ndarray:
        """``(rows, columns)`` int32 to the ``(rows, new)`` tokens that follow."""


class Own:
    """One of our backends, with its adapter merged."""

    def __init__(self, name: str, case: Case, device: str | None):
        backend = backends.load(name)
        given = (backend, backend.device.select(device), case.config, case.spec, case.plan)
        self.engine = cast(Any, build_engine(*given))
        backend.merge(self.engine.model)
        self._context = FAMILIES.get(case.spec.family).positions(case.spec.config) or sys.maxsize

    def __call__(self, prompts: np.ndarray, new: int) -> np.ndarray:
        options = GenerationOptions(max_new_tokens=new)
        found = continue_tokens(self.engine, prompts.tolist(), options, Stopping(frozenset()), self._context, 64)
        return np.array([texts[0].tokens for texts in found])


def build_generator(name: str, case: Case, device: str | None) -> Generator:
    """The subject ``name``, with the case's weights."""
    return Own(name, case, device) if name in OURS else load_peer(*GENERATORS[name]).build_generator(name, case, device)


def random_prompts(case: Case, rows: int, columns: int) -> np.ndarray:
    """Any tokens, ``(rows, columns)`` int32."""
    numbers = uniform(0, "bench|prompts", (rows, columns), 1.0).astype(np.float64)
    return ((numbers + 1) / 2 * case.spec.config["vocab_size"]).astype(np.int32)


def timed(generator: Generator, prompts: np.ndarray, new: int) -> dict[str, Any]:
    """Tokens per second, of the clock and of the processor; the tokens; the peak memory of this process so far."""
    begun, busy = time.perf_counter(), time.process_time()
    tokens = generator(prompts, new)
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    rates = {"rate": tokens.size / seconds, "processor_rate": tokens.size / busy}
    return {**rates, "tokens": tokens.tolist(), "peak_memory_bytes": peak}


def measure_generation(
    case: str, names: Sequence[str], settings: Settings, batches: Sequence[int], columns: int, new: int
) -> dict[str, Any]:
    """``settings.rounds`` rounds of every subject in turn, for each number of rows; one more before them is not
    counted.

    Returns:
        For each number of rows the samples (tokens per second), the share of tokens that equal the first subject's,
        and ratios: how many times as fast as each peer one of ours is. Those of processor time hold on a busy machine
        as well, with one thread; waiting threads count there.

    Raises:
        InputError: a subject is unknown or named twice.
        RunError: they do not begin with the same tokens.
    """
    known = (*OURS, *GENERATORS)
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"A subject of generation is one of {', '.join(known)}; received {unknown[0]!r}.")
    if len(set(names)) != len(names):
        raise InputError(f"Every subject is measured once; received {', '.join(names)}.")
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(begin(name, settings)) for name in names}
        for worker in workers.values():
            worker.ask("build_generator", **settings.request(case))
        for rows in batches:
            results[str(rows)] = _measure(workers, settings, {"rows": rows, "columns": columns, "new": new})
    return {"case": case, "prompt": columns, "new_tokens": new, "batches": results}


def _measure(workers: Mapping[str, Worker], settings: Settings, request: dict[str, int]) -> dict[str, Any]:
    first = {name: worker.ask("generate", **request) for name, worker in workers.items()}
    agree = _agreement({name: np.array(answer["tokens"]) for name, answer in first.items()})
    last: dict[str, dict[str, Any]] = {}
    busy: dict[str, list[float]] = {name: [] for name in workers}

    def rate(name: str) -> float:
        last[name] = workers[name].ask("generate", **request)
        busy[name].append(last[name]["processor_rate"])
        return last[name]["rate"]

    samples = alternate({name: partial(rate, name) for name in workers}, settings.rounds, say)
    pairs = [(ours, peer) for ours in workers if ours in OURS for peer in workers if peer not in OURS]
    pairs += [("mindspore", "pytorch")] if {"mindspore", "pytorch"} <= set(workers) else []
    return {
        "tokens_per_second": {name: {"median": median(values), "samples": values} for name, values in samples.items()},
        "agreement": agree,
        "peak_memory_bytes": {name: answer["peak_memory_bytes"] for name, answer in last.items()},
        "ratios": ratios(samples, pairs),
        "processor_ratios": ratios(busy, pairs),
    }


def _agreement(tokens: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Share of tokens that equal the first subject's; after a tie the rest of a row differs."""
    wanted = next(iter(tokens.values()))
    for name, found in tokens.items():
        if not np.array_equal(found[:, 0], wanted[:, 0]):
            raise RunError(
                f"Subjects may only be compared where they write the same; {name} begins with {found[:, 0].tolist()}, "
                f"{next(iter(tokens))} with {wanted[:, 0].tolist()}."
            )
    return {name: float((found == wanted).mean()) for name, found in tokens.items()}
