"""A hub that cannot be reached is found out at once, and said: what was looked for, and what to name instead."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import hub
from common.backend import available
from common.errors import InputError
from common.language import speaking

ROOT = Path(__file__).resolve().parents[2]
PROXIES = [*hub._PROXIES, *(name.lower() for name in hub._PROXIES)]
MODEL = "google-bert/bert-base-uncased"
ROWS = "text,label\n" + "a fine film,good\na dull film,bad\n" * 4
OWN = """
model: {source: google-bert/bert-base-uncased}
data: {name: files, files: {train: own.csv, validation: own.csv}, text_column: text, label_column: label}
adaptation: {method: lora, rank: 8, alpha: 16, targets: [all-linear]}
training: {global_batch_size: 4, epochs: 1, metric: accuracy}
"""
HUB = ("--set", "data.name=hub", "--set", "data.hub=owner/reviews", "--set", "data.files={}")
#: Arguments, what they look for, and the options that the message offers.
COMMANDS = [
    (("inspect", "bert_sst2"), (f"The model {MODEL}", "the data set stanfordnlp/sst2"), ("--model", "--data-dir")),
    (("train", "bert_sst2", "--backend", "BACKEND"), (f"The model {MODEL}", "stanfordnlp/sst2"), ("--model", "--data-dir")),
    (("train", "own.yaml", "--backend", "BACKEND"), (f"The model {MODEL}",), ("--model", "modelscope:ORG/NAME")),
    (("inspect", "own.yaml", "--set", "model.tokenizer=a/words", "--model", "FOLDER"), ("The tokenizer a/words",), ("model.tokenizer",)),
    (("inspect", "own.yaml", *HUB, "--model", "FOLDER"), ("The data set owner/reviews",), ("data.name: files", "data.hub")),
    (("inspect", "gpt2_e2e", "--model", "FOLDER"), ("The data set tuetschek/e2e_nlg",), ("--data-dir",)),
    (("memory", "bert_emotion"), (f"The model {MODEL}",), ("--model",)),
    (("compress", MODEL, "--with", "svd", "--set", "rank=8", "-o", "small"), (f"The model {MODEL}",), ("python:PACKAGE/FOLDER",)),
]  # fmt: skip


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A hub at a port on which nobody listens, and no caches of its clients."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{held.getsockname()[1]}"
    others = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE")
    for name in (*PROXIES, *others, hub._FOUND):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub._unreachable.cache_clear()
    yield endpoint
    hub._unreachable.cache_clear()


def test_where_nobody_answers_the_client_stays_offline(nowhere):
    assert "cannot be reached" in hub.settle()
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert nowhere in hub.explained(OSError("one line\nand another"))


def test_a_hub_that_answers_is_left_alone(nowhere, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert hub.settle() == ""
        said = f"The model a/b cannot be had from {address}: OSError: no such model. Check"
        with pytest.raises(InputError, match=said), hub.obtaining(hub.model("a/b")):
            raise OSError("no such model.\nand more")
    assert "HF_HUB_OFFLINE" not in os.environ
    assert hub.explained(OSError("no such model.\nand more")) == "OSError: no such model"


def test_behind_a_proxy_nothing_is_tried(nowhere, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert hub.settle() == ""


def test_what_was_downloaded_is_looked_at_and_nothing_else(nowhere, tmp_path):
    wanted = [hub.model("google/one"), hub.data("owner/MyData"), hub.registered_data("owner/other")]
    (tmp_path / "hf" / "hub" / "models--google--one").mkdir(parents=True)
    (tmp_path / "hf" / "datasets" / "owner___my_data").mkdir(parents=True)
    hub.refuse_absent(wanted[:2])
    with pytest.raises(InputError, match=r"^The data set owner/other cannot be had: http"):
        hub.refuse_absent(wanted)
    entered = []
    with pytest.raises(InputError, match=r"^The data set owner/other"), hub.obtaining(wanted[2]):
        entered.append(True)
    assert not entered


def test_one_who_wants_nothing_downloaded_is_told_of_that_alone(nowhere, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError) as caught:
        hub.refuse_absent([hub.model("a/b")])
    assert "HF_HUB_OFFLINE is set" in str(caught.value)
    assert "or unset HF_HUB_OFFLINE." in str(caught.value)
    assert "mirror" not in str(caught.value)


def test_a_process_that_this_one_starts_says_what_this_one_found(nowhere):
    """It inherits HF_HUB_OFFLINE, which the user has not set."""
    hub.settle()
    code = "from common import hub; print(hub.settle())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{nowhere} cannot be reached from here")


def test_in_chinese(nowhere):
    with speaking("zh"), pytest.raises(InputError) as caught:
        hub.refuse_absent([hub.model("a/b"), hub.registered_data("c/d")])
    assert str(caught.value).startswith("无法取得模型 a/b 和数据集 c/d")
    assert f"{nowhere} 无法访问" in str(caught.value)
    assert str(caught.value).endswith("或用 HF_ENDPOINT 指定镜像地址。")


@pytest.mark.parametrize("offline", [False, True])
def test_every_command_names_what_it_looked_for_and_what_to_do(nowhere, tmp_path, monkeypatch, offline):
    """In processes of their own, without one of the libraries that take seconds to be imported."""
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(OWN)
    Path("own.csv").write_text(ROWS)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    given = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPROFILEIMPORTTIME": "1"}
    installed = [name for name, there in available().items() if there]  # what is absent is said before
    for arguments, things, options in COMMANDS[:: 3 if offline else 1]:
        for backend in installed if "BACKEND" in arguments else ("",):
            named = [str(folder) if one == "FOLDER" else backend if one == "BACKEND" else one for one in arguments]
            began = time.monotonic()
            command = [sys.executable, "-m", "twinlora", *named]
            done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)
            lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
            [said] = lines
            assert done.returncode == 2, (named, said)
            for part in (*things, *options, "HF_HUB_OFFLINE" if offline else "HF_ENDPOINT"):
                assert part in said, (named, said)
            assert said.count(". ") == 1, said
            imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time:" in line}
            assert not imported & {"torch", "mindspore", "datasets"}, named
            assert time.monotonic() - began < 60, named  # a second or two on a machine of one's own
