"""Nothing that a file, a model or a label holds steers the terminal."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import terminal
from common.api_mapping.scan import render, scan
from common.cli.main import main
from common.errors import InputError, run_script
from common.launch.processes import Log
from common.terminal import notice, printable, printable_line
from common.training.progress import Progress

ATTACK = "a\x1b]0;title\x07\x1b[2J\r\x9b31m\u202egnp.exe\u2066\x00\ud800b"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def test_what_steers_is_shown_as_an_escape_and_the_rest_stays():
    assert printable("a\x1b[2Jb\r\n\tä😀\u200d") == "a\\x1b[2Jb\\r\n\tä😀\u200d"
    assert printable_line("a\n\tb") == "a\\n\\tb"
    assert printable("\u202e\ud800\x9b") == "\\u202e\\ud800\\x9b"


@given(st.text(st.characters(codec=None)))
def test_no_text_steers(text):
    assert not STEERING.search(printable(text))
    assert not re.search("[\n\t]", printable_line(text))
    printable(text).encode()


def test_errors_messages_and_logs_are_shown_printable(monkeypatch, capsys):
    def run(args):
        raise InputError(f"the label {ATTACK}")

    monkeypatch.setattr("common.cli.commands.inspect.run", run)
    assert main(["inspect", "bert_sst2"]) == 2
    with pytest.raises(SystemExit):
        run_script(lambda: run(None))
    Log("rank 0").say(f"read {ATTACK}")
    out, err = capsys.readouterr()
    assert not STEERING.search(out + err)
    assert err.count("\\x1b[2J") == 2
    assert out.count("\\x1b[2J") == 1


def test_progress_is_shown_printable():
    stream = io.StringIO()
    Progress(stream).say(f"classes: {ATTACK}, [bold]")
    assert not STEERING.search(stream.getvalue())
    assert "[bold]" in stream.getvalue()


def test_a_notice_is_said_once(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "_said", set())
    for _ in range(3):
        notice(f"file {ATTACK}")
    err = capsys.readouterr().err
    assert err.count("note: ") == 1
    assert not STEERING.search(err)


def test_scanned_code_and_its_file_name_are_shown_printable(tmp_path):
    path = tmp_path / "a\x1b[2J.py"
    path.write_text("import torch\ntorch.no_such(x)  # \x1b[2J\nx = '\x1b[31m'; torch.relu(x, '\x1b[1m')\n")
    for form in ("text", "markdown"):
        assert not STEERING.search(render(scan([path]), form))
    json.loads(render(scan([path]), "json"))


@pytest.mark.parametrize(
    "command",
    [
        ["trace", "compare", f"nowhere{ATTACK[:8]}", "b"],
        ["eval", f"no{ATTACK[:8]}"],
        ["compare", f"a{ATTACK[:8]}", "b"],
    ],
)
def test_names_of_files_are_shown_printable(command, capsys):
    assert main(command) == 2
    assert not STEERING.search(capsys.readouterr().err)
