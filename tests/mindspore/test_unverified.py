"""A device or version for which nothing was verified: training works, and nothing unverified is bound."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.api_mapping.binding import EVERYWHERE, chosen_target
from common.api_mapping.names import named
from common.resources import package_folder

pytestmark = [pytest.mark.needs_mindspore]

#: Every entry of the lock file is for another version of MindSpore, and for another device.
ELSEWHERE = """
import json, sys
from pathlib import Path
from common.api_mapping import lock
entries = json.loads(lock.SHIPPED.read_text())
[rows] = entries.values()
lock.SHIPPED = Path(sys.argv[1]) / "elsewhere.json"
lock.SHIPPED.write_text(json.dumps({"cpu, mindspore 2.9.0": rows, "ascend, mindspore 2.10.0": rows}))
"""
NAMESPACES = """
import importlib
import mindspore as ms
import mindspore_impl
from common.api_mapping.binding import refuses
from common.errors import InputError
from mindspore_impl import functional
spaces = {name: importlib.import_module(f"mindspore_impl.{name}") for name in ("functional", "nn", "optim", "linalg", "special")}
exec("from mindspore_impl.functional import *\\nfrom mindspore_impl.nn import *")


@ms.jit
def compiled(x):
    return functional.floor(x) * 2


told = []
for call in (functional.floor, compiled):
    try:
        call(ms.Tensor([1.0]))
    except InputError as error:
        told.append(str(error))
refused = [f"{space}.{name}" for space, module in spaces.items() for name in module.__all__ if refuses(getattr(module, name))]
print(json.dumps({"told": told, "refused": refused}))
"""
HERE = "import sys\n"
TRAIN = """
from common.cli.main import main
where = ["--backend", "mindspore", "--device", "cpu", "--output", "runs", "--name", sys.argv[3], "--set", sys.argv[4]]
code = main(["train", sys.argv[2], *where])
from mindspore_impl import functional
from common.api_mapping.binding import refuses
assert refuses(functional.floor) == (sys.argv[3] == "elsewhere")
sys.exit(code)
"""
EXPERIMENT = """
model:
  task: language-modeling
  tokenizer: 'bpe:300'
  config: {{model_type: gpt2, n_layer: 1, n_head: 2, n_embd: 16, n_positions: 32}}
data: {{name: files, files: {{train: {0}, validation: {0}, test: {0}}}, text_column: text, max_length: 16}}
adaptation: {{rank: 2, alpha: 4, targets: ["*.attn.c_attn[q,v]", "transformer.wte"]}}
training: {{global_batch_size: 4, max_steps: 3, metric: perplexity}}
"""


def python(code: str, folder: Path, *arguments: str) -> str:
    program = folder / "program.py"  # MindSpore compiles source in files only
    program.write_text(code)
    run = subprocess.run(
        [sys.executable, str(program), str(folder), *arguments],
        cwd=folder,
        env=os.environ | {"XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(package_folder("common").parent)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


def test_names_without_a_verified_target_are_there_and_say_how_to_probe_in_both_modes(tmp_path):
    found = json.loads(python(ELSEWHERE + NAMESPACES, tmp_path).splitlines()[-1])
    assert len(found["told"]) == 2
    assert all("Run: twinlora map probe torch.floor --device cpu" in message for message in found["told"])
    sections = {
        "functional": named("torch", "torch.nn.functional"),
        "nn": named("torch.nn", kinds=("module",)),
        "optim": named("torch.optim", kinds=("optimizer",)),
        "linalg": named("torch.linalg"),
        "special": named("torch.special"),
    }
    expected = {
        f"{space}.{name}"
        for space, rows in sections.items()
        for name, row in rows.items()
        if chosen_target(row, {}) is None
    }
    assert set(found["refused"]) == expected


def test_every_mapped_function_that_the_networks_call_has_a_shim_or_an_operator_of_every_device():
    rows = named("torch", "torch.nn.functional")
    root = package_folder("mindspore_impl")
    called = set()
    for path in root.rglob("*.py"):
        if "shims" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "F":
                called.add(node.attr)
    called &= set(rows)
    assert {"gelu", "linear", "reshape", "tile"} <= called
    assert {name for name in called if chosen_target(rows[name], {}) is None} == set()
    assert set(EVERYWHERE) == {rows[name].name for name in called if rows[name].shim is None}, "one is not needed"


def test_operators_bound_everywhere_are_documented_for_every_device():
    from mindspore_impl.mapping import resolve

    for target in EVERYWHERE.values():
        platforms = (resolve(target).__doc__ or "").partition("Supported Platforms:")[2].partition("Examples")[0]
        assert {name for name in ("Ascend", "GPU", "CPU") if f"``{name}``" in platforms} == {"Ascend", "GPU", "CPU"}


@pytest.mark.parametrize("compiled", ["true", pytest.param("false", marks=pytest.mark.nightly)])
def test_training_needs_nothing_that_was_not_verified(tmp_path, compiled):
    text = tmp_path / "sums.txt"
    text.write_text("".join(f"{n} and {n + 1} make {2 * n + 1}\n" for n in range(24)))
    experiment = tmp_path / "sums.yaml"
    experiment.write_text(EXPERIMENT.format(text))
    losses = {}
    for name, code in (("here", HERE + TRAIN), ("elsewhere", ELSEWHERE + TRAIN)):
        python(code, tmp_path, str(experiment), name, f"training.compile={compiled}")
        lines = (tmp_path / "runs" / name / "mindspore" / "metrics.jsonl").read_text().splitlines()
        losses[name] = [event["loss"] for event in map(json.loads, lines) if event["event"] == "step"]
    assert len(losses["here"]) == 3
    assert losses["elsewhere"] == pytest.approx(losses["here"], rel=1e-5)


PROBE = """
from common.api_mapping.running import open_backends, probe_rows, selected
rows = selected(["nn.Dropout1d", "nn.CrossEntropyLoss", "nn.functional.dropout1d", "nn.functional.cross_entropy"])
path = Path(sys.argv[1]) / "probed.json"
probe_rows(rows, open_backends("cpu"), path, lambda name, found: None)
print(json.dumps(json.loads(path.read_text())["cpu, mindspore " + open_backends("cpu").version]["rows"]))
"""


def test_shims_of_modules_use_the_functions_that_were_probed_before_them(tmp_path):
    """Their cells call functions without a shim, which nothing was known of when the process started."""
    found = json.loads(python(ELSEWHERE + PROBE, tmp_path).splitlines()[-1])
    assert len(found) == 4
    for name in ("torch.nn.Dropout1d", "torch.nn.CrossEntropyLoss"):
        leaf = name.rpartition(".")[2]
        assert f"shim.nn.{leaf}" not in found[name]["rejected"], found[name]
