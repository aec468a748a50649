"""What a shell offers after a Tab, by `argcomplete`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from common.cli import options

pytest.importorskip("argcomplete")


def offered(line, tmp_path, **environ):
    """The words after ``line``, as the shell would get them."""
    found = tmp_path / "offered"
    given = {
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(found), "COMP_LINE": line, "COMP_POINT": str(len(line)), **environ,
    }  # fmt: skip
    subprocess.run([sys.executable, "-m", "twinlora"], env=given, capture_output=True, timeout=300, check=False)
    return [word.strip() for word in found.read_text().splitlines()]


def test_commands_options_experiments_and_backends_are_offered(tmp_path):
    assert offered("twinlora tra", tmp_path) == ["trace", "track", "train"]
    assert "--device" in offered("twinlora train --de", tmp_path)
    assert "bert_sst2" in offered("twinlora train bert_s", tmp_path)
    assert offered("twinlora train bert_sst2 --backend m", tmp_path) == ["mindspore"]


def test_a_file_is_offered_as_its_folder_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "other.yaml").touch()
    for typed, wanted in [
        ("mi", "mine.yaml"),
        ("./m", "./mine.yaml"),
        ("inner/", "inner/other.yaml"),
        (f"{tmp_path}/m", f"{tmp_path}/mine.yaml"),
    ]:
        assert wanted in options._experiments(typed)
