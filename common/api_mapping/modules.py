"""What modules and optimizers start from, the same in both backends: drawn parameters, buffers, constructor arguments
and gradients.
 Of a module's case, outputs are what the call returns and then the buffers, by name; gradients are those of the inputs
and then of the parameters, by name. Of an optimizer's case, outputs are the parameters after the first and after the
last step.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.api_mapping.arrays import Array, draw, uniform
from common.api_mapping.row import Case, Row, arrays_of

__all__ = [
    "SHAPES",
    "STEPS",
    "drawn_buffer",
    "drawn_gradients",
    "drawn_parameter",
    "drawn_setup",
    "drawn_start",
    "is_statistic",
    "members",
    "starts",
]

STEPS = 20
SHAPES = ((3, 4), (5,), ())  #: of an optimizer's parameters
SCALES = (1.0, 1e-3, 1e-6)  #: of their gradients; the last makes a small epsilon count


def drawn_parameter(row: Row, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Start value of a module's parameter, deviation 0.5."""
    return np.asarray(draw(Array("normal", shape), f"{row.name}|parameter {name}") * np.float32(0.5))


def drawn_buffer(row: Row, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Start value of a module's statistic in floats: a variance is in [0.5, 1.5), anything else has deviation 1."""
    spec = uniform(*shape, low=0.5, high=1.5) if name.endswith("var") else Array("normal", shape)
    return draw(spec, f"{row.name}|buffer {name}")


def is_statistic(name: str) -> bool:
    """Whether a buffer gathers statistics; others are constants, such as a loss's weights."""
    leaf = name.rpartition(".")[2]
    return leaf.startswith("running_") or leaf == "num_batches_tracked"


def drawn_setup(row: Row, case: Case) -> list[np.ndarray]:
    """The tensors among the constructor's arguments."""
    return [draw(array, f"{row.name}|{case}|setup {position}") for position, array in enumerate(arrays_of(case.setup))]


def drawn_start(row: Row) -> list[np.ndarray]:
    """Start values of an optimizer's parameters."""
    return [drawn_parameter(row, str(number), shape) for number, shape in enumerate(SHAPES)]


def drawn_gradients(row: Row, step: int) -> list[np.ndarray]:
    """Gradients of an optimizer's parameters in one step; in every fifth they are 0, as for rows of an embedding that a
    batch lacks."""
    drawn = [
        draw(Array("normal", shape), f"{row.name}|gradient {number} {step}") for number, shape in enumerate(SHAPES)
    ]
    return [
        np.asarray(array * np.float32(scale if step % 5 != 3 else 0.0))
        for array, scale in zip(drawn, SCALES, strict=True)
    ]


def starts(row: Row, training: bool) -> str:
    """The mode in which a module starts, where its calls depend on it; part of what is compared."""
    return f", starts {'training' if training else 'evaluating'}" if any(case.training for case in row.cases) else ""


def members(parameters: Mapping[str, tuple[int, ...]], buffers: Mapping[str, tuple[int, ...]]) -> str:
    """Names and shapes that a module's checkpoint holds; part of what is compared."""
    held = [("parameters", parameters), ("buffers", buffers)]
    return "".join(
        f", {kind} {', '.join(f'{name} {tuple(shape)}' for name, shape in sorted(named.items()))}"
        for kind, named in held
        if named
    )
