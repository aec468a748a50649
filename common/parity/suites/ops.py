"""Single operators: the rows of the API mapping, call by call, values and gradients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from common.api_mapping.binding import chosen_target
from common.api_mapping.row import Case as Call
from common.api_mapping.row import Row, draw_all
from common.api_mapping.rows import registry
from common.parity.cases import Arrays, Case, Host, UnsupportedError

__all__ = ["cases", "of_rows"]


def cases(options: Mapping[str, Any]) -> tuple[Case, ...]:
    """Every call of every row."""
    return of_rows("ops", registry().values())


def of_rows(level: str, rows: Iterable[Row]) -> tuple[Case, ...]:
    """The calls of ``rows`` as cases of ``level``."""
    return tuple(_case(level, row, number, call) for row in rows for number, call in enumerate(row.cases))


def _case(level: str, row: Row, number: int, call: Call) -> Case:
    def inputs() -> Arrays:
        return {f"{position}": array for position, array in enumerate(draw_all(row, call))}

    def compute(host: Host, arrays: Arrays) -> tuple[Arrays, dict[str, str]]:
        function = host.mapping.resolve(_target(row, host))
        found = host.mapping.run(function, row, call, list(arrays.values()), host.double)
        tensors = {f"output/{i}": value for i, value in enumerate(found.outputs) if isinstance(value, np.ndarray)}
        plain = {
            f"output/{i}": repr(value) for i, value in enumerate(found.outputs) if not isinstance(value, np.ndarray)
        }
        return tensors | {f"gradient/{i}": array for i, array in enumerate(found.gradients)}, plain | {
            "layout": found.layout
        }

    kind = "stochastic" if row.stochastic else f"op {row.tolerance}"
    return Case(
        f"{level}/{row.name}/{number:02d}", kind, inputs, compute, str(call), row.digest(), row.limit(call) or ""
    )


def _target(row: Row, host: Host) -> str:
    """What computes the row on the host: in MindSpore what the shim uses, or, for plain operators, the first target
    that is none of its adapters."""
    if host.backend == "pytorch":
        return row.name
    if host.double:
        raise UnsupportedError("a float64 reference is computed in PyTorch")
    if host.plain:
        plain = next((target for target in row.targets if not target.startswith("shim.")), row.legacy)
        if not plain:
            raise UnsupportedError("MindSpore has no operator of its own for this call")
        return plain
    found = chosen_target(row, host.locked)
    if not found:
        raise UnsupportedError("no target of this row was verified on this device")
    return found
