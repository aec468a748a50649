"""A network from a source file, run with given weights and inputs, to be compared with its converted form."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from common.api_mapping.checking.inputs import noise
from common.errors import InputError

__all__ = ["Network", "network"]

_NOISE = {torch.randn: "normal", torch.randn_like: "normal", torch.rand: "uniform", torch.rand_like: "uniform"}


def network(path: Path, name: str, arguments: Mapping[str, Any]) -> Network:
    """The class ``name`` of a file, constructed.

    Raises:
        InputError: there is no such class, or it refuses the arguments.
    """
    spec = importlib.util.spec_from_file_location(f"torch_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not isinstance(kind := getattr(module, name, None), type):
        raise InputError(f"{path} has no class {name}.")
    try:
        return Network(module, kind(**arguments))
    except TypeError as error:
        raise InputError(f"{name} could not be constructed with {dict(arguments)}: {error}. See --init.") from error


class Network:
    """The network, and what is compared of it. Dropout is switched off; random numbers depend on their shape alone."""

    def __init__(self, module: Any, model: torch.nn.Module):
        self.module, self.model = module, model
        _without_dropout(model)

    def made(self, function: str) -> list[np.ndarray]:
        """What a function of the file returns, as arrays.

        Raises:
            InputError: there is no such function.
        """
        if not callable(factory := getattr(self.module, function, None)):
            raise InputError(f"{self.module.__file__} has no function {function}.")
        found = factory()
        return [np.asarray(value) for value in (found if isinstance(found, tuple | list) else (found,))]

    def tied(self) -> dict[str, str]:
        """The first name of every parameter's name."""
        first: dict[int, str] = {}
        named = list(self.model.named_parameters(remove_duplicate=False))
        for name, parameter in named:
            first.setdefault(id(parameter), name)
        return {name: first[id(parameter)] for name, parameter in named}

    def state(self) -> dict[str, np.ndarray]:
        """Parameters and persistent buffers."""
        return {name: value.detach().numpy().copy() for name, value in self.model.state_dict().items()}

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters and buffers."""
        self.model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in values.items()})

    def outputs(self, inputs: Sequence[np.ndarray], training: bool, compiled: bool = False) -> dict[str, np.ndarray]:
        """Every tensor of the result, by its place in it."""
        with torch.no_grad():
            return {name: value.numpy().copy() for name, value in self._call(inputs, training).items()}

    def gradients(
        self,
        inputs: Sequence[np.ndarray],
        cotangents: Mapping[str, np.ndarray],
        training: bool,
        compiled: bool = False,
    ) -> dict[str, np.ndarray]:
        """Gradients of the parameters, and of a network without parameters those of its inputs."""
        self.model.zero_grad()
        trained = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        tensors = [torch.from_numpy(value.copy()) for value in inputs]
        if not trained:
            trained = {f"input {i}": x.requires_grad_() for i, x in enumerate(tensors) if x.is_floating_point()}
        self._loss(tensors, cotangents, training).backward()
        found = {
            name: np.zeros(value.shape, np.float32) if value.grad is None else value.grad.numpy().copy()
            for name, value in trained.items()
        }
        self.model.zero_grad()
        return found

    def steps(
        self,
        inputs: Sequence[np.ndarray],
        cotangents: Mapping[str, np.ndarray],
        training: bool,
        optimizer: str,
        rate: float,
        count: int,
        compiled: bool = False,
    ) -> dict[str, np.ndarray]:
        """The trained parameters after steps of an optimizer."""
        trained = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        if not trained:
            return {}
        update = getattr(torch.optim, optimizer)(trained.values(), lr=rate)
        for _ in range(count):
            update.zero_grad()
            self._loss([torch.from_numpy(value.copy()) for value in inputs], cotangents, training).backward()
            for value in trained.values():  # torch passes over what has no gradient; the counterpart has zeros
                value.grad = torch.zeros_like(value) if value.grad is None else value.grad
            update.step()
        return {name: value.detach().numpy().copy() for name, value in trained.items()}

    def _loss(self, inputs: Sequence[Any], cotangents: Mapping[str, np.ndarray], training: bool) -> torch.Tensor:
        found = self._call(inputs, training)
        return sum((found[name] * torch.from_numpy(value)).sum() for name, value in cotangents.items())

    def _call(self, inputs: Sequence[Any], training: bool) -> dict[str, torch.Tensor]:
        self.model.train(training)
        given = [torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value for value in inputs]
        with _fixed_noise():
            return _leaves(self.model(*given))


class _Fixed(TorchFunctionMode):
    def __torch_function__(self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function not in _NOISE:
            return function(*args, **(kwargs or {}))
        like = function in (torch.randn_like, torch.rand_like)
        shape = tuple(args[0].shape) if like else tuple(args[0] if isinstance(args[0], tuple | list) else args)
        drawn = noise(shape, "random numbers")
        return torch.from_numpy(drawn if _NOISE[function] == "normal" else np.abs(np.sin(drawn)))


def _fixed_noise() -> AbstractContextManager[Any]:
    return _Fixed()


def _leaves(found: Any, place: str = "") -> dict[str, Any]:
    """Every tensor in a result, by its place."""
    if isinstance(found, torch.Tensor):
        return {place or "output": found}
    items = found.items() if isinstance(found, Mapping) else enumerate(found) if isinstance(found, tuple | list) else ()
    return {name: leaf for key, item in items for name, leaf in _leaves(item, f"{place}[{key}]").items()}


def _without_dropout(model: torch.nn.Module) -> None:
    for module in model.modules():
        for name, value in list(vars(module).items()):
            drops = "drop" in name or (name == "p" and "Drop" in type(module).__name__)
            if drops and isinstance(value, float):
                setattr(module, name, 0.0)
