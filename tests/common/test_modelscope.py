"""Models and data sets of ModelScope, by a stand-in of its package that copies local folders."""

from __future__ import annotations

import shutil
import socket
import sys
from fnmatch import fnmatch
from types import SimpleNamespace

import pytest

from common import hub, modelscope
from common.cli.main import main
from common.config import load_config
from common.data import load_dataset
from common.data.sources import hub_id, resolve_folder
from common.tasks import TASKS
from tests.common.test_hub import PROXIES


@pytest.fixture(autouse=True)
def forgotten():
    for function in (modelscope.model_folder, modelscope.data_folder):
        function.cache_clear()
    yield
    for function in (modelscope.model_folder, modelscope.data_folder):
        function.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site that answers, with the repositories in the folder ``remote``; what was fetched lies in ``cache``."""
    remote, cache, calls = tmp_path / "remote", tmp_path / "cache", []

    def fetch(name, allow_patterns, local_files_only=False):
        calls.append(name)
        target = cache / name
        if not local_files_only:
            for file in (remote / name).iterdir():
                if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, target)
        if not target.is_dir():
            raise FileNotFoundError(f"{name} is not there.\nmore")
        return str(target)

    stand_in = SimpleNamespace(
        snapshot_download=fetch,
        dataset_snapshot_download=lambda name, allow_patterns: fetch(name, allow_patterns),
    )
    monkeypatch.setitem(sys.modules, "modelscope", stand_in)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield SimpleNamespace(remote=remote, cache=cache, calls=calls)


def repository(folder, **files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_model_is_fetched_once_and_without_pickles(site):
    repository(site.remote / "o" / "n", config__json="{}", pytorch_model__bin="pickle", vocab__txt="a")
    folder = resolve_folder("modelscope:o/n")
    assert {path.name for path in folder.iterdir()} == {"config.json", "vocab.txt"}
    assert resolve_folder("modelscope:o/n") == folder
    assert site.calls == ["o/n"]
    assert hub_id("modelscope:o/n") is None


def test_a_data_set_is_read_by_its_columns(site):
    rows = "".join(f"text {number},{number % 2}\n" for number in range(20))
    repository(site.remote / "o" / "d", train__csv=f"said,stars\n{rows}", script__py="raise SystemExit")
    entries = {"name": "hub", "hub": "modelscope:o/d", "text_column": "said", "label_column": "stars"}
    config = load_config("bert_sst2", [f"data.{key}={value}" for key, value in entries.items()])
    data = load_dataset(config.data, TASKS.get(config.model.task))
    assert data.label_names == ("0", "1")
    assert sum(len(rows) for rows in data.splits.values()) == 20
    assert not (site.cache / "o" / "d" / "script.py").exists()


def test_what_was_fetched_before_is_enough_where_the_site_is_out_of_reach(site, monkeypatch):
    repository(site.cache / "o" / "n", config__json="{}")
    monkeypatch.setattr(hub, "unreachable", lambda endpoint: "cannot be reached from here")
    assert resolve_folder("modelscope:o/n") == site.cache / "o" / "n"


def refused(capsys, *arguments):
    assert main(["inspect", "bert_sst2", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_what_is_not_to_be_had_is_refused_with_one_sentence(site, monkeypatch, capsys, tmp_path):
    (tmp_path / "train.tsv").write_text("good\t1\nbad\t0\nfine\t1\n")
    here = ("--data-dir", str(tmp_path), "--model")
    assert "could not be had from ModelScope: FileNotFoundError" in refused(capsys, *here, "modelscope:o/none")
    assert "is named modelscope:ORG/NAME" in refused(capsys, *here, "modelscope:none")
    assert "is named modelscope:ORG/NAME" in refused(capsys, *here, "modelscope:../x")
    monkeypatch.setattr(hub, "unreachable", lambda endpoint: "cannot be reached from here")
    assert "cannot be reached from here, and it was not downloaded before" in refused(capsys, *here, "modelscope:o/x")
    monkeypatch.setitem(sys.modules, "modelscope", None)
    assert "pip install modelscope" in refused(capsys, *here, "modelscope:o/y")
