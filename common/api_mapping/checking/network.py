"""A network with torch's interface, run with given weights and inputs: torch's own, or one of the surface."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError

__all__ = ["TorchNetwork", "built", "leaves", "without_dropout"]


def built(path: Path, prefix: str, name: str, arguments: Mapping[str, Any]) -> tuple[Any, Any]:
    """The module of a source file, and its class ``name``, constructed.

    Raises:
        InputError: there is no such class, or it refuses the arguments.
    """
    spec = importlib.util.spec_from_file_location(f"{prefix}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not isinstance(kind := getattr(module, name, None), type):
        raise InputError(f"{path} has no class {name}.")
    try:
        return module, kind(**arguments)
    except TypeError as error:
        raise InputError(f"{name} could not be constructed with {dict(arguments)}: {error}. See --init.") from error


def leaves(found: Any, tensor: type, place: str = "") -> dict[str, Any]:
    """Every tensor in a result, by its place in it."""
    if isinstance(found, tensor):
        return {place or "output": found}
    items: Any = ()
    if isinstance(found, Mapping):
        items = found.items()
    elif isinstance(found, tuple | list):
        items = enumerate(found)
    return {name: leaf for key, item in items for name, leaf in leaves(item, tensor, f"{place}[{key}]").items()}


def without_dropout(parts: Any) -> None:
    """Set what modules drop to 0: numbers whose name says so, and ``p`` of dropout and Transformer layers."""
    for part in parts:
        kind = type(part).__name__
        for name, value in list(vars(part).items()):
            drops = "drop" in name or (name == "p" and ("Drop" in kind or kind.startswith("Transformer")))
            if drops and isinstance(value, float):
                setattr(part, name, 0.0)


class TorchNetwork:
    """The network, and what is compared of it. Dropout is switched off; random numbers depend on their shape alone.

    Args:
        torch: torch, or what has its interface.
        tensor: the class of its tensors.
        module: of the source file.
        model: the network.
        fixed_noise: a context in which random tensors depend on their shape alone.
    """

    def __init__(
        self,
        torch: Any,
        tensor: type,
        module: Any,
        model: Any,
        fixed_noise: Callable[[], AbstractContextManager[Any]],
    ):
        self.torch, self.tensor, self.module, self.model = torch, tensor, module, model
        self.fixed_noise = fixed_noise
        self.compiled: Any = None
        without_dropout(model.modules())

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
        return {name: _plain(value) for name, value in self.model.state_dict().items()}

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters and buffers."""
        self.model.load_state_dict({name: self._tensor(value) for name, value in values.items()}, strict=False)

    def outputs(self, inputs: Sequence[np.ndarray], training: bool, compiled: bool = False) -> dict[str, np.ndarray]:
        """Every tensor of the result, by its place in it."""
        with self.torch.no_grad():
            return {name: _plain(value) for name, value in self._call(inputs, training, compiled).items()}

    def gradients(
        self,
        inputs: Sequence[np.ndarray],
        cotangents: Mapping[str, np.ndarray],
        training: bool,
        compiled: bool = False,
    ) -> dict[str, np.ndarray]:
        """Gradients of the parameters, and of a network without parameters those of its inputs."""
        self.model.zero_grad()
        trained = self._trained()
        tensors = [self._tensor(value) for value in inputs]
        if not trained:
            trained = {f"input {i}": x.requires_grad_() for i, x in enumerate(tensors) if x.is_floating_point()}
        self._loss(tensors, cotangents, training, compiled).backward()
        found = {
            name: np.zeros(tuple(value.shape), np.float32) if value.grad is None else _plain(value.grad)
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
        trained = self._trained()
        if not trained:
            return {}
        update = getattr(self.torch.optim, optimizer)(list(trained.values()), lr=rate)
        for _ in range(count):
            update.zero_grad()
            self._loss([self._tensor(value) for value in inputs], cotangents, training, compiled).backward()
            for value in trained.values():  # torch passes over what has no gradient; Cells have zeros
                value.grad = self.torch.zeros_like(value) if value.grad is None else value.grad
            update.step()
        return {name: _plain(value) for name, value in trained.items()}

    def _trained(self) -> dict[str, Any]:
        return {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    def _tensor(self, value: np.ndarray) -> Any:
        return self.torch.from_numpy(np.array(value))

    def _loss(self, inputs: Sequence[Any], cotangents: Mapping[str, np.ndarray], training: bool, compiled: bool) -> Any:
        found = self._call(inputs, training, compiled)
        return sum((found[name] * self._tensor(value)).sum() for name, value in cotangents.items())

    def _call(self, inputs: Sequence[Any], training: bool, compiled: bool) -> dict[str, Any]:
        self.model.train(training)
        given = [self._tensor(value) if isinstance(value, np.ndarray) else value for value in inputs]
        if compiled and self.compiled is None:
            self.compiled = self.torch.compile(self.model)
        with self.fixed_noise():
            return leaves((self.compiled if compiled else self.model)(*given), self.tensor)


def _plain(value: Any) -> np.ndarray:
    return np.array(value.detach().numpy())
