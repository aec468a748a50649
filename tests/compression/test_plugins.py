"""A transform and its layer from a folder outside of the package: nothing of the package is edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import common
from common.files import load_arrays

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]

FILES = {
    "common/compression/halving.py": '''
        """Stores the doubled weight times one half."""
        import numpy as np

        from common.compression.report import ModuleReport, Report
        from common.compression.transform import Transform, matches
        from common.models.layers.halved import MEMBER as LAYER, HalvedArguments
        from common.models.structure import restructured

        class Halving(Transform):
            name = "halving"

            def apply(self, spec, options, statistics=None):
                arrays, edits, rows = dict(spec.arrays), list(spec.edits), []
                for item in matches(options, spec):
                    path, weight = item.module.path, arrays.pop(f"{item.module.path}.weight")
                    edits.append(LAYER.edit(item.module, HalvedArguments(0.5)))
                    arrays[f"{path}.doubled"] = 2 * weight
                    rows.append(ModuleReport(path, weight.size, weight.size, 0.0, float(np.linalg.norm(weight))))
                changed = restructured(spec, edits, arrays)
                return changed, Report.of(tuple(rows), spec, changed)

        MEMBER = Halving()
    ''',
    "common/models/layers/halved.py": '''
        """y = scale * D x + b."""
        import dataclasses
        from dataclasses import dataclass

        from common.models.layers.layer import Layer
        from common.models.modules import Kind

        HALVED = Kind("halved", lambda module: None, matrix=True)

        @dataclass(frozen=True)
        class HalvedArguments:
            scale: float

        class Halved(Layer):
            name = "halved"
            Arguments = HalvedArguments

            def module(self, module, arguments):
                own = (("doubled", (module.out_features, module.in_features)), ("bias", (module.out_features,)))
                return dataclasses.replace(module, kind=HALVED, parameters=own)

            def dense(self, edit, arrays):
                return edit.arguments.scale * arrays[f"{edit.path}.doubled"].astype("float64")

            def absorb(self, edit, arrays, delta):
                name = f"{edit.path}.doubled"
                sum = arrays[name].astype("float64") + delta[0] @ delta[1] / edit.arguments.scale
                return edit.arguments, {name: sum.astype("float32")}

        MEMBER = Halved()
    ''',
    "pytorch_impl/layers/halved.py": """
        import torch
        from torch import nn

        class Halved(nn.Module):
            def __init__(self, module, edit, values):
                super().__init__()
                self.scale = edit.arguments.scale
                self.doubled = nn.Parameter(torch.zeros(edit.module.out_features, edit.module.in_features))
                self.bias = nn.Parameter(torch.zeros(edit.module.out_features))

            def forward(self, x):
                return nn.functional.linear(x, self.scale * self.doubled, self.bias)

        build = Halved
    """,
    "mindspore_impl/layers/halved.py": """
        from mindspore import nn

        from mindspore_impl import functional as F
        from mindspore_impl.layers.modules import parameter

        class Halved(nn.Cell):
            def __init__(self, module, edit, values):
                super().__init__(auto_prefix=False)
                self.path, self.scale = edit.path, edit.arguments.scale
                self.doubled = parameter(f"{edit.path}.doubled", edit.module.out_features, edit.module.in_features)
                self.bias = parameter(f"{edit.path}.bias", edit.module.out_features)

            def construct(self, x):
                return F.linear(x, self.doubled * self.scale, self.bias)

        build = Halved
    """,
}


@pytest.fixture
def command(tmp_path):
    """Runs ``twinlora`` in a process of its own that finds the planted files."""
    planted = tmp_path / "planted"
    for name, text in FILES.items():
        (planted / name).parent.mkdir(parents=True, exist_ok=True)
        (planted / name).write_text(dedent(text))
    root = str(Path(common.__file__).resolve().parents[1])
    environment = {**os.environ, "TWINLORA_PLUGINS": str(planted), "PYTHONPATH": root}

    def run(*arguments):
        code = "import sys; from common.cli.main import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


def test_a_planted_transform_compresses_trains_saves_loads_counts_and_merges(work, base, command, tmp_path):
    folder = tmp_path / "out"
    table = command("compress", base, "--with", "halving", "--targets", "*.query", "-o", folder)
    assert "bert.encoder.layer.0.attention.self.query" in table
    [edit] = json.loads((folder / "config.json").read_text())["twinlora"]["edits"]
    assert (edit["layer"], edit["arguments"]) == ("halved", {"scale": 0.5})
    inspected = command("inspect", *work.experiment(model=folder))
    summary = json.loads((base / "summary.json").read_text())
    assert f"{summary['model']['parameters']:,} parameters" in inspected
    losses = {}
    for backend in ("pytorch", "mindspore"):
        without_dropout = work.experiment("model.dropout=0.0", "adaptation.dropout=0.0", model=folder)
        command("train", *without_dropout, "--backend", backend, "--device", "cpu", "--output", tmp_path / "runs")
        run = tmp_path / "runs" / "trial" / backend
        losses[backend] = json.loads((run / "summary.json").read_text())["final_loss"]
        scores = json.loads(command("eval", run))
        command("merge", run, tmp_path / backend, "--dense")
        arrays, _ = load_arrays(tmp_path / backend / "model.safetensors")
        assert "bert.encoder.layer.0.attention.self.query.weight" in arrays
        assert scores["loss"] > 0
    assert losses["mindspore"] == pytest.approx(losses["pytorch"], rel=1e-4)
