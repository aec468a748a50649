"""Calls of a compiled function without what MindSpore does before each.

A call of ``ms.jit`` writes a key of all arguments and looks their graph up, which takes half a millisecond for thirty
tensors. Arguments of the same kinds as the last ones have the same graph, and go to it at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
from mindspore.graph import api

__all__ = ["Compiled"]


class Compiled:
    """``function`` of tensors as a graph. To be called under ``no_grad``: the graph's results are not recorded."""

    def __init__(self, function: Callable[..., Any]):
        self.compiled = ms.jit(function)
        self.phases: dict[Any, tuple[str, list[ms.Parameter]]] = {}

    def __call__(self, *tensors: ms.Tensor) -> Any:
        """What the graph gives; tuples as the function gave them."""
        parameters = [tensor for tensor in tensors if isinstance(tensor, ms.Parameter)]  # a graph holds its own
        kinds = (tuple(map(id, parameters)), tuple([(tensor.shape, tensor.dtype) for tensor in tensors]))
        phase = self.phases.get(kinds, ("", []))[0]
        if phase in api.ms_compile_cache:  # which ms_memory_recycle empties
            executor = api.JitExecutor_ if api._run_jit_pipeline() else api.GraphExecutor_
            return api._convert_python_data(executor.get_instance()(tensors, phase))
        known = set(api.ms_compile_cache)
        found = self.compiled(*tensors)
        made = api.ms_compile_cache - known
        if len(made) == 1:
            self.phases[kinds] = (made.pop(), parameters)  # which live on: another one never has the identity of these
        return found
