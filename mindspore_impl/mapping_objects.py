"""Mirrors pytorch_impl.mapping_objects; differs: an optimizer is called with the gradients, and its step can be
compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Parameter, Tensor

from common.api_mapping.modules import (
    SHAPES,
    STEPS,
    drawn_buffer,
    drawn_gradients,
    drawn_parameter,
    drawn_setup,
    drawn_start,
    is_statistic,
    members,
    starts,
)
from common.api_mapping.row import Case, Row, fill
from common.api_mapping.tolerance import Result

__all__ = ["build", "optimize", "state"]


def build(function: Callable[..., Any], row: Row, case: Case, double: bool = False) -> tuple[Any, str]:
    """The case's module, filled with drawn values, in the case's mode, and a text that names the mode it started in."""
    setup = fill(dict(case.setup), map(Tensor, drawn_setup(row, case)), lambda value: value)
    module = function(**setup)
    started = starts(row, module.training)
    module.set_train(case.training)
    for name, parameter in _parameters(module).items():
        parameter.set_data(Tensor(drawn_parameter(row, name, tuple(parameter.shape))))
    for name, buffer in _statistics(module).items():
        if buffer.is_floating_point():
            buffer.copy_(Tensor(drawn_buffer(row, name, tuple(buffer.shape))))
    return module, started


def state(module: Any) -> tuple[list[Any], list[Any], str]:
    """A module's parameters and its statistics, each in the order of their names, and a text that names both."""
    parameters, buffers = _parameters(module), _statistics(module)
    described = members(
        *({name: tuple(value.shape) for name, value in named.items()} for named in (parameters, buffers))
    )
    return [parameters[name] for name in sorted(parameters)], [buffers[name] for name in sorted(buffers)], described


def optimize(
    function: Callable[..., Any], row: Row, case: Case, double: bool = False, mode: str = "pynative"
) -> Result:
    """Run the case's optimizer from drawn parameters with drawn gradients; the parameters after the first and the last
    step."""
    parameters = [Parameter(Tensor(array), name=f"parameter{number}") for number, array in enumerate(drawn_start(row))]
    groups = [{**group, "params": [parameters[index] for index in group["params"]]} for group in case.arguments]
    optimizer = function(groups or parameters, **case.setup)
    order, named = [index for group in case.arguments for index in group["params"]], hasattr(optimizer, "paired")
    order = order or list(range(len(parameters)))  # MindSpore's own take gradients in the parameters' order
    if named:
        order.reverse()
    names = ([parameters[index].name for index in order],) if named else ()

    def step_once(
        *given,
    ):  # a tuple handed to a compiled function would be a constant, and be compiled anew in every step
        return optimizer(given, *names)

    held = ms.ParameterTuple([parameters[index] for index in order])

    def loss(*given):
        total = 0.0
        for index in range(len(held)):  # graphs know no zip with strict=
            total = total + (held[index] * given[index]).sum()
        return total

    gradients_of = ms.grad(loss, None, held, return_ids=named)

    def whole_step(*given):
        return optimizer(gradients_of(*given))

    if mode != "pynative":
        step_once = ms.jit(whole_step if mode == "gradient" else step_once)
    outputs = []
    for step in range(STEPS):
        gradients = drawn_gradients(row, step)
        step_once(*(Tensor(gradients[index]) for index in order))
        if step in (0, STEPS - 1):
            outputs += [np.array(parameter.asnumpy()) for parameter in parameters]
    return Result(tuple(outputs), f"{len(SHAPES)} parameters")


def _parameters(module: Any) -> dict[str, Any]:
    return {name: parameter for name, parameter in module.parameters_and_names() if parameter.requires_grad}


def _statistics(module: Any) -> dict[str, Any]:
    """Buffers, and parameters without gradient, which is how older cells keep them."""
    kept = {name: parameter for name, parameter in module.parameters_and_names() if not parameter.requires_grad}
    return {name: buffer for name, buffer in {**kept, **dict(module.named_buffers())}.items() if is_statistic(name)}
