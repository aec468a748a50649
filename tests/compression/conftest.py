"""A tiny trained run on generated text, and the commands on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.cli.main import main

CONFIG = """\
model:
  tokenizer: bpe:300
  dropout: 0.1
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24,
           max_position_embeddings: 32, initializer_range: 0.3}
data: {name: files, text_column: text, label_column: label, max_length: 16}
adaptation: {rank: 2, alpha: 4, dropout: 0.1, targets: ["*.query"]}
training: {global_batch_size: 4, micro_batch_size: 2, max_steps: 6, evaluate_every_steps: 3, log_every_steps: 1}
"""


class Workplace:
    """A folder with an experiment and its data."""

    def __init__(self, folder: Path):
        self.folder, self.config = folder, folder / "trial.yaml"
        random = np.random.default_rng(0)
        for split in ("train", "validation", "test"):
            words = (random.choice(["up", "down", "left", "right"], 5) for _ in range(20))
            rows = (f"{' '.join(row)},{'a' if 'up' in row else 'b'}" for row in words)
            (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
        self.config.write_text(CONFIG)

    def experiment(self, *overrides: str, model: Path | None = None) -> list[str]:
        """Arguments that name the experiment; on ``model``, which has its own tokenizer and configuration."""
        files = [f"data.files.{split}={self.folder / split}.csv" for split in ("train", "validation", "test")]
        if model is not None:
            files += [f"model.source={model}", "model.tokenizer=null", "model.config={}"]
        return [str(self.config), *(part for entry in (*files, *overrides) for part in ("--set", entry))]

    def train(self, backend: str, output: str, *overrides: str, model: Path | None = None) -> Path:
        """A finished run."""
        runs = self.folder / output
        arguments = ["--backend", backend, "--device", "cpu", "--output", str(runs)]
        assert main(["train", *self.experiment(*overrides, model=model), *arguments]) == 0
        return runs / "trial" / backend


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("compression"))


@pytest.fixture(scope="session")
def base(work: Workplace) -> Path:
    """A run in PyTorch."""
    return work.train("pytorch", "base")
