"""Small studies on generated sentences, whose runs are made by a process that only writes what a training writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from common.studies.definition import read_definition
from common.studies.job import Job
from common.studies.run import Options, run_study

FAKE = Path(__file__).parent / "fake_worker.py"
WORDS = {"a": ["fine", "great", "lovely"], "b": ["awful", "dull", "poor"]}
NETWORK = "{model_type: bert, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1, intermediate_size: 8}"
BASE = f"""\
model: {{tokenizer: "bpe:300", config: {NETWORK}}}
data:
  name: files
  files: {{train: FOLDER/train.csv, validation: FOLDER/validation.csv, test: FOLDER/test.csv}}
  text_column: text
  label_column: label
  max_length: 16
adaptation: {{rank: 2, alpha: 4, targets: [query, value]}}
training: {{global_batch_size: 8, max_steps: 8, evaluate_every_steps: 2, metric: accuracy, compile: false}}
"""


class Studies:
    """A folder with a base experiment, and the studies that a test defines there."""

    def __init__(self, folder: Path):
        self.folder, self.output = folder, folder / "studies"
        random = np.random.default_rng(0)
        for split, count in (("train", 64), ("validation", 16), ("test", 16)):
            rows = [f"{' '.join(random.choice(WORDS[label], 3))},{label}" for label in random.choice(["a", "b"], count)]
            (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
        (folder / "base.yaml").write_text(BASE.replace("FOLDER", str(folder)))

    def write(self, text: str, name: str = "study") -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(f"base: base.yaml\n{text}")
        return path

    def define(self, text: str, name: str = "study", **settings):
        return read_definition(self.write(text, name), settings)

    def run(self, text: str, name: str = "study", **options):
        """The study, and whether it came to its end."""
        return run_study(self.define(text, name), self.output, Options(**options))

    def states(self, study) -> list[str]:
        return [study.directory.state(point) for point in study.directory.points()]

    def calls(self, study) -> list[str]:
        """Every process that was started for a run, in order."""
        path = study.directory.path / "calls"
        return path.read_text().splitlines() if path.is_file() else []


@pytest.fixture
def studies(tmp_path):
    return Studies(tmp_path)


def replace_worker(patch: pytest.MonkeyPatch) -> None:
    """The process of a run is `fake_worker`."""

    def command(self):
        return [sys.executable, str(FAKE), self.study, self.id, self.backend, self.kind] + ["--no-test"] * (
            not self.test
        )

    patch.setattr(Job, "command", command)


@pytest.fixture
def fake_runs(monkeypatch):
    """Replaces the process of a run; call it with what runs do by the text of their configuration."""
    replace_worker(monkeypatch)
    return lambda behaviours: monkeypatch.setenv("FAKE_RUNS", json.dumps(behaviours))
