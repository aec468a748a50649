#!/usr/bin/env python3
"""Write the table of docs/export.md from a measurement of `twinlora bench latency`.

    twinlora bench latency RUN mindspore:RUN EXPORTED INT8 --threads 1 -o latency.json
    python scripts/bench/latency.py --take latency.json --labels PyTorch MindSpore "ONNX Runtime" "ONNX Runtime, int8"

Labels stand in the place of the artifacts' paths, in their order. Without --take the table is made of the file that is
kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from performance import between

from common.errors import InputError, run_script
from common.files import write_atomic, write_json

ROOT = Path(__file__).resolve().parents[2]
PAGE, KEPT = ROOT / "docs" / "export.md", ROOT / "docs" / "export.json"


def labelled(found: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    """The measurement under labels. Raises InputError where they are not as many, or the machine was busy."""
    if len(labels) != len(found["artifacts"]):
        raise InputError(f"--labels must name {len(found['artifacts'])} artifacts; received {len(labels)}.")
    if not found["hardware"]["load"]["quiet"]:
        raise InputError(
            "The measurement must be made on a quiet machine; other processes were at work. Measure again."
        )
    return {**found, "artifacts": dict(zip(labels, found["artifacts"].values(), strict=True))}


def table(found: dict[str, Any]) -> str:
    """One line for each artifact, and on what they were measured."""
    lines = [
        f"| {found['rows']} x {found['tokens']} tokens, {found['settings']['threads']} thread(s) | median, ms | 95th percentile, ms | "
        "ratio | arrays or graph, MiB | peak of the process, MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, one in found["artifacts"].items():
        times = f"{one['median'] * 1e3:.2f} | {one['p95'] * 1e3:.2f} | {one['ratio']:.2f}"
        lines.append(f"| {name} | {times} | {one['bytes'] / 2**20:.1f} | {one['peak_memory_bytes'] / 2**20:.0f} |")
    machine, load = found["hardware"], found["hardware"]["load"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    features = " ".join(machine["processor"].get("features", ()))
    taken = f"other processes took {load['others_cores']:.2f} of {load['cores']} cores"
    return "\n".join([*lines, "", f"[export.json](export.json): {machine['cpu']} ({features}); {taken}. {versions}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", type=Path, metavar="FILE")
    parser.add_argument("--labels", nargs="+", default=[], metavar="NAME")
    args = parser.parse_args()
    if args.take:
        write_json(KEPT, labelled(json.loads(args.take.read_text(encoding="utf-8")), args.labels))
    found = json.loads(KEPT.read_text(encoding="utf-8"))
    write_atomic(PAGE, between(PAGE.read_text(encoding="utf-8"), "latency", table(found)))


if __name__ == "__main__":
    run_script(main)
