"""An installed wheel behaves as the checkout does: built, installed in an environment of its own, and used there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from common.bench.subjects import PEERS
from common.resources import code_folder

ROOT = code_folder()
PACKAGES = ("common", "pytorch_impl", "mindspore_impl", "twinlora")
SOURCES = (*PACKAGES, "configs", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
#: What every namespace binds, the chosen target of every row, and where files are read from.
FINGERPRINT = """
import importlib, json
import numpy as np
import mindspore as ms
import common, pytorch_impl
from common.api_mapping import lock
from common.api_mapping.binding import chosen_target
from common.api_mapping.report import read_document
from common.api_mapping.rows import digest, registry
from common.bench.subjects import PEERS, peer_folder
from common.config import load_config, to_plain
from common.config.load import CONFIG_DIRECTORY

def called(value):
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"

spaces = [f"{backend}_impl.{name}" for backend in ("pytorch", "mindspore") for name in ("functional", "nn", "optim", "linalg", "special")]
locked = lock.load(ms.get_context("device_target"), ms.__version__)
flatten = importlib.import_module("mindspore_impl.functional").flatten
print(json.dumps({
    "bound": {f"{space}.{name}": called(getattr(importlib.import_module(space), name)) for space in spaces for name in importlib.import_module(space).__all__},
    "targets": {name: chosen_target(row, locked) for name, row in registry().items()},
    "digest": digest(),
    "verified": {name: row["verdict"] for name, row in read_document()["rows"].items()},
    "flatten": flatten(ms.Tensor(np.zeros((2, 3, 4), np.float32))).shape,
    "configs": {path.stem: to_plain(load_config(path.stem)) for path in sorted(CONFIG_DIRECTORY.glob("*.yaml")) if path.stem != "defaults"},
    "peers": {name: (peer_folder(backend) / f"{module}.py").read_text() for name, (backend, module) in PEERS.items()},
}))
"""
EXPERIMENT = """
model:
  task: language-modeling
  tokenizer: 'bpe:300'
  config: {{model_type: gpt2, n_layer: 1, n_head: 2, n_embd: 16, n_positions: 32}}
data: {{name: files, files: {{train: {0}, validation: {0}, test: {0}}}, text_column: text, max_length: 16}}
adaptation: {{rank: 2, alpha: 4, targets: ["*.attn.c_attn[q,v]"]}}
training: {{global_batch_size: 4, max_steps: 2, metric: perplexity}}
"""

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch, pytest.mark.needs_mindspore]


def run(command: Sequence[str | Path], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` without this process's PYTHONPATH and caches."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment = kept | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False
    )


def output(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    """Standard output of a command that must succeed."""
    done = run(command, folder, **variables)
    assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy, since building leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    output([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder / "built", folder / "source"], folder)
    [built] = (folder / "built").glob("twinlora-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the programs of an environment that has the wheel, and everything else from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=False)
    programs = folder / "venv" / "bin"
    [packages] = (folder / "venv").glob("lib/python*/site-packages")
    # The folders are added to sys.path alone: the files *.pth in them, an editable twinlora among them, are not read.
    shared = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (packages / "shared.pth").write_text("\n".join(shared) + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", programs / "python"]
    output([*pip, "install", "--no-deps", "--no-index", "--ignore-installed", wheel], folder)
    return programs


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that holds nothing of the checkout."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def command(installed: Path, empty: Path) -> Callable[..., str]:
    """Run the installed command and return what it prints."""
    return lambda *arguments: output([installed / "twinlora", *arguments], empty)


def test_the_wheel_holds_every_file_of_the_packages_and_the_configurations(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    wanted |= {f"common/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    assert wanted - held == set()
    tops = {name.partition("/")[0] for name in held}
    assert {name for name in tops if not name.endswith(".dist-info")} == set(PACKAGES)


def test_the_installed_packages_are_those_that_are_used(installed, empty):
    code = "import common, pytorch_impl, twinlora; print(common.__file__, pytorch_impl.__file__, twinlora.__file__)"
    for place in output([installed / "python", "-c", code], empty).split():
        assert Path(place).is_relative_to(installed.parent), place


def test_every_row_is_bound_as_in_the_checkout_and_the_same_files_are_read(installed, empty):
    here = json.loads(output([sys.executable, "-c", FINGERPRINT], empty, PYTHONPATH=str(ROOT)).splitlines()[-1])
    there = json.loads(output([installed / "python", "-c", FINGERPRINT], empty).splitlines()[-1])
    assert there["flatten"] == [24]
    assert len(there["targets"]) == len(there["verified"]) > 700
    assert set(there["peers"]) == set(PEERS)
    for part in here:
        assert there[part] == here[part], part


@pytest.mark.parametrize("backend", ["pytorch", "mindspore"])
def test_training_works_from_a_folder_of_its_own(command, empty, backend):
    text = empty / "sums.txt"
    text.write_text("".join(f"{n} and {n + 1} make {2 * n + 1}\n" for n in range(24)))
    (empty / "sums.yaml").write_text(EXPERIMENT.format(text))
    command("train", "sums.yaml", "--backend", backend, "--device", "cpu", "--output", "runs")
    summary = json.loads((empty / "runs" / "sums" / backend / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("finished", 2)


def test_the_mapping_can_be_looked_up(command):
    assert "torch.flatten" in command("map", "show", "torch.flatten")
    shown = command("map", "show", "torch.tanh")
    assert "not verified" not in shown
    assert "from mindspore_impl import functional as F" in shown
    assert "not verified" not in command("map", "list")


def test_shipped_experiments_and_the_bench_are_there(command):
    assert "bert_sst2" in command("inspect", "bert_sst2", "--yaml")
    assert "--subjects" in command("bench", "step", "--help")


def test_module_and_command_are_the_same(installed, empty, command):
    for module in ("twinlora", "common.cli"):
        assert output([installed / "python", "-m", module, "--version"], empty) == command("--version")


def test_a_package_that_shadows_ours_is_named(installed, empty):
    other = empty / "other" / "common"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise SystemError('not to be imported')")
    for start in ([installed / "twinlora"], [installed / "python", "-m", "twinlora"]):
        done = run([*start, "--version"], empty, PYTHONPATH=str(other.parent))
        assert done.returncode != 0
        assert f"finds {other}, which comes first on sys.path" in done.stderr
        assert "not to be imported" not in done.stderr
