"""What a compiled training step of the MindSpore backend takes in memory, in a process of its own."""

import subprocess
import sys

import pytest

from tests.support import HANGS, build_engine, make_batch, plan_for, tiny_spec

pytestmark = pytest.mark.needs_mindspore
LAYERS, HIDDEN, ROWS, LENGTH = 3, 192, 16, 128
PER_ELEMENT = (
    300  #: bytes for a token's hidden value and layer: a step keeps some 30 such floats; one with broadcasts exceeds it
)


def resident():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def grow():
    """Bytes that a step at a new shape adds to the process."""
    from common.backend import load

    sizes = {
        "num_hidden_layers": LAYERS,
        "hidden_size": HIDDEN,
        "intermediate_size": 4 * HIDDEN,
        "num_attention_heads": 4,
        "max_position_embeddings": LENGTH,
    }
    spec = tiny_spec("bert", dropout=0.1, **sizes)
    engine = build_engine(load("mindspore"), spec, plan_for(spec, ("*.query", "*.value"), dropout=0.1), compile=True)
    sizes = []
    for length in (8, LENGTH):
        batch = make_batch("bert", [length] * ROWS)
        engine.fetch([engine.train_step([batch], 1e-3)])
        sizes.append(resident())
    return sizes[1] - sizes[0]


@pytest.mark.slow
def test_a_shape_costs_its_activations_and_little_more():
    """MindSpore's CPU kernels keep 16 bytes for each element of a broadcast's result, for every shape that was
    compiled: the graphs do not broadcast."""
    code = "from tests.mindspore.test_memory import grow; print(grow())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS, check=False)
    assert done.returncode == 0, done.stderr
    each = int(done.stdout.split()[-1]) / (ROWS * LENGTH * HIDDEN * LAYERS)
    assert each < PER_ELEMENT, f"{each:.0f} bytes"
