"""The script that checks and measures a GPU, tried on the CPU with tiny networks. No time is judged."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "bench" / "gpu.py"
spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
gpu = importlib.util.module_from_spec(spec)
sys.modules["gpu"] = gpu
spec.loader.exec_module(gpu)

pytestmark = pytest.mark.needs_pytorch

#: What a machine that was prepared for torch, transformers and peft alone does not have.
ABSENT = (
    "datasets",
    "pyarrow",
    "pandas",
    "mindspore",
    "matplotlib",
    "sacrebleu",
    "nltk",
    "sklearn",
    "scipy",
    "loralib",
)
HIDING = f"""
import importlib.machinery
find = importlib.machinery.PathFinder.find_spec.__func__
def find_spec(cls, name, path=None, target=None):
    return None if name.split(".")[0] in {ABSENT!r} else find(cls, name, path, target)
importlib.machinery.PathFinder.find_spec = classmethod(find_spec)
"""


def dry_run(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess, dict]:
    """The script's process, in which the packages above cannot be found, and the file it wrote."""
    (folder / "hiding").mkdir()
    (folder / "hiding" / "sitecustomize.py").write_text(HIDING)
    path = folder / "gpu.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--dry-run", "-o", str(path), *arguments],
        env={**os.environ, "PYTHONPATH": str(folder / "hiding"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    return done, json.loads(path.read_text()) if path.exists() else {}


@pytest.mark.slow
def test_stages_run_where_there_is_only_torch_transformers_and_peft(tmp_path):
    stages = ["agreement models", "attention kernels", "optimizer"]
    done, found = dry_run(tmp_path, "--seconds", "1500", *(part for name in stages for part in ("--only", name)))
    assert done.returncode == 0, done.stderr
    assert {name: stage["status"] for name, stage in found["stages"].items()} == dict.fromkeys(stages, "ok")
    assert found["stages"]["agreement models"]["counts"]["pass"] > 5
    shown = [line.split(" | ")[0].strip("| ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert set(stages) <= set(shown)
    assert "| optimizer | fused |" in done.stdout


@pytest.mark.nightly
def test_every_stage_runs(tmp_path):
    done, found = dry_run(tmp_path, "--seconds", "1500")
    assert done.returncode == 0, done.stderr
    statuses = {name: stage["status"] for name, stage in found["stages"].items()}
    assert list(statuses) == list(gpu.STAGES)
    assert {status for status in statuses.values() if not status.startswith("not run: there is no family")} == {"ok"}
    assert found["stages"]["bert-base-16x128 fp32"]["ratios"]["pytorch/peft"]["median"] > 0
    assert found["stages"]["bert-base-16x128 fp32"]["subjects"]["pytorch"]["memory"]["peak"] > 0
    assert found["stages"]["sharded"]["largest_difference"] < 1e-5


def test_a_device_that_disagrees_ends_with_an_error_and_keeps_its_file(tmp_path, monkeypatch, capsys):
    args = gpu.argparse.Namespace(
        only=[], seconds=60.0, dry_run=True, device="cpu", rounds=1, output=tmp_path / "gpu.json"
    )

    def broken(run):
        raise ValueError("a kernel")

    stages = {
        "agreement": lambda run: {"counts": {"pass": 1, "fail": 1}, "failed": ["models/x: fail"], "unexplained": []},
        "broken": broken,
        "fine": lambda run: {"seconds": {"kernel": 1e-6}},
    }
    monkeypatch.setattr(gpu, "STAGES", stages)
    with pytest.raises(gpu.RunError, match="did not: agreement, broken"):
        gpu.measure(args)
    found = json.loads(args.output.read_text())["stages"]
    assert found["broken"]["status"] == "failed: ValueError: a kernel"
    assert found["fine"]["status"] == "ok"
    assert "| fine | kernel | 1 us |" in capsys.readouterr().out


def test_stages_for_which_no_time_is_left_are_named(tmp_path, capsys, monkeypatch):
    args = gpu.argparse.Namespace(
        only=[], seconds=0.0, dry_run=True, device="cpu", rounds=1, output=tmp_path / "gpu.json"
    )
    monkeypatch.setattr(gpu, "STAGES", {"one": lambda run: {}, "two": lambda run: {}})
    gpu.measure(args)
    assert capsys.readouterr().out.count("not run: time was up") == 2


def test_an_unknown_stage_is_refused(tmp_path):
    args = gpu.argparse.Namespace(
        only=["speed"], seconds=1.0, dry_run=True, device="cpu", rounds=1, output=tmp_path / "gpu.json"
    )
    with pytest.raises(gpu.InputError, match="received 'speed'"):
        gpu.measure(args)
    assert not (tmp_path / "gpu.json").exists()
