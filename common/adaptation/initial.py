"""Starting values of adapters, drawn in NumPy from (seed, module path)."""

from __future__ import annotations

import math

import numpy as np

from common.adaptation.plan import Plan
from common.random import normal, uniform

__all__ = ["initial_values"]


def initial_values(plan: Plan, seed: int) -> dict[str, np.ndarray]:
    """Float32 arrays for every adapter parameter of ``plan`` (base parameters that are trained keep their own starting values).

    Linear and conv1d: A ~ U(-1/sqrt(in), 1/sqrt(in)), which is Kaiming uniform with a = sqrt(5) as in loralib and PEFT, and B = 0.
    Embedding: A = 0 and B ~ N(0, 1), as there. Either way the adapted model starts as the base model, to the bit.
    """
    values = {}
    for step in plan.steps:
        for name, shape in step.shapes().items():
            if name.endswith(".lora_A"):
                values[name] = uniform(seed, name, shape, 1.0 / math.sqrt(step.in_features))
            elif name.endswith(".lora_embedding_B"):
                values[name] = normal(seed, name, shape, 1.0)
            else:
                values[name] = np.zeros(shape, np.float32)
    return values
