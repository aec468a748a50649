"""The two experiments of the demonstration, written as ordinary experiment files that `twinlora train` takes as
well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from common.files import write_atomic

__all__ = ["Steps", "write_adapted", "write_base"]


@dataclass(frozen=True)
class Steps:
    """Optimizer steps of each run. The numbers are fixed, not the time, so that everyone who runs the demonstration
    sees the same result."""

    base: int = 900
    adapted: int = 240


BASE = """\
# A small GPT-2 trained from scratch on the prose of the standard library's docstrings.
name: base
model:
  source: null
  task: language-modeling
  tokenizer: bpe:4096
  dropout: 0.0
  config: {{model_type: gpt2, n_layer: 2, n_head: 4, n_embd: 128, n_positions: 128}}
data:
  name: files
  directory: {directory}
  files: {{train: train.txt, validation: validation.txt}}
  max_length: 128
  length_multiple: 128
adaptation:
  method: full
optimization:
  learning_rate: 3.0e-3
  warmup_ratio: 0.05
  weight_decay: 0.1
  beta2: 0.95
training:
  global_batch_size: 8
  epochs: 1000 # max_steps ends the run
  max_steps: {steps}
  evaluate_every_epochs: null
  evaluate_every_steps: {steps}
  metric: perplexity
"""
ADAPTED = """\
# LoRA adapts that GPT-2 to the prose of the language reference. Query and value are slices of GPT-2's fused projection.
name: adapted
model:
  source: {source}
  task: language-modeling
data:
  name: files
  directory: {directory}
  files: {{train: train.txt, validation: validation.txt}}
  max_length: 128
  length_multiple: 128
adaptation:
  method: lora
  rank: 8
  alpha: 16
  targets: ["*.attn.c_attn[q,v]", "*.attn.c_proj", "*.mlp.c_fc", "*.mlp.c_proj"]
optimization:
  learning_rate: 3.0e-3
  warmup_ratio: 0.05
training:
  global_batch_size: 8
  epochs: 1000 # max_steps ends the run
  max_steps: {steps}
  evaluate_every_epochs: null
  evaluate_every_steps: {interval}
  metric: perplexity
  log_every_steps: 5
"""


def write_base(folder: Path, directory: Path, steps: int) -> Path:
    """Write ``base.yaml``: full training on the texts in ``directory``."""
    path = folder / "base.yaml"
    write_atomic(path, BASE.format(directory=json.dumps(str(directory)), steps=steps))
    return path


def write_adapted(folder: Path, directory: Path, source: Path, steps: int) -> Path:
    """Write ``adapted.yaml``: LoRA of the model in ``source`` on the texts in ``directory``."""
    path = folder / "adapted.yaml"
    text = ADAPTED.format(
        directory=json.dumps(str(directory)), source=json.dumps(str(source)), steps=steps, interval=max(1, steps // 3)
    )
    write_atomic(path, text)
    return path
