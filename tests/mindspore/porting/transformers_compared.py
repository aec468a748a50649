"""What torch and the surface found with transformers' model files, compared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import common

ROOT = Path(common.__file__).resolve().parents[1]
#: what is compared, by the names of `transformers_program`; arrays that are read together are relative to their largest
PARTS = {
    "start": [("start ",)],
    "logits": [("float32 loss",), ("float32 logits",)],
    "gradients": [("float32 gradient",)],
    "logits64": [("float64 loss",), ("float64 logits",)],
    "gradients64": [("float64 gradient",)],
    "compiled": [("compiled loss",), ("compiled logits",), ("compiled gradient",)],
    "training": [("training losses",)],
}


def run_program(framework: str, folder: Path, *arguments: str, timeout: float = 3000) -> None:
    """Run the program in a process of its own.

    Raises:
        RuntimeError: it failed; the message ends with what it printed last.
    """
    command = [sys.executable, "-m", "tests.mindspore.porting.transformers_program", framework, str(folder), *arguments]
    offline = {"HF_HUB_OFFLINE": "1", "GLOG_v": "3", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, env={**os.environ, **offline}
    )
    if ended.returncode:
        raise RuntimeError(f"{framework}: {ended.stderr[-3000:]}")


def compared(folder: Path, name: str) -> dict[str, float]:
    """The largest difference of each part, relative to the part's largest value.

    Raises:
        ValueError: one framework has an array that the other has not, or generated other tokens.
    """
    arrays = {framework: dict(np.load(folder / f"{name}.{framework}.npz")) for framework in ("torch", "surface")}
    expected, found = arrays["torch"], arrays["surface"]
    if compiled := any(key.startswith("compiled") for key in found):
        plain = {key: value for key, value in expected.items() if key.startswith("float32")}
        expected |= {key.replace("float32", "compiled"): value for key, value in plain.items()}
    if set(expected) != set(found):
        raise ValueError(f"{name}: only one framework has {sorted(set(expected) ^ set(found))}")
    if "tokens" in expected and not np.array_equal(expected["tokens"], found["tokens"]):
        raise ValueError(f"{name}: torch generates {expected['tokens']}, and the surface {found['tokens']}")
    parts = {part: groups for part, groups in PARTS.items() if compiled or part != "compiled"}
    return {part: max(_difference(expected, found, group) for group in groups) for part, groups in parts.items()}


def _difference(expected: dict[str, np.ndarray], found: dict[str, np.ndarray], starts: tuple[str, ...]) -> float:
    keys = [key for key in expected if key.startswith(starts) and expected[key].size]
    largest = max((np.abs(expected[key]).max() for key in keys), default=1.0)
    return float(max((np.abs(expected[key] - found[key]).max() for key in keys), default=0.0) / largest)
