#!/usr/bin/env python3
"""Compares accounts of memory with what processes use on the CPU: docs/studies/measured_memory.json.

    python scripts/studies/measured_memory.py

A process needs more than its account, by a part that does not depend on the depth of the network (libraries,
workspaces, temporaries of one operator). So its peak is taken at two depths, and the growth is compared with what the
account says that the additional layers keep for the backward pass.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import backend as backends
from common.bench.memory import Meter
from common.config import load_config
from common.errors import run_script
from common.files import write_json
from common.memory import take
from common.memory.outline import outlined
from common.models.loading import load_model_spec
from common.tasks.example import example_batch
from common.training.assembly import build_engine

_OUT = Path(__file__).resolve().parents[2] / "docs/studies/measured_memory.json"
_DEPTHS, _ROWS, _LENGTH, _STEPS = (2, 10), 16, 128, 2
_MODEL = ("model.source=null", "model.tokenizer=bpe:8192", "model.dropout=0.1", "adaptation.rank=8",
          'model.config={"model_type": "bert", "vocab_size": 8192, "hidden_size": 384, "num_hidden_layers": LAYERS, '
          '"num_attention_heads": 12, "intermediate_size": 1536}')  # fmt: skip
_ALL = "adaptation.targets=['*.query', '*.key', '*.value', '*.dense']"
CASES = {
    "LoRA q,v, dropout 0.1": ("adaptation.dropout=0.1",),
    "LoRA all, dropout 0.1": (_ALL, "adaptation.dropout=0.1"),
    "LoRA all, dropout 0": (_ALL,),
}


def settings_of(case: str, depth: int) -> Any:
    """The experiment of a case with so many layers."""
    entries = (entry.replace("LAYERS", str(depth)) for entry in (*_MODEL, *CASES[case]))
    return load_config("bert_emotion", list(entries), "measured")


def measure(backend: str, case: str, depth: int) -> int:
    """Peak bytes of a step above what the process held before the first, in this process."""
    config = settings_of(case, depth)
    outline, plan = outlined(config)
    labels = tuple(outline.config["id2label"].values())
    spec = load_model_spec(config.model, labels, 8192, 0, config.seed)
    engine = build_engine(backends.load(backend), "cpu", config, spec, plan)
    batch = example_batch(spec, [_LENGTH] * _ROWS, "measured")
    meter = Meter(lambda reset: None)
    for _ in range(_STEPS):
        meter.around(lambda: engine.fetch([engine.train_step([batch], 1e-4)]))
    return meter.results()["later"]


def _elsewhere(backend: str, case: str, depth: int) -> int:
    command = [sys.executable, __file__, backend, case, str(depth)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Every case in both backends, each in processes of its own; those that the file holds are left as they are."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))
        return
    found = json.loads(_OUT.read_text(encoding="utf-8"))["rows"] if _OUT.is_file() else []
    done = {(row["backend"], row["case"]) for row in found}
    for backend, case in ((backend, case) for backend in ("pytorch", "mindspore") for case in CASES):
        if (backend, case) in done:
            continue
        small, large = (_elsewhere(backend, case, depth) for depth in _DEPTHS)
        framework = backends.load(backend)
        accounts = [take(framework, settings_of(case, depth), _ROWS, _LENGTH) for depth in _DEPTHS]
        growth = large - small
        predicted = accounts[1].part("activations") - accounts[0].part("activations")
        row = {"backend": backend, "case": case, "measured": growth, "account": predicted}
        found.append(row | {"ratio": growth / predicted})
        print(found[-1], flush=True)
        write_json(_OUT, {"depths": _DEPTHS, "batch": _ROWS, "length": _LENGTH, "rows": found})


if __name__ == "__main__":
    run_script(main)
