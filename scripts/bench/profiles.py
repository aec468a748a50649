#!/usr/bin/env python3
"""Measure where a step of ours goes, beside what its unavoidable matrix products take; taken up by
scripts/bench/performance.py.

    python scripts/bench/profiles.py --backend pytorch [--case minilm-16x128] [--threads 2] [-o
    runs/bench/profile-pytorch.json]
 Seconds of the framework's own operators, by kind, are its own profiler's; the limit is that of ``twinlora bench
step``, split in the same way.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections import Counter
from pathlib import Path

KINDS = {
    "products of layers": ("mkldnn::_linear_pointwise", "aten::mm", "aten::addmm", "aten::addmm_", "MatMul"),
    "products of attention": ("aten::bmm", "aten::baddbmm", "BatchMatMul"),
    "attention as one operator": (
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    "softmax": ("aten::_softmax", "aten::_softmax_backward_data", "Softmax"),
    "GELU": ("aten::gelu", "aten::gelu_backward"),
    "erf, of GELU": ("Erf",),
    "exp, of GELU's gradient": ("Exp",),
    "layer norm": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
    "multiplications and additions": ("Mul", "Add", "Sub", "AddN", "BiasAdd", "Neg", "Div"),
    "sums and means": ("ReduceSum", "ReduceMean"),
    "copies": ("Tile", "Gather", "Reshape", "Cast", "StridedSlice"),
    "copies and additions": ("aten::copy_", "aten::add", "aten::add_", "aten::mul_", "aten::fill_"),
}
REST = "everything else"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("pytorch", "mindspore"), required=True)
    parser.add_argument("--case", default="minilm-16x128")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, help="default: runs/bench/profile-BACKEND.json")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # read when a framework is imported
    measuring = importlib.import_module(f"{args.backend}_impl.measuring")

    from common.bench.cases import load_case
    from common.bench.products import step_products
    from common.bench.settings import Settings, save
    from common.bench.subjects import build

    case = load_case({"case": args.case, "count": args.steps})
    subject = build(args.backend, case, "cpu")
    subject.losses([subject.step(batch) for batch in case.batches[:3]])
    operators = measuring.operator_seconds(lambda: subject.losses([subject.step(batch) for batch in case.batches]))
    of_operator = {name: kind for kind, names in KINDS.items() for name in names}
    seconds: Counter[str] = Counter()
    for name, taken in operators.items():
        seconds[of_operator.get(name, REST)] += taken / args.steps
    limits: Counter[str] = Counter()
    for product, times in step_products(case.spec, case.plan, case.batches[0]).items():
        kind = "products of attention" if product.batch > 1 else "products of layers"
        limits[kind] += times * measuring.product_seconds(
            (product.batch, product.rows, product.inner, product.columns), 50, "fp32", "cpu"
        )
    found = {kind: {"seconds": seconds[kind], "limit": limits[kind]} for kind in (*KINDS, REST) if seconds[kind] > 0}
    for kind, values in found.items():
        print(f"{kind:<28} {values['seconds'] * 1e3:8.2f} ms   limit {values['limit'] * 1e3:8.2f} ms")
    output = args.output or Path(f"runs/bench/profile-{args.backend}.json")
    described = {"backend": args.backend, "case": args.case, "steps": args.steps, "kinds": found}
    print(save("profile", Settings(args.threads, 1, output=output), described))


if __name__ == "__main__":
    main()
