"""A job ends, and says why, whichever call of the store raises, never returns or does half its work: staging, the
restart of a job, and the way home."""

import signal
import time

import pytest

from tests.support import HANGS

OUT = "obs://bucket/out"
WITH_DATA = ("--data_url", "obs://bucket/data", "--train_url", OUT)
LISTING = ["exists", "is_directory", "list_directory"]
HOME = ["copy", "get_size"] * 6  # adapter, env.json, log, metrics, summary, and the checkpoint last
FETCHED = [*LISTING, *["get_size"] * 2, "copy_parallel"]  # a folder of two files
STAGED = [*FETCHED, "exists"]  # the data set; then, that there is no output yet
JOB = [*STAGED, *HOME]
KINDS = ("raise", "hang", "half")
HANGING = "2"  # seconds until a call that hangs is given up; a whole copy takes 0.1 on an idle machine


def faults(calls, first=1):
    """Every kind of fault at every one of ``calls``, the first of which has the number ``first``; two of them have no
    half. Of the files on the way home, the first and the last are tried in every run, those between them in the nightly
    one."""
    numbered = list(enumerate(calls, start=first))
    home = len(calls) - len(HOME)
    between = range(first + home + 2, first + len(calls) - 2) if calls[home:] == HOME else ()
    return [
        pytest.param(how, call, id=f"{how}-{call}-{name}", marks=[pytest.mark.nightly] if call in between else [])
        for how in KINDS
        for call, name in numbered
        if how != "half" or name not in LISTING[:2]
    ]


def options(how, attempts):
    return (
        "--stage_attempts",
        str(40 if how == "hang" and attempts > 2 else attempts),  # a slow copy may be given up for a hanging one
        "--stage_timeout",
        HANGING if how == "hang" else str(HANGS),
        "--stage_backoff",
        "0.01",
    )


def reason(how, call):
    return {
        "raise": f"store broke down in call {call},",
        "hang": f"did not end within {HANGING} s",
        "half": "is not whole",
    }[how]


def logs(cluster):
    """Name of every process and what its log holds."""
    return {path.name.split(".")[0]: path.read_text() for path in sorted(cluster.scratch.glob("twinlora-*/logs/*"))}


def files(folder):
    """Content by relative name; the logs, which every attempt adds to, by number only."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith("logs/")}, sum(
        name.startswith("logs/") for name in found
    )


def here(cluster):
    """The output as the node has it."""
    [folder] = cluster.scratch.glob("twinlora-*/output/trial-pytorch")
    return folder


@pytest.fixture
def earlier(cluster):
    """A job whose earlier attempt left a checkpoint and its log of metrics in the bucket."""
    run = cluster.bucket / "out" / "trial-pytorch"
    (run / "checkpoint").mkdir(parents=True)
    (run / "checkpoint" / "state.safetensors").write_text("2")
    (run / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n')
    return run


def test_every_call_of_a_job_is_spoiled_below(cluster):
    assert cluster.run(*WITH_DATA)[0] == 0
    assert cluster.calls() == JOB


def test_every_call_of_a_restart_is_spoiled_below(cluster, earlier):
    code, output = cluster.run("--train_url", OUT)
    assert code == 0
    assert "begins after step 2" in output
    assert cluster.calls() == [*FETCHED, *HOME]


@pytest.mark.parametrize(("how", "call"), faults(STAGED))
def test_a_lasting_fault_while_staging_reaches_every_rank(cluster, how, call):
    results = cluster.run_node(3, *WITH_DATA, *options(how, 1), FAKE_FAULT=f"{how} {call}-")
    assert [code for code, _ in results] == [1] * 3
    assert {name for name, text in logs(cluster).items() if reason(how, call) in text} == {"rank_0", "rank_1", "rank_2"}
    assert not any("begins after step" in text for text in logs(cluster).values())


@pytest.mark.parametrize(("how", "call"), faults(FETCHED))
def test_earlier_output_that_cannot_be_read_is_not_begun_anew(cluster, earlier, how, call):
    before = files(earlier)[0]
    code, output = cluster.run("--train_url", OUT, *options(how, 1), FAKE_FAULT=f"{how} {call}-")
    assert code == 1
    assert reason(how, call) in output
    assert "begins after step" not in output
    assert files(earlier)[0] == before


@pytest.mark.parametrize(("how", "call"), faults(JOB))
def test_a_passing_fault_loses_nothing(cluster, how, call):
    code, output = cluster.run(*WITH_DATA, *options(how, 8), FAKE_FAULT=f"{how} {call}")
    assert code == 0, output
    assert reason(how, call) in output
    assert len(cluster.calls()) > len(JOB)
    home = cluster.bucket / "out" / "trial-pytorch"
    assert files(home) == (files(here(cluster))[0], 1)
    assert len(files(home)[0]) == 5


@pytest.mark.parametrize(("how", "call"), faults(HOME, first=2))
def test_output_that_cannot_be_brought_home_is_a_failure(cluster, how, call):
    """It says so; what was trained is still on the node, and what had arrived is in the bucket."""
    code, output = cluster.run("--train_url", OUT, *options(how, 2 if call == 2 else 1), FAKE_FAULT=f"{how} {call}-")
    assert code == 1
    assert reason(how, call) in output
    assert f"failed {2 if call == 2 else 1} times" in output
    assert len(files(here(cluster))[0]) == 5
    if how == "raise":
        assert sum(1 for path in (cluster.bucket / "out").rglob("*") if path.is_file()) == (call - 1) // 2


@pytest.mark.parametrize(("how", "call"), faults(HOME[:2], first=2))
def test_a_fault_meanwhile_does_not_stop_the_training(cluster, how, call):
    """Of the copy now and then: it is given up, the training goes on, and the copy in the end has everything."""
    code, output = cluster.run(
        "--train_url", OUT, *options(how, 1), "--sync_minutes", "0.005", FAKE_FAULT=f"{how} {call}", STUB_SECONDS="0.25"
    )
    assert code == 0, output
    assert "The output was not copied this time" in output
    assert reason(how, call) in output
    assert files(cluster.bucket / "out" / "trial-pytorch") == (files(here(cluster))[0], 1)


def test_a_job_that_is_stopped_while_a_copy_hangs_still_brings_its_output_home(cluster):
    process = cluster.start(
        "--train_url", OUT, *options("hang", 8), "--sync_minutes", "0.005", FAKE_FAULT="hang 2", STUB_SECONDS="3600"
    )
    deadline = time.monotonic() + HANGS
    while len(cluster.calls()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=HANGS)[0]
    assert process.returncode == 128 + signal.SIGTERM, output
    assert (cluster.bucket / "out" / "trial-pytorch" / "checkpoint" / "state.safetensors").read_text() == "1"
