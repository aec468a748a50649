"""A whole job with the real training, from a bucket to a bucket: killed half-way, restarted in a new container, it ends in the bytes of an unbroken one."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from common.config import load_config
from common.launch.processes import ROOT
from common.models import save_pretrained
from common.training.assembly import prepare

CONFIG = """\
model:
  tokenizer: bpe:300
  dropout: 0.1
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 32}
data: {name: files, text_column: text, label_column: label, max_length: 16, files: {train: train.csv, validation: validation.csv}}
adaptation: {rank: 2, alpha: 4, dropout: 0.1, targets: ["*.query"]}
training: {global_batch_size: 4, epochs: 20, evaluate_every_steps: 10, log_every_steps: 1}
"""
STEPS, KILLED_AFTER = 100, 15


@pytest.fixture
def bucket(cluster):
    """Data, configuration and base model as somebody would upload them."""
    folder = cluster.bucket / "texts"
    folder.mkdir()
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        rows = (f"{' '.join(random.choice(['up', 'down', 'left', 'right'], 5))},{random.choice(['a', 'b'])}" for _ in range(20))
        (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    (cluster.bucket / "trial.yaml").write_text(CONFIG)
    inputs = prepare(load_config(cluster.bucket / "trial.yaml", [f"data.directory={folder}"]))
    save_pretrained(cluster.bucket / "tiny", inputs.spec, inputs.spec.arrays)
    return cluster


def arguments(out):
    places = {"config": "trial.yaml", "data_url": "texts/", "model_url": "tiny", "train_url": out}
    given = (f"--{name}=obs://bucket/{place}" for name, place in places.items())
    return (*given, "--device=cpu", "--model.config={}")  # the staged model brings its own


def lines(path: Path):
    return path.read_text().splitlines() if path.exists() else []


def kill_the_training(boot, metrics):
    """End it as the kernel would, without a word, once it is some steps beyond a checkpoint."""
    deadline = time.monotonic() + 30
    while sum('"step"' in line for path in metrics() for line in lines(path)) < KILLED_AFTER + 3:
        assert time.monotonic() < deadline
        assert boot.poll() is None
        time.sleep(0.005)
    [training] = Path(f"/proc/{boot.pid}/task/{boot.pid}/children").read_text().split()
    os.kill(int(training), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_a_killed_job_that_is_restarted_ends_in_the_same_bytes(bucket):
    unbroken = bucket.start(*arguments("whole"), code=ROOT, MA_VJ_NAME="job-0")
    boot = bucket.start(*arguments("broken"), code=ROOT)
    kill_the_training(boot, lambda: list(bucket.scratch.glob("*-job-1-*/output/trial-pytorch/metrics.jsonl")))
    outputs = [process.communicate(timeout=60)[0] for process in (unbroken, boot)]
    assert [unbroken.returncode, boot.returncode] == [0, 128 + signal.SIGKILL], outputs
    whole, broken = (bucket.bucket / out / "trial-pytorch" for out in ("whole", "broken"))
    assert not (broken / "summary.json").exists()
    assert KILLED_AFTER <= len(lines(broken / "metrics.jsonl")) < STEPS

    bucket.forget_scratch()
    code, output = bucket.run(*arguments("broken"), code=ROOT, MA_VJ_NAME="job-2")
    assert code == 0, output
    assert "Continuing after step " in output
    assert {"adapter", "metrics.jsonl", "summary.json", "env.json", "logs"} <= {path.name for path in broken.iterdir()}
    assert json.loads((broken / "summary.json").read_text())["status"] == "finished"
    assert (whole / "adapter/adapter_model.safetensors").read_bytes() == (broken / "adapter/adapter_model.safetensors").read_bytes()
    steps = [[(event["event"], event["step"], event["loss"]) for event in map(json.loads, lines(run / "metrics.jsonl"))] for run in (whole, broken)]
    assert steps[0] == steps[1]
    assert len(steps[0]) > STEPS
