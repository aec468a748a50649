"""Whole jobs with the real training, from a bucket to a bucket: killed half-way, restarted in a new container, they end
in the bytes of an unbroken one.
 One of a single process, and one of two processes that the boot file starts with torchrun or msrun, as in a custom
image.
"""

import contextlib
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from common.config import load_config
from common.launch.processes import ROOT
from common.models.checkpoint import save_pretrained
from common.training.assembly import prepare
from tests.support import HANGS, free_port

CONFIG = """\
model:
  tokenizer: bpe:300
  dropout: 0.1
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 32}
data: {name: files, text_column: text, label_column: label, max_length: 16, files: {train: train.csv, validation: validation.csv}}
adaptation: {rank: 2, alpha: 4, dropout: 0.1, targets: ["*.query"]}
training: {global_batch_size: 4, epochs: 60, evaluate_every_steps: 10, log_every_steps: 1}
"""
STEPS, KILLED_AFTER = 300, 15


@pytest.fixture
def bucket(cluster):
    """Data, configuration and base model as somebody would upload them."""
    folder = cluster.bucket / "texts"
    folder.mkdir()
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        rows = (
            f"{' '.join(random.choice(['up', 'down', 'left', 'right'], 5))},{random.choice(['a', 'b'])}"
            for _ in range(20)
        )
        (folder / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    (cluster.bucket / "trial.yaml").write_text(CONFIG)
    inputs = prepare(load_config(cluster.bucket / "trial.yaml", [f"data.directory={folder}"]))
    save_pretrained(cluster.bucket / "tiny", inputs.spec, inputs.spec.arrays)
    return cluster


def arguments(out, backend="pytorch"):
    places = {"config": "trial.yaml", "data_url": "texts/", "model_url": "tiny", "train_url": out}
    given = (f"--{name}=obs://bucket/{place}" for name, place in places.items())
    return (*given, "--backend", backend, "--device=cpu", "--model.config={}")  # the staged model brings its own


def lines(path: Path):
    return path.read_text().splitlines() if path.exists() else []


def kill_the_training(boot, metrics, training):
    """End a process as the kernel would, without a word, once the run is some steps beyond a checkpoint."""
    deadline = time.monotonic() + HANGS
    while sum('"step"' in line for path in metrics() for line in lines(path)) < KILLED_AFTER + 3:
        assert time.monotonic() < deadline
        assert boot.poll() is None, boot.communicate()[0]
        time.sleep(0.005)
    [process] = training()
    os.kill(process, signal.SIGKILL)


def working_in(folder):
    """The processes whose working directory is ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append(int(process.name))
    return found


def assert_continued_to_the_same_end(whole, broken):
    """Files, adapter to the byte, and every logged loss."""
    assert {"adapter", "metrics.jsonl", "summary.json", "env.json", "logs"} <= {path.name for path in broken.iterdir()}
    assert json.loads((broken / "summary.json").read_text())["status"] == "finished"
    assert (whole / "adapter/adapter_model.safetensors").read_bytes() == (
        broken / "adapter/adapter_model.safetensors"
    ).read_bytes()
    steps = [
        [(event["event"], event["step"], event["loss"]) for event in map(json.loads, lines(run / "metrics.jsonl"))]
        for run in (whole, broken)
    ]
    assert steps[0] == steps[1]
    assert len(steps[0]) > STEPS


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_a_killed_job_that_is_restarted_ends_in_the_same_bytes(bucket):
    unbroken = bucket.start(*arguments("whole"), code=ROOT, MA_VJ_NAME="job-0")
    boot = bucket.start(*arguments("broken"), code=ROOT)
    children = Path(f"/proc/{boot.pid}/task/{boot.pid}/children")
    metrics = "*-job-1-*/output/trial-pytorch/metrics.jsonl"
    kill_the_training(boot, lambda: bucket.scratch.glob(metrics), lambda: map(int, children.read_text().split()))
    outputs = [process.communicate(timeout=HANGS)[0] for process in (unbroken, boot)]
    assert [unbroken.returncode, boot.returncode] == [0, 128 + signal.SIGKILL], outputs
    whole, broken = (bucket.bucket / out / "trial-pytorch" for out in ("whole", "broken"))
    assert not (broken / "summary.json").exists()
    assert KILLED_AFTER <= len(lines(broken / "metrics.jsonl")) < STEPS

    bucket.forget_scratch()
    code, output = bucket.run(*arguments("broken"), code=ROOT, MA_VJ_NAME="job-2")
    assert code == 0, output
    assert "Continuing after step " in output
    assert_continued_to_the_same_end(whole, broken)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=(pytest.mark.needs_pytorch, pytest.mark.nightly)),
        pytest.param("mindspore", marks=(pytest.mark.needs_mindspore, pytest.mark.nightly)),
    ],
)
def test_a_job_of_two_processes_that_loses_one_is_restarted_and_ends_in_the_same_bytes(bucket, backend):
    """The second process is killed: the job ends, the first one's output is brought home, and a log says who was
    lost."""

    def image(job):
        return {"MA_NUM_GPUS": "2", "MA_VJ_NAME": job, "MASTER_PORT": free_port(), "code": ROOT}

    boot = bucket.start(*arguments("broken", backend), **image("job-1"))
    job = bucket.scratch / f"twinlora-{os.getuid()}-job-1-trial-{backend}"
    kill_the_training(boot, lambda: [job / f"output/trial-{backend}/metrics.jsonl"], lambda: working_in(job / "rank_1"))
    code, said = bucket.run(
        *arguments("whole", backend), **image("job-0")
    )  # meanwhile: msrun takes half a minute to give up
    assert code == 0, said
    said = boot.communicate(timeout=HANGS)[0]
    assert boot.returncode == 128 + signal.SIGKILL, said
    deadline = (
        time.monotonic() + HANGS
    )  # msrun kills the boot file of the other one, whose training waits for its lost partner for some seconds more
    while any(working_in(job / f"rank_{rank}") for rank in (0, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    whole, broken = (bucket.bucket / out / f"trial-{backend}" for out in ("whole", "broken"))
    assert (broken / "checkpoint/state.safetensors").is_file()
    assert not (broken / "summary.json").exists()
    assert KILLED_AFTER <= len(lines(broken / "metrics.jsonl")) < STEPS
    logs = {path.name.split(".")[0]: path.read_text() for path in (broken / "logs").iterdir()}
    assert "the first to end first: rank 1: 137" in logs["node_0"]
    assert "exit code 137" in logs["rank_1"]

    bucket.forget_scratch()
    code, said = bucket.run(*arguments("broken", backend), **image("job-2"))
    assert code == 0, said
    assert "Continuing after step " in said
    assert_continued_to_the_same_end(whole, broken)
