"""A node's boot files with a stub for the training: topology, staging, the output contract, crashes, restarts, signals.
Faults of the store: test_faults."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.launch.processes import ROOT
from common.launch.spawning import exit_code, exits
from tests.support import HANGS, free_port

DATA, MODEL, OUT = "obs://bucket/data", "obs://bucket/model/", "obs://bucket/out"
REMOTE = ("--data_url", DATA, "--model_url", MODEL, "--train_url", OUT)
RUN = "out/trial-pytorch"


def jobs(cluster):
    """The scratch directories of the jobs."""
    return sorted(cluster.scratch.glob("twinlora-*"))


def logs(cluster):
    """Name of every process and what its log holds."""
    return {path.name.split(".")[0]: path.read_text() for job in jobs(cluster) for path in sorted(job.glob("logs/*"))}


def works_in(cwd, folder):
    """Whether a process has its working directory below ``folder``."""
    try:
        return str(cwd.readlink()).startswith(f"{folder}/")
    except OSError:
        return False


def wait_until(condition):
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_local_places_are_used_as_they_are(cluster):
    data, out = cluster.bucket / "data", cluster.scratch / "out"
    code, output = cluster.run("--data_url", str(data), "--train_url", str(out), RANK_TABLE_FILE="/user/config")
    assert code == 0, output
    assert cluster.calls() == []
    run = out / "trial-pytorch"
    assert {path.name for path in run.iterdir()} == {
        "adapter",
        "checkpoint",
        "metrics.jsonl",
        "summary.json",
        "env.json",
        "logs",
    }
    assert f"--data-dir {data}" in output
    assert "rank table None" in output  # it would break a single process
    [log] = (run / "logs").iterdir()
    assert [line.removeprefix("[rank 0] ") for line in output.splitlines()] == log.read_text().splitlines()


def test_a_node_of_eight_cards_stages_once_and_rank_0_brings_everything_home(cluster):
    results = cluster.run_node(8, *REMOTE, MA_NUM_GPUS="8")
    assert [code for code, _ in results] == [0] * 8
    assert cluster.calls().count("copy_parallel") == 2
    assert cluster.calls().count("exists") == 3
    run = cluster.bucket / RUN
    assert {path.name for path in run.iterdir()} == {
        "adapter",
        "checkpoint",
        "metrics.jsonl",
        "summary.json",
        "env.json",
        "logs",
    }
    assert cluster.calls().count("copy") == len(
        [path for path in run.rglob("*") if path.is_file()]
    )  # one of the eight brought them
    facts = json.loads((run / "env.json").read_text())
    assert facts["topology"]["world_size"] == 8
    assert facts["environment"]["RANK_SIZE"] == "8"
    for rank, (_, output) in enumerate(results):
        assert f"rank {rank} begins after step 0 with" in output
        assert "--model inputs/model/model" in output
        assert f"run directory {jobs(cluster)[0] / 'output' / 'trial-pytorch'}\n" in output
    converted = json.loads((jobs(cluster)[0] / "rank_table.json").read_text())
    assert len(converted["server_list"][0]["device"]) == 8
    assert f"rank table {jobs(cluster)[0] / 'rank_table.json'}" in results[5][1]


def test_a_lasting_fault_reaches_msruns_workers_and_scheduler(cluster):
    """Where the platform runs msrun, a node has one process more than cards."""
    common = {"MS_WORKER_NUM": "2", "MS_SCHED_HOST": "127.0.0.1", "MS_SCHED_PORT": "8118", "FAKE_FAULT": "raise 1-"}
    roles = [
        {"MS_ROLE": "MS_SCHED"},
        *({"MS_ROLE": "MS_WORKER", "MS_NODE_ID": rank, "DEVICE_ID": rank} for rank in "01"),
    ]
    options = ("--data_url", DATA, "--train_url", OUT, "--device", "cpu", "--stage_attempts", "1")
    processes = [cluster.start(*options, **common, **role) for role in roles]
    assert [process.communicate(timeout=HANGS) and process.returncode for process in processes] == [1] * 3
    assert {name for name, text in logs(cluster).items() if "store broke down in call 1," in text} == {
        "scheduler",
        "rank_0",
        "rank_1",
    }


def test_what_was_said_before_a_crash_is_in_the_log(cluster):
    process = cluster.start("--train_url", OUT, STUB_SECONDS="3600")
    wait_until(lambda: any("begins after step 0" in text for text in logs(cluster).values()))
    process.kill()
    process.communicate(timeout=HANGS)


def test_a_crash_keeps_its_exit_code_and_a_restart_continues(cluster):
    code, output = cluster.run(*REMOTE, STUB_CRASH="2")
    assert code == 7
    assert "out of memory" in output
    run = cluster.bucket / RUN
    assert (run / "checkpoint" / "state.safetensors").read_text() == "2"
    assert not (run / "summary.json").exists()
    cluster.forget_scratch()
    code, output = cluster.run(*REMOTE, MA_VJ_NAME="job-2")
    assert code == 0
    assert "begins after step 2" in output
    assert "--resume" in output
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3, 4]
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"
    texts = sorted(path.read_text() for path in (run / "logs").iterdir())
    assert len(texts) == 2
    assert sum("out of memory" in text for text in texts) == 1


def test_a_crash_that_cannot_be_brought_home_either_keeps_its_exit_code(cluster):
    code, output = cluster.run("--train_url", OUT, "--stage_attempts", "1", STUB_CRASH="2", FAKE_FAULT="raise 2-")
    assert code == 7
    assert "store broke down" in output


def test_a_restart_where_the_earlier_attempt_failed_to_stage(cluster):
    """In the same container: its failure, its leader and its half copies are still there."""
    assert cluster.run(*REMOTE, "--stage_attempts", "1", FAKE_FAULT="raise 6-")[0] == 1
    code, output = cluster.run(*REMOTE)
    assert code == 0, output
    assert len(jobs(cluster)) == 1


def test_two_jobs_on_one_host_share_nothing(cluster):
    (cluster.bucket / "other").mkdir()
    (cluster.bucket / "other" / "train.csv").write_text("another text")
    first = cluster.start("--data_url", DATA, "--train_url", f"{OUT}/first", MA_VJ_NAME="job-1")
    second = cluster.start("--data_url", "obs://bucket/other", "--train_url", f"{OUT}/second", MA_VJ_NAME="job-2")
    assert [process.communicate(timeout=HANGS) and process.returncode for process in (first, second)] == [0, 0]
    one, two = jobs(cluster)
    assert not (one / "inputs" / "data" / "other").exists()
    assert not (two / "inputs" / "data" / "data").exists()
    assert {path.name for path in (cluster.bucket / "out").iterdir()} == {"first", "second"}


def test_whoever_ends_the_job_gets_its_output(cluster):
    """SIGTERM goes to the training, which may save its state, and the output is brought home."""
    process = cluster.start("--train_url", OUT, "--sync_minutes", "0", STUB_SECONDS="3600")
    metrics = "*/output/trial-pytorch/metrics.jsonl"
    wait_until(lambda: list(cluster.scratch.glob(metrics)))
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=HANGS)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert (cluster.bucket / RUN / "checkpoint" / "state.safetensors").read_text() == "1"


def test_a_lost_machine_costs_minutes_and_its_training_ends_with_it(cluster):
    process = cluster.start("--train_url", OUT, "--sync_minutes", "0.003", STUB_SECONDS="0.5")
    checkpoint = cluster.bucket / RUN / "checkpoint" / "state.safetensors"
    wait_until(checkpoint.exists)
    process.kill()
    process.communicate(timeout=HANGS)
    reached = checkpoint.read_text()
    assert int(reached) < 4
    [metrics] = cluster.scratch.glob("*/output/trial-pytorch/metrics.jsonl")
    wait_until(lambda: not any(works_in(path, cluster.scratch) for path in Path("/proc").glob("[0-9]*/cwd")))
    before = metrics.read_text()
    time.sleep(1)
    assert metrics.read_text() == before  # nobody trains any more
    cluster.forget_scratch()
    assert f"begins after step {reached}" in cluster.run("--train_url", OUT)[1]


def test_arguments_of_others_are_passed_on_or_ignored(cluster):
    given = (
        "--init_method",
        "tcp://1.2.3.4:6666",
        "--rank=0",
        "stray",
        "--training.epochs=1",
        "--optimization.learning_rate",
        "5e-4",
    )
    options = ("--set", "data.max_length=64", "--data_url=", "--train_url", str(cluster.scratch / "out"))
    code, output = cluster.run(*given, "--seed=3", *options, "--", "--set", "adaptation.rank=4")
    assert code == 0, output
    assert "Ignored arguments: --init_method=tcp://1.2.3.4:6666 --rank=0 stray\n" in output
    settings = (
        "data.max_length=64",
        "training.epochs=1",
        "optimization.learning_rate=5e-4",
        "seed=3",
        "adaptation.rank=4",
    )
    assert output.split("--resume ", 1)[1].split("\n")[0] == " ".join(f"--set {setting}" for setting in settings)


@pytest.mark.parametrize(("device", "mentioned"), [((), "not at all"), (("--device", "cuda:0"), "cuda:0")])
def test_several_cards_are_told_apart(cluster, device, mentioned):
    code, output = cluster.run("--train_url", OUT, *device, MA_NUM_GPUS="2")
    assert code == 2
    assert mentioned in output
    table = {"RANK_TABLE_FILE": str(cluster.rank_table(2)), "RANK_SIZE": "2", "RANK_ID": "1"}
    assert (
        "--device ascend:1"
        in cluster.run("--train_url", str(cluster.scratch / "out"), "--device", "ascend", **table)[1]
    )


def test_a_rank_table_of_another_job_is_refused(cluster):
    table = {"RANK_TABLE_FILE": str(cluster.rank_table(4)), "RANK_SIZE": "2", "RANK_ID": "1"}
    code, output = cluster.run("--train_url", str(cluster.scratch / "out"), "--device", "cpu", **table)
    assert code == 2
    assert "has 4 on 1 nodes" in output


def test_a_contradiction_starts_nothing(cluster):
    code, output = cluster.run("--train_url", OUT, RANK_ID="9", RANK_SIZE="8")
    assert code == 2
    assert "RANK_ID=9" in output
    assert jobs(cluster) == []


def test_msruns_scheduler_runs_the_command_and_leaves_nothing(cluster):
    """The training coordinates there. It must not be taken for rank 0, whose number it has."""
    scheduler = {
        "MS_ROLE": "MS_SCHED",
        "MS_WORKER_NUM": "2",
        "RANK_ID": "0",
        "MS_SCHED_HOST": "127.0.0.1",
        "MS_SCHED_PORT": "8118",
    }
    code, output = cluster.run(*REMOTE, "--device", "cpu", **scheduler)
    assert code == 0, output
    assert "coordinates with train trial" in output
    assert "copy" not in cluster.calls()
    assert {name.name for name in jobs(cluster)[0].iterdir()} == {"inputs", "logs", "output", "scheduler", "staging"}
    assert list((jobs(cluster)[0] / "output" / "trial-pytorch").iterdir()) == []


def test_the_configuration_may_come_from_anywhere(cluster):
    (cluster.bucket / "trial.yaml").write_text("seed: 1")
    (cluster.code / "configs").mkdir()
    (cluster.code / "configs" / "own.yaml").write_text("seed: 1")
    out = ("--train_url", str(cluster.scratch / "out"))
    for config, found in (
        ("obs://bucket/trial.yaml", "inputs/config/trial.yaml --backend"),
        ("configs/own.yaml", f"train {cluster.code / 'configs' / 'own.yaml'} --backend"),
        ("bert_sst2", "train bert_sst2 --backend"),
    ):
        code, output = cluster.run("--config", config, *out)
        assert code == 0, output
        assert found.removeprefix("train ") in output
        assert f"--name {Path(config).stem} " in output


def test_the_exit_code_of_several_processes(tmp_path):
    def report(**codes):
        for path in tmp_path.iterdir():
            path.unlink()
        for moment, (name, code) in enumerate(codes.items()):
            (tmp_path / name).write_text(str(code))
            os.utime(tmp_path / name, (moment, moment))
        return exits(tmp_path)

    assert report(rank_1=7, rank_0=9) == [("rank 1", 7), ("rank 0", 9)]
    assert exit_code(0, report(rank_0=0, rank_1=0), 2) == 0
    assert exit_code(1, report(rank_1=7, rank_0=9), 2) == 7
    assert exit_code(1, report(rank_0=0, rank_1=0), 2) == 1
    assert exit_code(1, report(rank_0=0), 2) == 1
    assert (
        exit_code(0, report(), 2) == 1
    )  # msrun says 0 when it is stopped, and kills its workers before they can report


def test_boot_needs_the_standard_library_only():
    boot = ROOT / "scripts" / "modelarts" / "boot.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(boot), "--help"], capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--train_url" in done.stdout


def test_an_old_interpreter_can_say_that_it_is_old():
    """The check of the version stands before the first import of ours, in a file that Python 3.7 can read."""
    tree = ast.parse((ROOT / "scripts" / "modelarts" / "boot.py").read_text(), feature_version=(3, 7))
    kinds = [type(node).__name__ for node in tree.body]
    ours = next(
        place
        for place, node in enumerate(tree.body)
        if isinstance(node, ast.ImportFrom) and node.module.startswith("common")
    )
    assert kinds.index("If") < ours


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
    ],
)
def test_a_custom_image_starts_its_own_workers(cluster, backend):
    """With the real torchrun and msrun: two cards of one node, one crash, one restart."""
    options = (*REMOTE, "--backend", backend, "--device", "cpu")
    image = {
        "MA_NUM_GPUS": "2",
        "MA_NUM_HOSTS": "1",
        "MASTER_PORT": free_port(),
        "RANK_TABLE_FILE": "/user/config",
        "MA_VJ_NAME": "",
    }
    code, output = cluster.run(*options, STUB_CRASH="2", **image)
    assert code == 7, output
    run = cluster.bucket / f"out/trial-{backend}"
    assert (run / "checkpoint" / "state.safetensors").read_text() == "2"
    assert cluster.calls().count("copy_parallel") == 2
    assert cluster.calls().count("copy") == len(
        [path for path in run.rglob("*") if path.is_file()]
    )  # once, by the process of the node
    cluster.forget_scratch()
    code, output = cluster.run(*options, **image)
    assert code == 0, output
    assert all(f"rank {rank} begins after step {step} with" in output for rank, step in ((0, 2), (1, 0)))
    assert "rank table None" in output
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 4
    names = {path.name.split(".")[0] for path in (run / "logs").iterdir()}
    assert names == {"node_0", "rank_0", "rank_1"} | ({"scheduler"} if backend == "mindspore" else set())


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.needs_mindspore
def test_a_custom_image_that_is_stopped_leaves_no_worker_behind(cluster):
    """msrun would, on SIGTERM; and it calls being stopped a success. Relative paths mean the same to the workers."""
    image = {"MA_NUM_GPUS": "2", "MASTER_PORT": free_port(), "STUB_SECONDS": "3600"}
    process = cluster.start(
        "--data_url", "../store/bucket/data", "--train_url", OUT, "--backend", "mindspore", "--device", "cpu", **image
    )
    written = ("*/output/trial-mindspore/metrics.jsonl", "*/rank_1/own/metrics.jsonl")
    wait_until(lambda: all(any(path.read_text() for path in cluster.scratch.glob(pattern)) for pattern in written))
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=HANGS)[0]
    assert process.returncode == 1, output
    run = cluster.bucket / "out/trial-mindspore"
    assert (run / "checkpoint/state.safetensors").read_text() == "1"
    assert str(cluster.bucket / "data") in json.loads((run / "env.json").read_text())["command"]
    wait_until(lambda: not [path for path in Path("/proc").glob("[0-9]*/cwd") if works_in(path, cluster.scratch)])


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_two_nodes_of_a_custom_image_find_each_other(cluster, tmp_path):
    """Two boot files with scratch disks of their own, as if each had a machine; torchrun's rendezvous is real. Only
    node 0 brings its output home."""
    hosts = {
        "MA_NUM_HOSTS": "2",
        "MA_NUM_GPUS": "1",
        "VC_WORKER_HOSTS": "localhost,localhost",
        "MASTER_PORT": free_port(),
    }
    (tmp_path / "node1").mkdir()
    disks = (cluster.scratch, tmp_path / "node1")
    nodes = [
        cluster.start(*REMOTE, **hosts, VC_TASK_INDEX=str(node), TMPDIR=str(disk)) for node, disk in enumerate(disks)
    ]
    outputs = [node.communicate(timeout=HANGS)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert [f"rank {rank} begins after step 0 with" in output for rank, output in enumerate(outputs)] == [True, True]
    assert cluster.calls().count("copy_parallel") == 4  # every node has a disk of its own
    assert {path.name.split(".")[0] for path in (cluster.bucket / RUN / "logs").iterdir()} == {"node_0", "rank_0"}


@pytest.mark.parametrize("option", ["--sync_minutes", "--stage_timeout", "--stage_attempts", "--stage_backoff"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e99", "x", "", "9" * 5000])
def test_a_number_that_is_no_time_is_bad_usage(option, value, capsys):
    from common.launch.arguments import parse

    with pytest.raises(SystemExit) as caught:
        parse(["--config", "c", "--backend", "pytorch", "--train_url", "out", f"{option}={value}"])
    assert caught.value.code == 2
    assert "to 3e7" in capsys.readouterr().err
