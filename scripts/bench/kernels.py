#!/usr/bin/env python3
"""Measure the kernels that the fast paths avoid, each against what is used instead; the result is taken up by
scripts/bench/performance.py.

    python scripts/bench/kernels.py [--threads 2] [--only convolutions] [-o runs/bench/kernels.json]
 torch: seconds of float32 products through MKL and through `pytorch_impl.layers.modules.product`, of attention forward
and backward, of a language model's softmax. MindSpore: bytes that a compiled graph keeps, for each element of the
results of 20 operators of a kind, after it has run; and seconds of one operator; and those of convolutions.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from common.bench.rounds import fastest

ROWS, WIDTH, INNER, TIMES = 2048, 384, 1536, 20  #: MiniLM at 16 x 128; operators of a graph
#: of a convolution the input, the weight and the padding: characters of words, words of texts, images
CONVOLUTIONS = {
    "over characters": ((512, 30, 1, 32), (30, 30, 1, 3), (0, 1)),
    "over words": ((32, 300, 1, 32), (100, 300, 1, 4), (0, 3)),
    "of images": ((16, 32, 32, 32), (64, 32, 3, 3), (1, 1)),
}
PRODUCTS = ((ROWS, WIDTH, WIDTH), (ROWS, WIDTH, INNER), (ROWS, INNER, WIDTH))


def torch_kernels(threads: int) -> dict[str, dict[str, float]]:
    """Seconds (or errors) of what torch would do and of what is done."""
    import torch

    from pytorch_impl.layers.attention import attention
    from pytorch_impl.layers.dropout import Dropout
    from pytorch_impl.layers.loss import normalize_
    from pytorch_impl.layers.modules import product

    torch.set_num_threads(threads)
    found = {}
    for rows, inner, columns in PRODUCTS:
        x, weight, bias = torch.randn(rows, inner), torch.randn(columns, inner), torch.randn(columns)
        exact = x.double() @ weight.double().T + bias.double()
        ways = {name: partial(product, x, weight, bias, fast) for name, fast in (("before", False), ("now", True))}
        errors = {f"error {name}": float((way() - exact).abs().max() / exact.abs().max()) for name, way in ways.items()}
        found[f"float32 product {rows} x {inner} x {columns}"] = {
            name: fastest(way, 10) for name, way in ways.items()
        } | errors

    def passes(way, length, dtype):
        *inputs, upstream = (torch.randn(16, length, 12, 32).to(dtype).transpose(1, 2) for _ in range(4))
        inputs = [x.requires_grad_() for x in inputs]
        return lambda: torch.autograd.grad(way(*inputs), inputs, upstream)

    for name, length in (("bfloat16", 128), ("float32", 128), ("float32", 32)):
        ways = {
            "before": torch.nn.functional.scaled_dot_product_attention,
            "now": lambda q, k, v: attention(q, k, v, None, 32**-0.5, Dropout("none", 0.0)),
        }
        times = {key: fastest(passes(way, length, getattr(torch, name)), 10) for key, way in ways.items()}
        found[f"{name} attention 16 x 12 x {length} x 32, both passes"] = times

    logits = torch.randn(333, 50257) * 3
    exact = torch.softmax(logits.double(), 1)
    plain = {
        "log sum exp, then softmax": lambda x: x.sub_(torch.logsumexp(x, 1, keepdim=True)).exp_(),
        "softmax alone": lambda x: torch.softmax(x, 1),
    }
    for kind, before in plain.items():
        ways = {"before": before, "now": lambda x: normalize_(x)[1]}
        errors = {f"error {name}": float((way(logits.clone()) - exact).abs().max()) for name, way in ways.items()}
        found[f"{kind}, 333 x 50257"] = {
            name: fastest(partial(way, logits.clone()), 10) for name, way in ways.items()
        } | errors
    return found


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mindspore_kernels(threads: int) -> dict[str, dict[str, float]]:
    """Bytes kept and seconds, of the operator and of what stands for it."""
    import mindspore as ms
    from mindspore import Parameter, Tensor, ops

    import mindspore_impl  # noqa: F401  # its settings, before MindSpore is imported
    from mindspore_impl.layers.attention import join_heads, split_heads

    column = Parameter(Tensor(np.ones((ROWS, 1), np.float32)), name="column")
    row = Parameter(Tensor(np.ones(WIDTH, np.float32)), name="row")
    tile, bias_add = ops.Tile(), ops.BiasAdd()

    def add_column(x):
        return x + column

    def add_spread_column(x):
        return x + tile(column, (1, WIDTH))

    def add_row(x):
        return x + row

    def add_bias(x):
        return bias_add(x, row)

    def transposed(x):
        heads = ops.transpose(ops.reshape(x, (16, 128, 12, 32)), (0, 2, 1, 3)) * 1.5
        return ops.reshape(ops.transpose(heads, (0, 2, 1, 3)), (ROWS, WIDTH))

    def gathered(x):
        return join_heads(split_heads(x, 16, 12) * 1.5)

    pairs = {
        "add a column": (add_column, add_spread_column),
        "add a row": (add_row, add_bias),
        "split and join heads": (transposed, gathered),
    }

    def measured(function):
        def repeated(x):
            for _ in range(TIMES):
                x = function(x)
            return x.sum()

        graph, x = ms.jit(repeated), Tensor(np.ones((ROWS, WIDTH), np.float32))
        before = resident()
        graph(x).asnumpy()
        kept = (resident() - before) / (TIMES * ROWS * WIDTH)
        return kept, fastest(lambda: graph(x).asnumpy(), 5) / TIMES

    measured(add_bias)  # the memory pool's first block
    found = {}
    for name, ways in pairs.items():
        (kept, seconds), (kept_now, seconds_now) = (measured(way) for way in ways)
        found[f"MindSpore, {name}, {ROWS} x {WIDTH}"] = {
            "before": seconds,
            "now": seconds_now,
            "kept before": kept,
            "kept now": kept_now,
        }
    return found


def mindspore_convolutions(threads: int) -> dict[str, dict[str, float]]:
    """Both passes by MindSpore's kernel and as a product over windows."""
    import mindspore as ms
    from mindspore import Tensor, ops

    from mindspore_impl import functional as F

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # its pool does not read OMP_NUM_THREADS

    def both_passes(convolution):
        def squares(x, weight):
            y = convolution(x, weight)
            return (y * y).sum()

        return ms.jit(ms.grad(squares, (0, 1)))

    def product(padding):
        def convolution(x, weight):
            return F.conv2d(x, weight, None, 1, padding)

        return convolution

    random, found = np.random.default_rng(0), {}
    for name, (size, shape, padding) in CONVOLUTIONS.items():
        kernel = ops.Conv2D(shape[0], shape[2:], pad_mode="pad", pad=tuple(n for n in padding for _ in range(2)))
        given = [Tensor(random.normal(size=one).astype(np.float32)) for one in (size, shape)]
        graphs = [both_passes(way) for way in (kernel, product(padding))]
        before, now = (fastest(lambda g=g, x=given: [a.asnumpy() for a in g(*x)], 5) for g in graphs)
        label = f"MindSpore, convolution {name}, {' x '.join(map(str, size))}, both passes"
        found[label] = {"before": before, "now": now}
    return found


MEASURES = {"torch": torch_kernels, "mindspore": mindspore_kernels, "convolutions": mindspore_convolutions}


def main() -> None:
    from common.bench.settings import Settings, save

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", choices=MEASURES)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench/kernels.json"))
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": str(args.threads), "GLOG_v": "3"}  # MindSpore warns of every graph
    kernels: dict[str, dict[str, float]] = {}
    for measure in [MEASURES[args.only]] if args.only else MEASURES.values():
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # one framework a process
            kernels |= pool.submit(measure, args.threads).result()
    for name, values in kernels.items():
        print(f"{name:<60}", "  ".join(f"{key} {value:.3g}" for key, value in values.items()))
    print(save("kernels", Settings(args.threads, 1, output=args.output), {"kernels": kernels}))


if __name__ == "__main__":
    main()
