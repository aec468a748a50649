"""The golden cases: small experiments over {network, task, method, backend} as YAML text and generated data.
 Only the YAML of an experiment and the files of a run directory are used, so that the cases outlive the modules behind
them. Each experiment gives only entries that its method reads.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["BACKENDS", "CASES", "Case", "overrides", "select", "write_data"]

BACKENDS = ("pytorch", "mindspore")

_TRAINING = (
    "training: {global_batch_size: 4, micro_batch_size: 2, max_steps: 7, epochs: 9, evaluate_every_steps: 3, "
    "evaluation_batch_size: 8, log_every_steps: 1, metric: %s}\n"
)
_BERT = """\
model:
  tokenizer: bpe:300
  dropout: 0.1
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: LAYERS, num_attention_heads: 2, intermediate_size: 24,
           max_position_embeddings: 32, initializer_range: 0.3}
"""
_GPT2 = """\
model:
  task: %s
  tokenizer: bpe:300
  dropout: 0.1
  config: {model_type: gpt2, n_embd: 16, n_layer: LAYERS, n_head: 2, n_positions: 32, initializer_range: 0.3}
"""
_LABELLED = "data: {name: files, text_column: text, label_column: label, max_length: 16, length_multiple: MULTIPLE}\n"
_NETWORKS = {
    "bert-classification": _BERT + _LABELLED + _TRAINING % "accuracy",
    "gpt2-classification": _GPT2 % "sequence-classification" + _LABELLED + _TRAINING % "f1_macro",
    "gpt2-text": _GPT2 % "language-modeling"
    + "data: {name: files, text_column: text, max_length: 12, length_multiple: MULTIPLE}\n"
    + _TRAINING % "perplexity",
    "gpt2-completion": _GPT2 % "language-modeling"
    + "data: {name: files, text_column: text, prompt_column: prompt, max_length: 24, length_multiple: MULTIPLE}\n"
    + _TRAINING % "loss",
}
_LORA = {
    "bert-classification": '{rank: 2, alpha: 4, dropout: 0.1, bias: all, targets: ["*.query", "*.value"]}',
    "gpt2-classification": """{rank: 3, alpha: 6, dropout: 0.1, bias: lora_only, rank_stabilized: true,
             targets: ["*.attn.c_attn[q,v]", "*.wte"], exclude: ["*.h.0.*"]}""",
    "gpt2-text": '{rank: 2, alpha: 4, dropout: 0.1, targets: ["*.attn.c_attn[q,v]"]}',
    "gpt2-completion": """{rank: 2, alpha: 4, dropout: 0.1,
             targets: ["*.attn.c_attn[q,v]", {pattern: "*.mlp.c_fc", rank: 3, alpha: 9}]}""",
}
_OPTIMIZATION = {
    "bert-classification": "{learning_rate: 5.0e-3, head_learning_rate: 1.0e-2, warmup_steps: 2, weight_decay: 0.01}",
    "gpt2-classification": "{learning_rate: 5.0e-3, schedule: cosine, final_learning_rate: 1.0e-4, max_grad_norm: 0.5}",
    "gpt2-text": "{learning_rate: 5.0e-3, schedule: constant, weight_decay: 0.1, max_grad_norm: null}",
    "gpt2-completion": "{learning_rate: 5.0e-3, schedule: polynomial, power: 2.0, warmup_ratio: 0.3, beta2: 0.99}",
}
_LAYERS = {"lora": "2", "full": "1", "head": "1"}
_MULTIPLES = {"lora": "8", "full": "24", "head": "24"}  #: lora sees several widths; MindSpore compiles graphs for each
_METHODS = {
    "bert-classification": ("lora", "full", "head"),
    "gpt2-classification": ("lora", "full", "head"),
    "gpt2-text": ("lora", "full"),
    "gpt2-completion": ("lora", "full"),
}


@dataclass(frozen=True)
class Case:
    """One run. ``execution``: ``whole``, ``resumed`` (interrupted after step 4, then resumed) or ``processes``
    (two)."""

    network: str  #: a key of _NETWORKS: network and kind of data
    method: str  #: lora, full or head
    backend: str
    execution: str = "whole"

    @property
    def name(self) -> str:
        """Name of the case in the record."""
        parts = (self.network, self.method, self.backend)
        return "-".join(parts if self.execution == "whole" else (*parts, self.execution))

    @property
    def yaml(self) -> str:
        """The experiment file."""
        adaptation = _LORA[self.network] if self.method == "lora" else f"{{method: {self.method}}}"
        sections = (f"adaptation: {adaptation}", f"optimization: {_OPTIMIZATION[self.network]}")
        text = _NETWORKS[self.network] + "".join(f"{section}\n" for section in sections)
        return text.replace("LAYERS", _LAYERS[self.method]).replace("MULTIPLE", _MULTIPLES[self.method])


CASES = tuple(
    Case(network, method, backend)
    for backend in BACKENDS
    for network, methods in _METHODS.items()
    for method in methods
) + tuple(
    Case("gpt2-text", "lora", backend, execution) for backend in BACKENDS for execution in ("resumed", "processes")
)


def select(backend: str, *executions: str) -> tuple[Case, ...]:
    """The cases of one backend that are executed in one of these ways."""
    return tuple(case for case in CASES if case.backend == backend and case.execution in executions)


def write_data(folder: Path) -> None:
    """Write train.csv, validation.csv and test.csv with the columns text, prompt and label."""
    random = np.random.default_rng(0)
    words = ["up", "down", "left", "right", "forward", "back", "turn around"]
    for split, count in (("train", 22), ("validation", 11), ("test", 10)):
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "prompt", "label"))
            for _ in range(count):
                text = " ".join(random.choice(words, random.integers(2, 10)))
                prompt = " ".join(random.choice(words, random.integers(1, 4)))
                writer.writerow((text, prompt, random.choice(["a", "b", "c"])))


def overrides(folder: Path) -> list[str]:
    """The entries of the configuration that name the files of ``write_data``."""
    return [f"data.files.{split}={folder / split}.csv" for split in ("train", "validation", "test")]
