"""Builds the modules and runs the optimizers of the API mapping's cases in this framework, from values that both
backends draw alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

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
    setup = fill(dict(case.setup), (torch.from_numpy(array) for array in drawn_setup(row, case)), lambda value: value)
    module = function(**setup)
    started = starts(row, module.training)
    module.train(case.training)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.from_numpy(drawn_parameter(row, name, tuple(parameter.shape))))
        for name, buffer in module.named_buffers():
            if is_statistic(name) and buffer.is_floating_point():
                buffer.copy_(torch.from_numpy(drawn_buffer(row, name, tuple(buffer.shape))))
    return module.double() if double else module, started


def state(module: Any) -> tuple[list[Any], list[Any], str]:
    """A module's parameters and its statistics, each in the order of their names, and a text that names both."""
    parameters = dict(module.named_parameters())
    buffers = {name: buffer for name, buffer in module.named_buffers() if is_statistic(name)}
    described = members(
        *({name: tuple(value.shape) for name, value in named.items()} for named in (parameters, buffers))
    )
    return [parameters[name] for name in sorted(parameters)], [buffers[name] for name in sorted(buffers)], described


def optimize(
    function: Callable[..., Any], row: Row, case: Case, double: bool = False, mode: str = "pynative"
) -> Result:
    """Run the case's optimizer from drawn parameters with drawn gradients; the parameters after the first and the last
    step."""
    dtype = torch.float64 if double else torch.float32
    parameters = [torch.nn.Parameter(torch.from_numpy(array).to(dtype)) for array in drawn_start(row)]
    groups = [{**group, "params": [parameters[index] for index in group["params"]]} for group in case.arguments]
    optimizer = function(groups or parameters, **case.setup)
    outputs = []
    for step in range(STEPS):
        for parameter, gradient in zip(parameters, drawn_gradients(row, step), strict=True):
            parameter.grad = torch.from_numpy(gradient).to(dtype)
        optimizer.step()
        if step in (0, STEPS - 1):
            outputs += [parameter.detach().numpy().copy() for parameter in parameters]
    return Result(tuple(outputs), f"{len(SHAPES)} parameters")
