#!/usr/bin/env python3
"""Measure where a step of the PyTorch half goes, beside what its unavoidable matrix products take; taken up by scripts/bench/performance.py.

    python scripts/bench/profiles.py [--case minilm-16x128] [--threads 2] [-o runs/bench/profile.json]

Seconds of the framework's own operators, by kind, are torch's profiler's; the limit is that of ``twinlora bench step``, split in the same way.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

import torch

from common.bench.cases import load_case
from common.bench.products import step_products
from common.bench.settings import Settings, save
from common.bench.subjects import build
from pytorch_impl.measuring import product_seconds

KINDS = {
    "products of layers": ("mkldnn::_linear_pointwise", "aten::mm", "aten::addmm", "aten::addmm_"),
    "products of attention": ("aten::bmm", "aten::baddbmm"),
    "attention as one operator": ("aten::_scaled_dot_product_flash_attention_for_cpu", "aten::_scaled_dot_product_flash_attention_for_cpu_backward"),
    "softmax": ("aten::_softmax", "aten::_softmax_backward_data"),
    "GELU": ("aten::gelu", "aten::gelu_backward"),
    "layer norm": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
    "copies and additions": ("aten::copy_", "aten::add", "aten::add_", "aten::mul_", "aten::fill_"),
}
REST = "everything else"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="minilm-16x128")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/bench/profile.json"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    case = load_case({"case": args.case, "count": args.steps})
    subject = build("pytorch", case, "cpu")
    subject.losses([subject.step(batch) for batch in case.batches[:3]])
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        subject.losses([subject.step(batch) for batch in case.batches])
    of_operator = {name: kind for kind, names in KINDS.items() for name in names}
    seconds: Counter[str] = Counter()
    for event in profiler.key_averages():
        seconds[of_operator.get(event.key, REST)] += event.self_cpu_time_total / 1e6 / args.steps
    limits: Counter[str] = Counter()
    for product, times in step_products(case.spec, case.plan, case.batches[0]).items():
        kind = "products of attention" if product.batch > 1 else "products of layers"
        limits[kind] += times * product_seconds((product.batch, product.rows, product.inner, product.columns), 10, "fp32", "cpu")
    found = {kind: {"seconds": seconds[kind], "limit": limits[kind]} for kind in (*KINDS, REST) if seconds[kind] > 0}
    for kind, values in found.items():
        print(f"{kind:<28} {values['seconds'] * 1e3:8.2f} ms   limit {values['limit'] * 1e3:8.2f} ms")
    print(save("profile", Settings(args.threads, 1, output=args.output), {"case": args.case, "steps": args.steps, "kinds": found}))


if __name__ == "__main__":
    main()
