"""Copies from and to a bucket end whole or with an error, whatever the store's client does."""

import time
from pathlib import Path

import pytest

from common.errors import InputError, RunError
from common.launch import transfer
from common.launch.staging import Patience, download, is_remote, upload
from tests.support import HANGS

CALLS = 10  # of fetch() and bring() together; test_every_call_is_spoiled_below keeps this true
SPOILED = range(1, CALLS + 1)


@pytest.fixture
def store(cluster, monkeypatch):
    """The bucket, for copies of this process's own: two files to fetch, two to bring."""
    for name in ("PYTHONPATH", "FAKE_STORE"):
        monkeypatch.setenv(name, cluster.environ[name])
    for name in ("adapter/weights", "checkpoint/state"):
        (cluster.scratch / "run" / name).parent.mkdir(parents=True)
        (cluster.scratch / "run" / name).write_text(name * 9)
    return cluster


def fetch(store, patience):
    return download("obs://bucket/data/", store.scratch / "job" / "data", patience, lambda text: None)


def bring(store, patience):
    upload(store.scratch / "run", "s3://bucket/out/run", patience, lambda text: None)


def files(folder: Path):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def everything_arrives(store, patience):
    fetch(store, patience)
    bring(store, patience)
    assert files(store.scratch / "job" / "data") == files(store.bucket / "data")
    assert files(store.bucket / "out" / "run") == files(store.scratch / "run")


def test_every_call_is_spoiled_below(store):
    """And without faults every copy is whole."""
    fetch(store, Patience())
    assert store.calls() == ["exists", "is_directory", "list_directory", "get_size", "get_size", "copy_parallel"]
    bring(store, Patience())
    assert store.calls()[6:] == ["copy", "get_size"] * 2
    assert len(store.calls()) == CALLS
    assert files(store.scratch / "job" / "data") == files(store.bucket / "data")
    assert files(store.bucket / "out" / "run") == files(store.scratch / "run")


@pytest.mark.parametrize("how", ["raise", "half"])
@pytest.mark.parametrize("call", SPOILED)
def test_a_passing_fault_costs_an_attempt_and_nothing_else(store, monkeypatch, how, call):
    monkeypatch.setenv("FAKE_FAULT", f"{how} {call}")
    everything_arrives(store, Patience(20, 2, 0.01))
    harmless = how == "half" and call <= 2  # these two have no half
    assert (len(store.calls()) > CALLS) is not harmless


@pytest.mark.parametrize(
    ("how", "call"), [(how, call) for how in ("raise", "half") for call in SPOILED if how == "raise" or call > 2]
)
def test_a_lasting_fault_is_an_error_and_leaves_nothing_half_done(store, monkeypatch, how, call):
    monkeypatch.setenv("FAKE_FAULT", f"{how} {call}-")
    with pytest.raises(RunError, match=r"store broke down|not whole"):  # noqa: PT012  (which of the two fails depends on the call)
        fetch(store, Patience(20, 2, 0.01))
        bring(store, Patience(20, 2, 0.01))
    staged = store.scratch / "job" / "data"
    assert not staged.exists() or files(staged) == files(store.bucket / "data")
    assert [path.name for path in (store.scratch / "job").glob("*")] in ([], ["data"])  # no leftovers either


@pytest.mark.parametrize("call", [1, 6, 10])
def test_a_call_that_hangs_is_ended_and_tried_again(store, monkeypatch, call):
    monkeypatch.setenv("FAKE_FAULT", f"hang {call}")
    everything_arrives(store, Patience(1, 30, 0.01))  # a slow copy may be given up for a hanging one
    assert len(store.calls()) > CALLS


def test_a_store_that_hangs_for_good_is_an_error_in_time(store, monkeypatch):
    monkeypatch.setenv("FAKE_FAULT", "hang 1-")
    patience = Patience(0.4, 2, 0.1)
    begun = time.monotonic()
    with pytest.raises(RunError, match=r"failed 2 times.*did not end within 0\.4 s"):
        fetch(store, patience)
    assert 0.9 <= time.monotonic() - begun < HANGS
    assert patience.longest == pytest.approx(0.9)


def test_the_checkpoint_goes_last(store):
    """A run is resumed from it, so that what it refers to must have arrived when it does."""
    (store.scratch / "run" / "metrics.jsonl").write_text("{}")
    (store.scratch / "run" / ".metrics.jsonl.7.tmp").write_text("half")
    bring(store, Patience())
    copied = [line.split()[1] for line in (store.store / "calls").read_text().splitlines() if line.startswith("copy ")]
    assert [Path(path).name for path in copied] == ["weights", "metrics.jsonl", "state"]


def test_a_copy_that_was_given_up_and_came_first_is_as_good(store):
    fetch(store, Patience())
    fetch(store, Patience(20, 1))
    assert files(store.scratch / "job" / "data") == files(store.bucket / "data")
    assert [path.name for path in (store.scratch / "job").iterdir()] == ["data"]


def test_a_single_file_is_staged_too(store):
    target = store.scratch / "job" / "trial.yaml"
    assert download("obs://bucket/data/train.csv", target, Patience(), lambda text: None)
    assert target.read_text() == (store.bucket / "data" / "train.csv").read_text()


@pytest.mark.parametrize("url", ["obs://bucket/nothing", "obs://bucket/empty"])
def test_nothing_to_copy_is_a_mistake_or_a_beginning(store, url):
    (store.bucket / "empty").mkdir()
    said = []
    with pytest.raises(InputError, match=url):
        download(url, store.scratch / "target", Patience(), said.append)
    assert not download(url, store.scratch / "target", Patience(), said.append, optional=True)
    assert said[0] == f"Copying {url} to {store.scratch / 'target'}"
    assert not (store.scratch / "target").exists()


def test_without_the_stores_client_the_error_says_what_to_do(store, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(RunError, match="install_sys_packages"):
        fetch(store, Patience(20, 1))


def test_a_crash_of_the_client_is_an_error(store, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(store.scratch))
    (store.scratch / "moxing.py").write_text("import os; os._exit(139)")
    with pytest.raises(RunError, match="exit code 139"):
        fetch(store, Patience(20, 1))


def test_local_places_are_told_from_buckets():
    assert [is_remote(place) for place in ("obs://b/k", "s3://b/k", "/cache/obs://b", "data", "https://b/k")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_what_is_compared(tmp_path):
    (tmp_path / "deep").mkdir()
    for name, size in (("a", 3), ("deep/b", 0), (".hidden", 7)):
        (tmp_path / name).write_bytes(b"x" * size)
    assert transfer.sizes_of(tmp_path) == {"a": 3, "deep/b": 0}
