"""Files are whole or not there, are on the disk when that is said, follow no planted link, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common import writing
from common.files import new_folder
from common.writing import write_atomic, write_json
from tests.support import HANGS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _first_write(monkeypatch):
    """As in a new process: folders have not been swept yet."""
    monkeypatch.setattr(writing, "_swept", set())


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomic(path, "first")
    write_atomic(path, "zweite äöü")
    assert path.read_text(encoding="utf-8") == "zweite äöü"
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomic(path, "old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1.0, float("-inf")]}])
def test_json_has_no_nan(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", value)
    assert not list(tmp_path.iterdir())


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    write_atomic(tmp_path / "ours", "x")
    (tmp_path / "theirs").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_a_planted_link_is_replaced_and_its_target_untouched(tmp_path):
    (tmp_path / "precious").write_text("keep me")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").symlink_to(tmp_path / "precious")
    (folder / f".config.yaml.{os.getpid()}.tmp").symlink_to(tmp_path / "precious")
    write_atomic(folder / "config.yaml", "new")
    assert (tmp_path / "precious").read_text() == "keep me"
    assert not (folder / "config.yaml").is_symlink()


def test_a_link_under_the_very_name_of_the_temporary_file_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("keep me")
    names = iter(["0" * 16, "1" * 16])
    (tmp_path / f".twinlora-{'0' * 16}.tmp").symlink_to(tmp_path / "precious")
    monkeypatch.setattr(writing.secrets, "token_hex", lambda _: next(names))
    write_atomic(tmp_path / "x", "new")
    assert (tmp_path / "precious").read_text() == "keep me"
    assert (tmp_path / "x").read_text() == "new"


def test_file_directory_and_new_parents_are_synchronised_in_this_order(tmp_path, monkeypatch):
    said = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda fd: (said.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr("os.replace", lambda old, new: (said.append(f"rename to {new}"), replace(old, new)))
    path = tmp_path / "a" / "b" / "x"
    write_atomic(path, "x")
    assert said[0:2] == [str(tmp_path / "a"), str(tmp_path)]
    assert said[2].startswith(str(tmp_path / "a" / "b" / ".twinlora-"))
    assert said[3:] == [f"rename to {path}", str(tmp_path / "a" / "b")]
    said.clear()
    write_atomic(path, "y", durable=False)
    assert said == [f"rename to {path}"]


def old(path):
    os.utime(path, (time.time() - 3600,) * 2)


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path):
    left, other, fresh = (
        tmp_path / name for name in (f".twinlora-{'a' * 16}.tmp", ".x.tmp", f".twinlora-{'b' * 16}.tmp")
    )
    link = tmp_path / f".twinlora-{'c' * 16}.tmp"
    for path in (left, other, fresh):
        path.write_text("")
    old(left)
    old(other)
    link.symlink_to(other)
    write_atomic(tmp_path / "x", "x")
    assert {path.name for path in tmp_path.iterdir()} == {"x", other.name, fresh.name, link.name}


WRITER = """
import os, sys, time
from pathlib import Path
from common import writing
from common.files import new_folder
def wait(fd):
    print("writing", flush=True)
    time.sleep(600)
os.fsync = wait
writing.write_atomic(Path(sys.argv[1]) / "x", "x")
"""


def test_a_file_that_another_process_is_writing_stays_and_is_swept_once_that_is_killed(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout.readline() == "writing\n"
        (temporary,) = tmp_path.glob(".twinlora-*.tmp")
        old(temporary)
        writing.sweep(tmp_path)
        assert temporary.exists()
    finally:
        writer.kill()
        writer.communicate(timeout=HANGS)
    writing._swept.clear()
    write_atomic(tmp_path / "y", "y")
    assert not temporary.exists()
    assert not (tmp_path / "x").exists()


def test_a_device_or_a_pipe_is_written_to_and_stays_one(tmp_path):
    write_atomic(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    write_atomic(tmp_path / "pipe", "through")
    assert reader.communicate(timeout=HANGS)[0] == b"through"
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_that_a_killed_process_was_filling_is_swept_and_one_being_filled_is_not(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from common.files import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'inside').mkdir(); (folder / 'inside' / 'half').write_text('x'); print('ready', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "out")], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout.readline() == b"ready\n"
        [left] = tmp_path.iterdir()
        mine = tmp_path / ".twinlora-mine.tmp"
        mine.mkdir()
        for folder in (left, mine):
            os.utime(folder, (time.time() - 3600,) * 2)
        with new_folder(tmp_path / "first") as folder:
            (folder / "file").write_text("x")
        assert left.is_dir()
    finally:
        process.kill()
        process.wait(HANGS)
    os.utime(left, (time.time() - 3600,) * 2)
    writing._swept.clear()
    with new_folder(tmp_path / "second") as folder:
        (folder / "file").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".twinlora-mine.tmp", "first", "second"]


def test_a_new_folder_is_on_the_disk_with_what_others_wrote_in_it(tmp_path, monkeypatch):
    synced, fsync, replace = [], os.fsync, os.replace

    def recorded(descriptor):
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def replaced(*paths):
        synced.append("replaced")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(os, "replace", replaced)
    with new_folder(tmp_path / "out") as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "graph").write_bytes(b"by a library")
    assert synced.index("graph") < synced.index("inside") < synced.index("replaced") < synced.index(tmp_path.name)
