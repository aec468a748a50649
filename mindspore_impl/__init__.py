"""Mirrors pytorch_impl; differs: settings that MindSpore reads once are made before it is imported."""

import os
from importlib.metadata import version
from pathlib import Path

from common.errors import InputError

if int(version("numpy").partition(".")[0]) >= 2:
    raise InputError(
        f"MindSpore {version('mindspore')} was built for NumPy 1 and its first operation fails under NumPy 2; numpy {version('numpy')} is installed. "
        "Run: pip install 'numpy<2'."
    )
if os.environ.get("MS_COMPILER_CACHE_ENABLE", "0") != "0":
    raise InputError(
        "MindSpore's compile cache must be off: its version 2.10 takes a graph from it by the order of compilation alone, and a training step read back "
        "computes NaN or another shape's graph. MS_COMPILER_CACHE_ENABLE is set. Run: unset MS_COMPILER_CACHE_ENABLE."
    )
if not list(Path("/dev").glob("davinci[0-9]*")):
    # On a CPU MindSpore's host threads and OpenMP spin against each other; blocking launches were 1.6 times faster in
    # graph mode.
    os.environ.setdefault("MS_DEV_HOST_BLOCKING_RUN", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GLOG_v", "3")  # errors only: its warnings concern MindSpore itself

from mindspore_impl import adapting, device, distributed
from mindspore_impl.capabilities import capabilities, model_problems
from mindspore_impl.engine import Engine
from mindspore_impl.network import build_model
from mindspore_impl.rewrite import choose, merge, restore, rewrite, set_enabled, unmerge

__all__ = [
    "Engine",
    "adapting",
    "build_model",
    "capabilities",
    "choose",
    "device",
    "distributed",
    "merge",
    "model_problems",
    "restore",
    "rewrite",
    "set_enabled",
    "unmerge",
]
