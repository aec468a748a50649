"""A hub that cannot be reached is found out at once, and said."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from common import hub

PROXIES = [*hub._PROXIES, *(name.lower() for name in hub._PROXIES)]


@pytest.fixture
def nowhere(monkeypatch):
    """A hub at a port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{held.getsockname()[1]}"
    for name in (*PROXIES, "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    hub._unreachable.cache_clear()
    yield endpoint
    hub._unreachable.cache_clear()


def test_where_nobody_answers_the_client_stays_offline(nowhere):
    assert "cannot be reached" in hub.settle()
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert nowhere in hub.explained(OSError("one line\nand another"))


def test_a_hub_that_answers_is_left_alone(nowhere, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.settle() == ""
    assert "HF_HUB_OFFLINE" not in os.environ
    assert hub.explained(OSError("no such model.\nand more")) == "OSError: no such model"


def test_behind_a_proxy_nothing_is_tried(nowhere, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert hub.settle() == ""


def test_a_command_without_a_hub_ends_at_once_and_names_the_options(nowhere, tmp_path):
    given = {**os.environ, "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "twinlora", "inspect", "bert_sst2"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "--model" in done.stderr
    assert "--data-dir" in done.stderr
    assert "Retry" not in done.stderr
    assert done.stderr.count("\n") == 1
