"""With either backend a run that was interrupted ends in the very bytes of one that was not, with dropout too: its
masks depend on the step alone."""

import json
import os
import signal

import numpy as np
import pytest

from common.config import load_config
from common.errors import RunError
from common.files import load_arrays
from common.training.checkpoint import INTEGERS
from common.training.progress import Progress
from common.training.run import train

pytestmark = pytest.mark.interpreted

CONFIG = """\
model:
  tokenizer: bpe:300
  dropout: 0.1
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 32}
data: {name: files, text_column: text, label_column: label, max_length: 16}
adaptation: {rank: 2, alpha: 4, dropout: 0.1, targets: ["*.query"]}
training: {global_batch_size: 4, micro_batch_size: 2, max_steps: 8, evaluate_every_steps: 3, log_every_steps: 1}
"""


class InterruptsAt(Progress):
    """Sends the signal of Ctrl-C when a step is logged."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def say(self, text):
        pass

    def step(self, event):
        if event["step"] == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def config(tmp_path):
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        rows = (
            f"{' '.join(random.choice(['up', 'down', 'left', 'right'], 5))},{random.choice(['a', 'b'])}"
            for _ in range(20)
        )
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    (tmp_path / "trial.yaml").write_text(CONFIG)
    return load_config(
        tmp_path / "trial.yaml", [f"data.files.{split}={tmp_path / split}.csv" for split in ("train", "validation")]
    )


def losses(run):
    events = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(event["event"], event["step"], event["loss"]) for event in events]


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
    ],
)
def test_an_interrupted_run_ends_in_the_same_bytes(tmp_path, config, backend):
    train(config, backend, "cpu", tmp_path / "whole", progress=InterruptsAt(None))
    with pytest.raises(RunError, match="after step 4 of 8"):
        train(config, backend, "cpu", tmp_path / "broken", progress=InterruptsAt(4))
    train(config, backend, "cpu", tmp_path / "broken", resume=True, progress=InterruptsAt(None))
    whole, broken = (tmp_path / name / "trial" / backend for name in ("whole", "broken"))
    assert losses(whole) == losses(broken)
    assert (whole / "adapter/adapter_model.safetensors").read_bytes() == (
        broken / "adapter/adapter_model.safetensors"
    ).read_bytes()
    left, right = (load_arrays(run / "checkpoint/state.safetensors", INTEGERS)[0] for run in (whole, broken))
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left)
