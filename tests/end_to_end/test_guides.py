"""The notebooks that guide through a subject run from the first cell to the last, and show what their text says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support import HANGS

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
GUIDES = ("own_data", "porting", "parity_report")


def executed(name, tmp_path, monkeypatch):
    """The text that every code cell shows."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    client.NotebookClient(notebook, timeout=HANGS, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    return ["".join(_text(output) for output in cell.outputs) for cell in code]


def _text(output):
    return output.get("text") or output.get("data", {}).get("text/plain", "")


@pytest.mark.nightly
@pytest.mark.needs_pytorch
def test_own_data_are_looked_at_trained_on_and_described(tmp_path, monkeypatch):
    shown = executed("own_data", tmp_path, monkeypatch)
    assert "review" in shown[2]
    assert "note:" in shown[2]
    assert json.loads((tmp_path / "runs/reviews/pytorch/summary.json").read_text())["validation"]["accuracy"] > 0.8
    assert "library_name: transformers" in shown[6]
    assert "model.safetensors" in shown[7]
    assert "Nothing was sent" in shown[7]


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_the_network_is_converted_and_computes_the_same(tmp_path, monkeypatch):
    shown = executed("porting", tmp_path, monkeypatch)
    assert "mindspore" in shown[3]
    assert "\nimport torch\n" not in (tmp_path / "gate_ms.py").read_text()
    assert json.loads((tmp_path / "check.json").read_text())
    assert "Gate: equal" in shown[4]


@pytest.mark.nightly
@pytest.mark.needs_pytorch
@pytest.mark.needs_mindspore
def test_the_report_passes_the_verified_call_and_fails_the_plain_one(tmp_path, monkeypatch):
    executed("parity_report", tmp_path, monkeypatch)
    counts = {
        name: json.loads((tmp_path / f"{name}.json").read_text())["counts"] for name in ("agreement", "difference")
    }
    assert counts["agreement"]["fail"] == 0
    assert counts["difference"]["fail"] > 0
    assert counts["difference"]["not comparable"] > 0
    assert (tmp_path / "difference.html").is_file()


@pytest.mark.parametrize("name", GUIDES)
def test_guides_are_kept_without_outputs(name):
    notebook = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
