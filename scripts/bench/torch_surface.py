"""Measure the torch surface: what its import costs, and a training step against hand-written MindSpore.

    python scripts/bench/torch_surface.py --json surface.json

The network is an encoder layer with a classifier, the optimizer AdamW. Four programs take turns in one process, so that
the load of the machine meets all alike: hand-written cells and the surface, each in PyNative mode and compiled. All
start from the same weights, and the losses of the first steps are compared before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEADS, LAYERS, LENGTH, BATCH, CLASSES = 128, 4, 2, 64, 16, 4
SHOWN = (
    "median_seconds",
    "ratios",
    "ratios_of_minima",
    "ratios_of_processor_seconds",
    "ratios_of_processor_minima",
    "import_seconds",
)
ROOT = Path(__file__).resolve().parents[2]
LOSS = 1e-4  #: relative difference of losses up to which the programs compute the same


def surface(compiled: bool, arrays: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """A step as people write it for torch."""
    from mindspore_impl import torch_api as torch
    from mindspore_impl.torch_api import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, LAYERS)
            self.head = nn.Linear(WIDTH, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.head(self.encoder(x).mean(1))

    network = Network()
    if not arrays:
        arrays.update({name: value.numpy() for name, value in network.state_dict().items()})
    network.load_state_dict(arrays)
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=compiled)
    inputs, targets = torch.tensor(x), torch.tensor(y)

    def forward(inputs: Any, targets: Any) -> Any:
        return loss_of(network(inputs), targets)

    if compiled:
        forward = torch.compile(forward)

    def step() -> float:
        optimizer.zero_grad()
        loss = forward(inputs, targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def written(compiled: bool, arrays: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """The same with MindSpore's own means."""
    import mindspore as ms
    from mindspore import nn

    from mindspore_impl import functional
    from mindspore_impl import nn as layers
    from mindspore_impl.optim import AdamW

    class Network(nn.Cell):
        def __init__(self):
            super().__init__()
            self.layers = nn.CellList(
                [
                    layers.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True)
                    for _ in range(LAYERS)
                ]
            )
            self.head = layers.Linear(WIDTH, CLASSES)

        def construct(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return self.head(x.mean(1))

    network = Network()
    for parameter in network.trainable_params():
        name = parameter.name if parameter.name.startswith("head") else f"encoder.{parameter.name}"
        parameter.set_data(ms.Tensor(arrays[name]))
    optimizer, weights = AdamW(network.trainable_params(), lr=1e-3), network.trainable_params()

    def forward(inputs: Any, targets: Any) -> Any:
        return functional.cross_entropy(network(inputs), targets)

    gradients_of = ms.value_and_grad(forward, None, weights)

    def train(inputs: Any, targets: Any) -> Any:
        loss, gradients = gradients_of(inputs, targets)
        optimizer.update_all(gradients)  # which come in the optimizer's order
        return loss

    train = ms.jit(train) if compiled else train
    inputs, targets = ms.Tensor(x), ms.Tensor(y)
    return lambda: float(train(inputs, targets).asnumpy())


def import_seconds(code: str) -> float:
    """Median of five imports after MindSpore's own, in seconds of the processor; modules were compiled before."""
    program = f"import time, mindspore; t = time.process_time(); {code}; print(time.process_time() - t)"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder, "PYTHONPATH": str(ROOT)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-c", program]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True, env=environment) for _ in range(6)]
    return statistics.median(float(run.stdout.split()[-1]) for run in runs[1:])


def measure(steps: int, warm: int) -> dict[str, Any]:
    """Seconds of every program's step, one after the other in turns: of the clock, and of the processor, which other
    programs on the machine prolong less."""
    random = np.random.RandomState(0)
    x, y = random.randn(BATCH, LENGTH, WIDTH).astype(np.float32), random.randint(0, CLASSES, BATCH)
    arrays: dict[str, np.ndarray] = {}
    programs = {
        "surface, PyNative": surface(False, arrays, x, y),
        "hand-written, PyNative": written(False, arrays, x, y),
        "surface, compiled": surface(True, arrays, x, y),
        "hand-written, compiled": written(True, arrays, x, y),
    }
    losses = {name: [step() for _ in range(warm)] for name, step in programs.items()}
    first = losses["hand-written, PyNative"]
    for name, found in losses.items():
        if not np.allclose(found, first, rtol=LOSS):
            raise SystemExit(f"{name} computes something else: {found} where {first} was expected.")
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    processor: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(steps):
        order = list(programs) if turn % 2 == 0 else list(reversed(programs))
        for name in order:
            begin, used = time.perf_counter(), time.process_time()
            programs[name]()
            seconds[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - used)
    return {
        "losses": losses,
        "seconds": seconds,
        "processor_seconds": processor,
        "median_seconds": _medians(seconds),
        "ratios": _ratios(_medians(seconds)),
        "ratios_of_minima": _ratios({name: min(taken) for name, taken in seconds.items()}),
        "ratios_of_processor_seconds": _ratios(_medians(processor)),
        "ratios_of_processor_minima": _ratios({name: min(taken) for name, taken in processor.items()}),
    }


def _medians(seconds: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def _ratios(seconds: dict[str, float]) -> dict[str, float]:
    return {mode: seconds[f"surface, {mode}"] / seconds[f"hand-written, {mode}"] for mode in ("PyNative", "compiled")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("surface.json"))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warm", type=int, default=5)
    options = parser.parse_args()
    found = measure(options.steps, options.warm)
    found["import_seconds"] = {
        "mindspore_impl.functional": import_seconds("import mindspore_impl.functional"),
        "mindspore_impl.functional, mindspore_impl.torch_api": import_seconds("import mindspore_impl.torch_api"),
    }
    options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: found[name] for name in SHOWN}, indent=1))


if __name__ == "__main__":
    main()
