#!/usr/bin/env python3
"""Measure products with tensor trains, by the cores and by the matrix, against the product with a dense weight, and
write the table of docs/methods.md.

    python scripts/bench/trains.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from performance import between

from common.bench.rounds import alternate, median
from common.errors import run_script
from common.files import write_atomic
from common.methods.trains import Train, train_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods.md"
ROWS = 512
SIZES = ((768, 64, 5), (64, 768, 5), (768, 8, 5), (768, 768, 5), (64, 64, 40))
TITLES = {"pytorch": "PyTorch", "mindspore": "MindSpore"}
Ways = dict[str, Callable[[], object]]


def torch_ways(x: np.ndarray, cores: list[np.ndarray], weight: np.ndarray, train: Train) -> Ways:
    """Functions that compute the product and wait for it."""
    import torch

    from pytorch_impl.layers.trains import multiplied

    torch.set_num_threads(1)
    rows, dense, *parts = (torch.from_numpy(array) for array in (x, weight, *cores))
    split = len(train.inputs)
    return {
        "dense": lambda: torch.nn.functional.linear(rows, dense),
        "cores": lambda: multiplied(rows, parts, split, True),
        "matrix": lambda: multiplied(rows, parts, split, False),
    }


def mindspore_ways(x: np.ndarray, cores: list[np.ndarray], weight: np.ndarray, train: Train) -> Ways:
    """The same, each compiled as one graph."""
    import mindspore as ms

    from mindspore_impl import functional as F
    from mindspore_impl.layers.trains import multiplied

    rows, dense, *parts = (ms.Tensor(array) for array in (x, weight, *cores))
    split = len(train.inputs)

    @ms.jit
    def linear(rows, dense):
        return F.linear(rows, dense)

    @ms.jit
    def thin(rows, *parts):
        return multiplied(rows, parts, split, True)

    @ms.jit
    def whole(rows, *parts):
        return multiplied(rows, parts, split, False)

    return {
        "dense": lambda: linear(rows, dense).asnumpy(),
        "cores": lambda: thin(rows, *parts).asnumpy(),
        "matrix": lambda: whole(rows, *parts).asnumpy(),
    }


def measured(ways: Ways, rounds: int, calls: int = 20) -> dict[str, float]:
    """Times as parts of the dense product's, medians of rounds of ``calls`` calls."""

    def seconds(way: Callable[[], object]) -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            way()
        return time.perf_counter() - begun

    for way in ways.values():
        seconds(way)
    samples = alternate({name: lambda way=way: seconds(way) for name, way in ways.items()}, rounds)
    return {
        name: median([a / b for a, b in zip(found, samples["dense"], strict=True)]) for name, found in samples.items()
    }


def table(rounds: int) -> str:
    """A row for every size."""
    lines = [
        "| in x out, rank | parameters | chosen | operations: cores, matrix | "
        + " | ".join(f"{title}: cores, matrix" for title in TITLES.values())
        + " |",
        "|---|---:|---|---:|---:|---:|",
    ]
    rng = np.random.default_rng(0)
    for in_features, out_features, rank in SIZES:
        train = train_of(in_features, out_features, rank)
        x = rng.normal(size=(ROWS, in_features)).astype(np.float32)
        cores = [rng.normal(size=shape).astype(np.float32) for shape in train.shapes()]
        weight = np.ascontiguousarray(train.matrix(cores).T)
        dense = 2 * ROWS * in_features * out_features
        counted = (f"{train.operations(ROWS)[way] / dense:.2f}" for way in ("cores", "matrix"))
        cells = [", ".join(counted)]
        for ways in (torch_ways, mindspore_ways):
            found = measured(ways(x, cores, weight, train), rounds)
            cells.append(f"{found['cores']:.2f}, {found['matrix']:.2f}")
        chosen = "cores" if train.by_cores else "matrix"
        lines.append(
            f"| {in_features} x {out_features}, {rank} | {train.size:,} | {chosen} | " + " | ".join(cells) + " |"
        )
    lines += [
        "",
        f"Forward passes of {ROWS} rows as parts of the dense product's, 1 thread: medians of {rounds} rounds.",
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args(arguments)
    write_atomic(PAGE, between(PAGE.read_text(encoding="utf-8"), "trains", table(args.rounds)))


if __name__ == "__main__":
    run_script(main)
