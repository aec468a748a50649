"""Training steps of several subjects, in turn."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

from common.bench.rounds import alternate, check_losses, median, ratios
from common.bench.settings import Settings, begin, say
from common.bench.subjects import changed, is_ours, plain_name
from common.bench.workers import Worker
from common.errors import InputError

__all__ = ["measure_steps", "pairs", "start"]

_REPEATS = 5  #: of each product in a round


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """What is compared: each of our backends with every peer, MindSpore with PyTorch, and a backend under other
    settings with itself."""
    ours = [name for name in names if is_ours(name)]
    found = [
        (mine, peer)
        for mine in ours
        for peer in names
        if not is_ours(peer) and peer in (plain_name(peer), mine.replace(plain_name(mine), plain_name(peer)))
    ]
    found += [(name, plain_name(name)) for name in ours if name != plain_name(name) and plain_name(name) in names]
    return found + ([("mindspore", "pytorch")] if {"mindspore", "pytorch"} <= set(names) else [])


def start(
    stack: ExitStack, names: Sequence[str], settings: Settings, request: dict[str, Any]
) -> tuple[dict[str, Worker], dict[str, Any]]:
    """Start and build every subject, as many at once as the cores bear; returns the workers and what they said of
    themselves.

    Raises:
        InputError: a subject is named twice.
        RunError: they do not compute the same.
    """
    if len(set(names)) != len(names) or not names:
        raise InputError(
            f"Every subject is measured once; received {', '.join(names) or 'none'}. Name each of them once with --subjects."
        )
    workers = {name: stack.enter_context(begin(name, settings)) for name in names}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(max(1, cores // settings.threads)) as pool:
        answers = pool.map(lambda name: _built(name, workers[name], request), names)
        built = dict(zip(names, answers, strict=True))
    check_losses({name: answer["check_loss"] for name, answer in built.items()})
    return workers, built


def _built(name: str, worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    answer = worker.ask("build", **changed(name, request)) | worker.ask("check")
    note = f"; {answer['note']}" if answer["note"] else ""
    say(f"{name}: loss {answer['check_loss']:.6f} before training{note}")
    return answer


def _roofline(worker: Worker) -> float:
    return worker.ask("limit", repeats=_REPEATS)["seconds"]


def measure_steps(
    case: str,
    names: Sequence[str],
    settings: Settings,
    count: int,
    warmup: int,
    limit: bool,
    size: Sequence[int] | None = None,
    memory: bool = False,
) -> dict[str, Any]:
    """``settings.rounds`` rounds of ``count`` steps of every subject, in turn, and of the roofline of both frameworks.

    Args:
        memory: measure the peak of a step too, afterwards: of an accelerator, where a process sees its own alone.

    Returns:
        For each subject the samples (seconds a step) and its notes, and for each pair the ratios. Those of processor
        time hold on a busy machine too, if each subject has one thread: a second one spins while it waits.
    """
    busy: dict[str, list[float]] = {name: [] for name in names}

    def timed(name: str, worker: Worker) -> float:
        answer = worker.ask("steps", count=count)
        busy[name].append(answer["processor"])
        return answer["seconds"]

    with ExitStack() as stack:
        workers, built = start(stack, names, settings, settings.request(case, size=size))
        for name, worker in workers.items():
            built[name]["warm"] = worker.ask("warm", total=count * settings.rounds, count=warmup)
        for name, worker in workers.items():
            built[name]["idle_share"] = worker.idle_share()
        measure: dict[str, Callable[[], float]] = {
            name: partial(timed, name, worker) for name, worker in workers.items()
        }
        limited = [name for name in names if is_ours(name) and limit]
        for name in limited:
            built[name]["limit"] = workers[name].ask("count_products", total=count * settings.rounds)
            say(f"{name}: {built[name]['limit']['flops'] / 1e9:.1f} GFLOP in the unavoidable products of a step")
            measure[f"roofline of {name}"] = partial(_roofline, workers[name])
        samples = alternate(measure, settings.rounds, say)
        for name, worker in workers.items() if memory else ():
            built[name]["memory"] = worker.ask("memory", count=2)
    for name in limited:  # one number for all rounds: the last, for which every round's executions count
        samples[f"roofline of {name}"] = samples[f"roofline of {name}"][-1:] * settings.rounds
    compared = pairs(names) + [(name, f"roofline of {name}") for name in limited]
    seconds = {name: {"median": median(values), "samples": values} for name, values in samples.items()}
    return {
        "case": case,
        "steps_per_round": count,
        "warmup": warmup,
        "subjects": built,
        "seconds_per_step": seconds,
        "ratios": ratios(samples, compared),
        "processor_ratios": ratios(busy, pairs(names)),
    }
