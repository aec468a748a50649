"""The fault scripts in their short form: a few trials of each, with nothing lost; and that they notice what they look
for."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.files import save_arrays
from tests.support import HANGS

FOLDER = Path(__file__).resolve().parents[2] / "scripts" / "faults"


@pytest.fixture
def script(monkeypatch):
    """Imports a module of the scripts' folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def run(name, output, *arguments):
    """One command, and the rows that it wrote."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments, "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=False)
    return done, json.loads(output.read_text()) if output.is_file() else []


@pytest.mark.needs_pytorch
@pytest.mark.slow
def test_a_few_kills_lose_nothing(tmp_path):
    done, rows = run(
        "kills", tmp_path / "k.json", "--backend", "pytorch", "--random", "2", "--every-write", "--step", "70"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["tried"] >= 2 for row in rows] == [True, True]
    assert [row["wrong"] for row in rows] == [[], []]


@pytest.mark.needs_pytorch
@pytest.mark.slow
def test_a_few_mutated_files_of_every_reader_are_read_or_refused(tmp_path):
    done, rows = run("inputs", tmp_path / "i.json", "--count", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows) == 19
    assert {row["tried"] for row in rows} == {6}


@pytest.mark.needs_pytorch
@pytest.mark.slow
def test_what_the_system_refuses_loses_nothing(tmp_path):
    done, rows = run("system", tmp_path / "s.json", "--step", "80")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows) == 4


@pytest.mark.needs_pytorch
@pytest.mark.slow
def test_a_few_kills_of_commands_with_a_state_of_their_own_lose_nothing(tmp_path):
    names = "^AdaLoRA|^trace|^merge"
    done, rows = run("members", tmp_path / "m.json", "--backend", "pytorch", "--moments", "2", "--only", names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(row["tried"], row["notes"]["exact"], row["wrong"]) for row in rows] == [(2, 2, [])] * 3


def test_the_moments_are_steps_checkpoints_and_every_folder_in_turn(script):
    members = script("members")
    kinds = [
        "open data/*",
        *["train_step", "eval_step"] * 40,
        "open checkpoint/*",
        "rename checkpoint/state",
        "open adapter/*",
    ]
    chosen = [kinds[number - 1] for number in members.moments(kinds, 4, random.Random(0))]
    assert {kind.partition(" ")[2].partition("/")[0] for kind in chosen} == {"", "checkpoint", "data", "adapter"}
    assert len(members.moments(kinds, 99, random.Random(0))) == 99


def test_what_differs_in_two_folders_is_found_and_times_are_not(script, tmp_path):
    comparing = script("comparing")
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / ".twinlora-0.tmp").mkdir(parents=True)
        (folder / ".twinlora-0.tmp" / name).write_text(name)
        (folder / "metrics.jsonl").write_text(
            f'{{"step": 1, "loss": 2, "seconds": {len(name) if name == "a" else 9}}}\n'
        )
        save_arrays(
            folder / "state.safetensors", {"x": np.ones(2, np.float32)}, {"progress": f'{{"seconds": "{name}"}}'}
        )
    assert comparing.differences(tmp_path / "a", tmp_path / "b") == []
    (tmp_path / "a" / "metrics.jsonl").write_text('{"step": 1, "loss": 3}\n')
    save_arrays(tmp_path / "a" / "state.safetensors", {"x": np.zeros(2, np.float32)})
    (tmp_path / "a" / "more").write_text("x")
    assert comparing.differences(tmp_path / "a", tmp_path / "b") == [
        "more is too much",
        "metrics.jsonl: loss is 3 instead of 2",
        "state.safetensors: 1 arrays, such as x",
    ]
    assert comparing.differences(tmp_path / "c", tmp_path / "b") == ["c is missing"]


def test_a_traceback_a_hang_and_an_endless_message_are_faults(script, monkeypatch):
    inputs = script("inputs")
    monkeypatch.setattr(inputs, "_LONGEST", 1)

    def refuse(text):
        raise InputError(text)

    def hang():
        while True:
            pass

    assert inputs.attempt(lambda: None) == (True, [])
    assert inputs.attempt(lambda: refuse("wrong")) == (False, [])
    assert inputs.attempt(lambda: {}["key"])[1][0].startswith("KeyError at test_short_forms.py")
    assert "more than 1 s" in inputs.attempt(hang)[1][0]
    assert "message of 0" in inputs.attempt(lambda: refuse(""))[1][0]
    assert "message of 30000" in inputs.attempt(lambda: refuse("a" * 30_000))[1][0]


def test_a_file_that_is_not_whole_is_a_finding(script, tmp_path):
    laboratory = script("laboratory")
    (tmp_path / "summary.json").write_text('{"a": ')
    (tmp_path / "state.safetensors").write_bytes(b"\x10")
    found = laboratory.problems_of(tmp_path)
    assert [problem.partition(":")[0] for problem in found] == ["state.safetensors", "summary.json"]


ROW = {"fault": "f", "where": "w", "promise": "p", "tried": 3, "wrong": [], "notes": {"n": 1}, "seconds": 2.0}


def test_the_table_holds_what_was_counted_and_rows_replace_rows(script, tmp_path):
    table = script("table")
    (tmp_path / "before.json").write_text(json.dumps([ROW, ROW | {"where": "v"}]))
    (tmp_path / "now.json").write_text(json.dumps([ROW | {"tried": 5, "wrong": [{"trial": "x"}]}]))
    rows = table.rows_of([tmp_path / "now.json"], tmp_path / "before.json")
    assert [(row["where"], row["tried"]) for row in rows] == [("w", 5), ("v", 3)]
    page = table.with_table(f"a\n{table.MARKERS[0]}\nold\n{table.MARKERS[1]}\nb\n", rows)
    assert "| f | w | 5 | 1 | 2 | n: 1 |" in page
    assert "\nold\n" not in page
    with pytest.raises(InputError, match="must hold the markers"):
        table.with_table("a", rows)


def test_the_published_table_is_that_of_the_published_counts(script):
    table = script("table")
    rows = json.loads((table.ROOT / "docs/reliability.json").read_text(encoding="utf-8"))
    page = (table.ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert table.with_table(page, rows) == page
