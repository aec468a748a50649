"""Two processes compute what one computes with the same micro-batches, through the shipped scripts; and a lost process
ends the job."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from common.config import load_config
from common.errors import InterruptedRunError
from common.files import load_arrays
from common.launch.descendants import descendants
from common.training.progress import Progress
from common.training.run import train
from tests.support import HANGS, alive, free_port

pytestmark = pytest.mark.interpreted

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
model:
  tokenizer: bpe:300
  dropout: 0.1
  config: {model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, max_position_embeddings: 32}
data: {name: files, text_column: text, label_column: label, max_length: 16}
adaptation: {rank: 2, alpha: 4, dropout: 0.1, targets: ["*.query"]}
training: {global_batch_size: 4, micro_batch_size: 2, max_steps: 12, evaluate_every_epochs: null, evaluate_every_steps: 5, log_every_steps: 1}
"""
BACKENDS = [
    pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
]

OFTEN_IN_PYTORCH = [BACKENDS[0], pytest.param("mindspore", marks=(pytest.mark.needs_mindspore, pytest.mark.nightly))]


@pytest.fixture
def overrides(tmp_path):
    """An experiment of 21 examples: the last step of an epoch has one, so that one process is without work."""
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        rows = (
            f"{' '.join(random.choice(['up', 'down', 'left', 'right'], random.integers(2, 7)))},{random.choice(['a', 'b'])}"
            for _ in range(21)
        )
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    (tmp_path / "trial.yaml").write_text(CONFIG)
    return [f"data.files.{split}={tmp_path / split}.csv" for split in ("train", "validation")]


def command(folder, backend, output, overrides, processes="2"):
    script = [
        "bash",
        str(ROOT / f"scripts/{backend}/distributed.sh"),
        str(folder / "trial.yaml"),
        "--processes",
        processes,
        "--port",
        free_port(),
    ]
    given = [part for override in overrides for part in ("--set", override)]
    return [*script, "--logs", str(folder / "logs"), "--device", "cpu", "--output", str(folder / output), *given]


def environment():
    """Scripts find the tested interpreter first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def events(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


_MOMENTUM = ("optimization.optimizer=sgd", "optimization.momentum=0.9", "optimization.max_norm=0.5")


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("settings", [(), pytest.param(_MOMENTUM, marks=pytest.mark.nightly)], ids=["adamw", "sgd"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_processes_equal_one_with_the_same_micro_batches(tmp_path, overrides, backend, settings):
    overrides = [*overrides, *settings]
    done = subprocess.run(
        command(tmp_path, backend, "two", overrides),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    train(load_config(tmp_path / "trial.yaml", overrides), backend, "cpu", tmp_path / "one", progress=Progress())
    one, two = (tmp_path / name / "trial" / backend for name in ("one", "two"))
    expected, found = events(one), events(two)
    assert [(event["event"], event["step"]) for event in found] == [
        (event["event"], event["step"]) for event in expected
    ]
    assert sum(event["event"] == "step" for event in found) == 12
    for first, second in zip(expected, found, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-6)
        assert second.get("accuracy") == first.get("accuracy")
    arrays = [load_arrays(run / "adapter/adapter_model.safetensors")[0] for run in (one, two)]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        np.testing.assert_allclose(
            arrays[1][name], array, rtol=0, atol=1e-6 * max(np.abs(array).max(), 1e-3), err_msg=name
        )


@pytest.mark.slow
@pytest.mark.nightly  # tests/pytorch/test_sharding.py computes the same with two processes in every run
@pytest.mark.processes
@pytest.mark.needs_pytorch
def test_two_processes_that_divide_the_weights_end_in_the_same_bytes(tmp_path, overrides):
    """As two that hold all of them, through the script: with a process without work in the last step of an epoch, and
    in the last round of an evaluation."""
    given = [*overrides, "training.evaluation_batch_size=7", "model.config.num_hidden_layers=3"]
    runs = {}
    for shard in ("false", "true"):
        job = command(tmp_path, "pytorch", shard, [*given, f"training.shard={shard}"])
        done = subprocess.run(job, capture_output=True, text=True, env=environment(), timeout=HANGS, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        runs[shard] = tmp_path / shard / "trial/pytorch"
    kept = ("event", "step", "loss", "grad_norm", "accuracy")
    logged = [[{name: event.get(name) for name in kept} for event in events(run)] for run in runs.values()]
    assert logged[0] == logged[1]
    assert len(logged[0]) == 12 + 4
    assert len({(run / "adapter/adapter_model.safetensors").read_bytes() for run in runs.values()}) == 1


def workers(output):
    """Process id by rank of a running job."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/environ"):
        try:
            line = (status.parent / "cmdline").read_bytes().decode().split("\0")
            variables = dict(
                part.partition("=")[::2] for part in status.read_bytes().decode(errors="replace").split("\0")
            )
        except OSError:
            continue
        rank = variables.get("MS_NODE_ID") if variables.get("MS_ROLE") == "MS_WORKER" else variables.get("RANK")
        if (
            output in line
            and "train" in line
            and "torchrun" not in " ".join(line)
            and rank is not None
            and not any(name in " ".join(line) for name in ("msrun", "worker.py"))
        ):
            found[int(rank)] = int(status.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("backend", OFTEN_IN_PYTORCH)
def test_a_lost_process_ends_the_others_and_is_named(tmp_path, overrides, backend):
    endless = [
        "training.max_steps=1000000",
        "training.epochs=1000000",
        "training.log_every_steps=1000",
        "training.evaluate_every_steps=1000000",
    ]
    run = tmp_path / "endless/trial" / backend
    with open(tmp_path / "out.log", "w") as log:
        job = subprocess.Popen(
            command(tmp_path, backend, "endless", [*overrides, *endless]), stdout=log, stderr=log, env=environment()
        )
    try:
        deadline = time.monotonic() + HANGS
        while not (run / "metrics.jsonl").is_file() or len(events(run)) < 2:
            assert job.poll() is None, (tmp_path / "out.log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.5)
        ranks = workers(str(tmp_path / "endless"))
        assert set(ranks) == {0, 1}
        os.kill(ranks[1], signal.SIGKILL)
        assert job.wait(timeout=HANGS) != 0
    finally:
        job.kill()
        for process in workers(str(tmp_path / "endless")).values():
            os.kill(process, signal.SIGKILL)
    said = (tmp_path / "out.log").read_text() + "".join(
        path.read_text(errors="replace") for path in (tmp_path / "logs").glob("*.log")
    )
    assert backend == "mindspore" or "rank      : 1" in said.partition("Root Cause")[2]
    assert (
        "Root Cause (first observed failure):\n[0]:"
        if backend == "pytorch"
        else "rank 1 ended first: killed by signal 9"
    ) in said


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("backend", OFTEN_IN_PYTORCH)
def test_a_job_that_is_stopped_saves_its_state_and_leaves_no_process(tmp_path, overrides, backend):
    endless = ["training.max_steps=1000000", "training.epochs=1000000", "training.evaluate_every_steps=1000000"]
    run = tmp_path / "endless/trial" / backend
    with open(tmp_path / "out.log", "w") as log:
        job = subprocess.Popen(
            command(tmp_path, backend, "endless", [*overrides, *endless]), stdout=log, stderr=log, env=environment()
        )
    try:
        deadline = time.monotonic() + HANGS
        while not (run / "metrics.jsonl").is_file() or len(events(run)) < 5:
            assert job.poll() is None, (tmp_path / "out.log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        below = descendants(job.pid)
        assert set(workers(str(tmp_path / "endless"))) == {0, 1}
        assert set(workers(str(tmp_path / "endless")).values()) <= set(below)
        job.terminate()
        assert job.wait(timeout=HANGS) != 0
        assert not [process for process in below if alive(process)]
    finally:
        job.kill()
        for process in workers(str(tmp_path / "endless")).values():
            os.kill(process, signal.SIGKILL)
    said = (tmp_path / "out.log").read_text()
    assert "received SIGTERM" in said
    assert (run / "checkpoint/state.safetensors").is_file(), said


def together(folder, backend, given):
    """A job of two processes, each with arguments of its own, as on two machines: exit codes and what was said."""
    port = free_port()
    if backend == "pytorch":
        shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        own = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in (0, 1)]
    else:
        shared = {"MS_WORKER_NUM": "2", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": port}
        own = [{"MS_ROLE": "MS_WORKER", "MS_NODE_ID": str(rank), "DEVICE_ID": str(rank)} for rank in (0, 1)]
        own.append({"MS_ROLE": "MS_SCHED"})
    began = []
    for variables, arguments in zip(own, [*given, given[0]], strict=False):
        line = [sys.executable, "-m", "twinlora", "train", str(folder / "trial.yaml"), "--backend", backend]
        began.append(
            subprocess.Popen(
                [*line, "--device", "cpu", *map(str, arguments)],
                env={**environment(), "PYTHONPATH": str(ROOT), **shared, **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        said = [process.communicate(timeout=HANGS)[0] for process in began[:2]]
    finally:
        for process in began:
            process.kill()
    return [process.returncode for process in began[:2]], said


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("backend", OFTEN_IN_PYTORCH)
def test_processes_that_read_other_data_are_refused(tmp_path, overrides, backend):
    """Their gradients would be summed without a word."""
    given = [part for override in overrides for part in ("--set", override)]
    lines = (tmp_path / "train.csv").read_text().splitlines()
    (tmp_path / "other.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    other = ["--set", f"data.files.train={tmp_path / 'other.csv'}"]
    arguments = [[*given, "--output", tmp_path / "runs", *more] for more in ((), other)]
    codes, said = together(tmp_path, backend, arguments)
    assert codes == [2, 2], said
    assert all("the first and process 1 differ" in text and " in data train: '" in text for text in said), said
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("backend", OFTEN_IN_PYTORCH)
def test_a_run_is_continued_by_a_process_that_does_not_see_its_directory(tmp_path, overrides, backend):
    """As on another machine, where there is nothing, or what an earlier attempt left."""
    config = load_config(tmp_path / "trial.yaml", overrides)
    whole = train(config, backend, "cpu", tmp_path / "whole", progress=Progress())

    class Stopped(Progress):
        def step(self, event):
            if event["step"] == 7:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError):
        train(config, backend, "cpu", tmp_path / "here", progress=Stopped())
    given = [part for override in overrides for part in ("--set", override)]
    arguments = [[*given, "--resume", "--output", tmp_path / place] for place in ("here", "there")]
    codes, said = together(tmp_path, backend, arguments)
    assert codes == [0, 0], said
    run = tmp_path / "here/trial" / backend
    found = json.loads((run / "summary.json").read_text())
    assert [found["steps"], found["best_step"]] == [whole["steps"], whole["best_step"]]
    assert found["final_loss"] == pytest.approx(whole["final_loss"], rel=1e-6)
    codes, said = together(tmp_path, backend, arguments)
    assert codes == [0, 0], said
    assert "is finished already" in said[0]
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "distributed.sh CONFIG"),
        (["bert_sst2", "--processes", "two"], "--processes must be a whole number; received 'two'"),
        (["bert_sst2", "--nodes", "2"], "--master must name the node of rank 0"),
        (["bert_sst2", "--nodes", "2", "--node-rank", "2", "--master", "a"], "--node-rank must be below --nodes"),
        (["bert_sst2", "--port"], "--port needs a value"),
    ],
)
def test_the_script_tells_what_it_needs(arguments, message):
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/pytorch/distributed.sh"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stdout + done.stderr
