"""The notebook's cells run in order in an empty folder, in both frameworks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import HANGS

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "quickstart.ipynb"


def cells() -> list[str]:
    """The source of the code cells."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
        pytest.param("mindspore", marks=(pytest.mark.needs_mindspore, pytest.mark.nightly)),
    ],
)
def test_the_notebook_trains_and_adapts(backend, tmp_path):
    default = 'BACKEND = "pytorch"'
    program = "\n".join(cells())
    assert program.count(default) == 1
    program = program.replace(default, f'BACKEND = "{backend}"') + "\nprint('counts', adapted.counts()['total'])\n"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "counts 84" in done.stdout
    assert (tmp_path / "runs" / "reviews" / backend / "summary.json").is_file()


def test_the_notebook_is_kept_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
