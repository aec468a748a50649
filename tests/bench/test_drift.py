"""The script that writes the drift section: numbers come from the traces, and a document without the markers stays as
it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from common.parity.trace import Trace

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/bench/drift.py"


@pytest.fixture(scope="module")
def drift():
    spec = importlib.util.spec_from_file_location("drift", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def traces(with_losses=True):
    exact = np.linspace(2.0, 1.0, 12)
    losses = {
        "baseline": exact * (1 + 1e-7),
        "test": exact * np.where(np.arange(12) == 3, 1 + 4e-6, 1.0),
        "reference": exact,
    }
    producer = {
        "framework": "f",
        "version": "1",
        "device": "cpu",
        "device_name": None,
        "dtype": "float32",
        "hardware": {"cpu": "c", "cores": 2},
    }
    manifest = {"producer": producer, "suite": {}, "cases": [{"id": "training/job/dropout"}]}
    return {
        side: Trace(Path(side), manifest, {"training/job/dropout::loss": values} if with_losses else {})
        for side, values in losses.items()
    }


def test_the_section_holds_the_distances_of_the_traces(drift):
    given = traces()
    found = drift.distances(given)
    text = drift.section(found, given)
    assert "| job/dropout | PyTorch to float64 | 1.0e-07 | 1.0e-07 | 1.0e-07 | 1.0e-07 |" in text
    assert "| job/dropout | MindSpore to float64 | 0.0e+00 | 4.0e-06 | 4.0e-06 | 0.0e+00 |" in text
    assert drift.drawing(found).startswith("<?xml")


def test_traces_without_a_training_are_refused(drift):
    with pytest.raises(InputError, match="losses of a training"):
        drift.distances(traces(with_losses=False))


def test_a_document_without_markers_is_left_alone(drift, tmp_path):
    path = tmp_path / "parity.md"
    path.write_text("text")
    with pytest.raises(InputError, match="once each"):
        drift.insert(path, "new")
    assert path.read_text() == "text"
    path.write_text(f"a\n{drift.MARKERS[0]}\nold\n{drift.MARKERS[1]}\nb")
    drift.insert(path, "new")
    assert path.read_text() == f"a\n{drift.MARKERS[0]}\nnew\n{drift.MARKERS[1]}\nb"
