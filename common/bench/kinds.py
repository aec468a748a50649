"""The kinds of measurement by name, and what is printed of each."""

from __future__ import annotations

import argparse
from typing import Any

from common.bench.settings import Settings
from common.errors import InputError

__all__ = ["measure"]


def measure(kind: str, args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Run the measurement ``kind``; returns its results and the lines that say them.

    Raises:
        InputError: a number is below 1.
    """
    for name in (
        "threads",
        "rounds",
        "steps",
        "warmup",
        "layers",
        "prompt",
        "new_tokens",
        "batch",
        "tokens",
        "answers",
    ):
        value = getattr(args, name, None)
        if value is not None and value < (name != "warmup"):
            raise InputError(f"--{name} must be at least {int(name != 'warmup')}; received {value}.")
    return _KINDS[kind](args, settings)


def ratio_lines(results: dict[str, Any]) -> list[str]:
    """One line for each pair, and one of secondary interest for each subject."""
    lines = [
        f"{pair:<32} {found['median']:.3f}  (quartiles {found['lower_quartile']:.3f} to {found['upper_quartile']:.3f}, of the sums {found['of_sums']:.3f})"
        for pair, found in results["ratios"].items()
    ]
    return lines + [f"{name:<32} {found['median']:.4f} s" for name, found in results["seconds_per_step"].items()]


def _step(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.step import measure_steps

    results = measure_steps(args.case, args.subjects.split(","), settings, args.steps, args.warmup, args.limit)
    return results, ratio_lines(results)


def _memory(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.memory import measure_memory

    results = measure_memory(args.case, args.subjects.split(","), settings, args.saved)
    lines = [f"{name:<16}" + "  ".join(f"{key} {value / 2**20:,.0f} MiB" for key, value in found.items() if isinstance(value, int) and key != "rounds")
             for name, found in results["subjects"].items()]  # fmt: skip
    lines += [
        f"{pair:<24}" + "  ".join(f"{key} {value:.3f}" for key, value in found.items())
        for pair, found in results["ratios"].items()
    ]
    return results, lines


def _job(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.job import measure_jobs

    results = measure_jobs(args.experiment, args.subjects.split(","), settings, args.steps)
    marks = {name: " (extrapolated)" if runs[-1]["extrapolated"] else "" for name, runs in results["subjects"].items()}
    lines = [f"{pair:<32} {found['median']:.3f}" for pair, found in results["ratios"].items()]
    return results, lines + [
        f"{name:<20} {runs[-1]['seconds']:.1f} s{marks[name]}" for name, runs in results["subjects"].items()
    ]


def _startup(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.startup import measure_startup

    results = measure_startup(settings)
    lines = [f"{name:<28} {found['median']:.3f} s" for name, found in results["seconds"].items()]
    return results, [
        *lines,
        *(f"{name} loads {', '.join(found) or 'no framework'}" for name, found in results["loaded"].items()),
    ]


def _growth(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.growth import measure_growth

    results = measure_growth(args.subjects.split(","), settings, args.steps, args.quick)
    lines = [
        f"{name:<24} time ~ n^{curve['exponents']['seconds']:.2f}  memory ~ n^{curve['exponents']['memory']:.2f}"
        for name, curve in results["curves"].items()
    ]
    return results, lines


def _merge(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.merge import measure_merge

    results = measure_merge(settings, args.layers)
    lines = [
        f"{name:<8} {found['seconds']:.2f} s, {found['fraction']:.2f} of a copy's bandwidth"
        for name, found in results["operations"].items()
    ]
    return results, lines


def _generate(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.generate import measure_generation

    names = args.subjects.split(",")
    if not all(size.isdigit() and int(size) for size in args.batches.split(",")):
        raise InputError(f"--batches must be numbers of rows, such as 1,16; received {args.batches!r}.")
    batches = [int(size) for size in args.batches.split(",")]
    results = measure_generation(args.case, names, settings, batches, args.prompt, args.new_tokens)
    lines = []
    for rows, found in results["batches"].items():
        lines += [
            f"{rows} rows, {pair}: {ratio['median']:.2f} times as fast" for pair, ratio in found["ratios"].items()
        ]
        lines += [
            f"{rows} rows, {name}: {rate['median']:.1f} tokens/s, {found['peak_memory_bytes'][name] / 2**20:,.0f} MiB, "
            f"{found['agreement'][name]:.1%} of the tokens equal"
            for name, rate in found["tokens_per_second"].items()
        ]
    return results, lines


def _latency(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, Any], list[str]]:
    from common.bench.latency import measure_latency
    from common.files import write_atomic
    from common.report.frontier import frontier_page

    results = measure_latency(args.artifacts, settings, args.batch, args.tokens, args.answers, args.score)
    lines = [f"{args.batch} x {args.tokens} tokens, {settings.threads} thread(s)"]
    lines += [
        f"{found['median'] * 1e3:9.2f} ms  p95 {found['p95'] * 1e3:9.2f} ms  {found['sentences_per_second']:8.1f} sentences/s  "
        f"{found['tokens_per_second']:9.0f} tokens/s  {found['bytes'] / 2**20:7.1f} MiB  "
        f"peak {found['peak_memory_bytes'] / 2**20:6.0f} MiB  {found['ratio']:6.3f}  "
        + (f"{results['metric']['name']} {found['score']:.4f}  " if args.score else "")
        + f"{found['kind']:<10} {name}"
        for name, found in results["artifacts"].items()
    ]
    if args.page:
        write_atomic(args.page, frontier_page(results))
        lines.append(str(args.page))
    return results, lines


_KINDS = {
    "step": _step,
    "memory": _memory,
    "job": _job,
    "startup": _startup,
    "growth": _growth,
    "merge": _merge,
    "generate": _generate,
    "latency": _latency,
}
