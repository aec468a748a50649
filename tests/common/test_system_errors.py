"""What the operating system refuses is a message with the place and what to do, and exit code 1 or 2; never a
traceback."""

from __future__ import annotations

import errno
import os
import shutil

import pytest
from test_training_run import setup  # noqa: F401

from common.cli.commands import report
from common.cli.main import main
from common.errors import InputError, RunError, of_system
from common.reading import expanded


@pytest.mark.parametrize(
    ("error", "code", "parts"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), 1, ("runs/a: No space left", "Make room")),
        (OSError(errno.EROFS, "Read-only file system", "runs/a"), 1, ("Read-only", "can be written")),
        (OSError(errno.EMFILE, "Too many open files", "x"), 1, ("ulimit -n",)),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 2, ("shorter name",)),
        (OSError(errno.EACCES, "Permission denied", "x"), 2, ("permissions",)),
        (OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"), 2, ("a -> b: Invalid",)),
        (OSError("without a number"), 2, ("without a number",)),
        (MemoryError(), 1, ("no more memory", "smaller batch")),
    ],
)
def test_an_error_of_the_system_is_a_message_with_what_to_do(monkeypatch, capsys, error, code, parts):
    def fail(args):
        raise error

    monkeypatch.setattr(report, "run", fail)
    assert main(["report", "runs/a"]) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert all(part in said for part in parts)


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied", "runs/a"), MemoryError()])
def test_of_a_run_that_has_begun_it_is_said_what_is_kept(error):
    shown = of_system(error, "then continue with --resume: the last checkpoint is whole in runs/a.")
    assert isinstance(shown, RunError)
    assert "continue with --resume: the last checkpoint is whole in runs/a." in str(shown)


def test_a_disk_that_is_full_in_the_middle_ends_the_run_and_it_continues(setup, monkeypatch):  # noqa: F811
    """The bytes are those of a run that nothing happened to."""
    setup.run(setup.config(), output=setup.folder.parents[1] / "whole")
    real, full = os.replace, []

    def replace(source, target):
        if str(target).endswith("state.safetensors") and len(full) < 3:
            full.append(target)
            if len(full) == 3:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(
        RunError, match=r"No space left on device\. Make room there, then continue with --resume: the last"
    ):
        setup.run(setup.config())
    assert not list(setup.folder.rglob("*.tmp"))
    setup.run(setup.config(), resume=True)
    adapter = "adapter/adapter_model.safetensors"
    whole = setup.folder.parents[1] / "whole/trial/pytorch"
    assert (setup.folder / adapter).read_bytes() == (whole / adapter).read_bytes()


@pytest.mark.parametrize("step", [2, 8, 23])
def test_a_directory_that_is_deleted_ends_the_run_and_is_not_made_again(setup, step):  # noqa: F811
    setup.backend.Engine.on_step = staticmethod(lambda now: shutil.rmtree(setup.folder) if now == step else None)
    with pytest.raises(RunError, match=r"deleted .*no checkpoint was saved yet"):
        setup.run(setup.config())
    assert not any(path.is_file() for path in setup.folder.rglob("*") if path.name != ".lock")
    setup.backend.Engine.on_step = staticmethod(lambda now: None)
    assert setup.run(setup.config(), resume=True)["status"] == "finished"


def test_a_place_where_no_folder_can_be_made_is_refused(setup, tmp_path):  # noqa: F811
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"A run directory must be made and written; .* Not a directory"):
        setup.run(setup.config(), output=tmp_path / "file" / "runs")


def test_a_home_that_is_not_known_is_said():
    with pytest.raises(InputError, match=r"~nobody-of-this-name/x: .*Write the path without ~"):
        expanded("~nobody-of-this-name/x")
