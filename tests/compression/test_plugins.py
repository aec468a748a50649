"""A transform and its layer from a folder outside of the package: nothing of the package is edited."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import common
from common.files import load_arrays
from tests.support import run_commands

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch, pytest.mark.needs_mindspore, pytest.mark.interpreted]

TOY = Path(__file__).resolve().parents[1] / "plugins" / "toy"


@pytest.fixture
def command(tmp_path):
    """Runs commands in a process of their own that finds the planted files."""
    planted = tmp_path / "planted"
    shutil.copytree(TOY, planted)
    root = str(Path(common.__file__).resolve().parents[1])
    environment = {**os.environ, "TWINLORA_PLUGINS": str(planted), "PYTHONPATH": root}
    return lambda *commands: run_commands(commands, tmp_path, environment)


def test_a_planted_transform_compresses_trains_saves_loads_counts_and_merges(work, base, command, tmp_path):
    folder = tmp_path / "out"
    [table, inspected] = command(
        ["compress", base, "--with", "halving", "--targets", "*.query", "-o", folder],
        ["inspect", *work.experiment(model=folder)],
    )
    assert "bert.encoder.layer.0.attention.self.query" in table
    [edit] = json.loads((folder / "config.json").read_text())["twinlora"]["edits"]
    assert (edit["layer"], edit["arguments"]) == ("halved", {"scale": 0.5})
    summary = json.loads((base / "summary.json").read_text())
    assert f"{summary['model']['parameters']:,} parameters" in inspected
    losses = {}
    for backend in ("pytorch", "mindspore"):
        without_dropout = work.experiment("model.dropout=0.0", "adaptation.dropout=0.0", model=folder)
        run = tmp_path / "runs" / "trial" / backend
        _, scores, _ = command(
            ["train", *without_dropout, "--backend", backend, "--device", "cpu", "--output", tmp_path / "runs"],
            ["eval", run],
            ["merge", run, tmp_path / backend, "--dense"],
        )
        losses[backend] = json.loads((run / "summary.json").read_text())["final_loss"]
        arrays, _ = load_arrays(tmp_path / backend / "model.safetensors")
        assert "bert.encoder.layer.0.attention.self.query.weight" in arrays
        assert json.loads(scores)["loss"] > 0
    assert losses["mindspore"] == pytest.approx(losses["pytorch"], rel=1e-4)
