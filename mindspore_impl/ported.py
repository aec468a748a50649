"""Mirrors pytorch_impl.ported; differs: gradients of a Cell are taken of a function, and every call can be compiled."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint, nn, ops

from common.api_mapping.checking.inputs import noise
from common.api_mapping.checking.network import TorchNetwork, built, leaves, without_dropout
from common.errors import InputError
from mindspore_impl import functional, optim

__all__ = ["network"]


def network(path: Path, name: str, arguments: Mapping[str, Any]) -> Any:
    """The class ``name`` of a file, constructed, with the methods of `TorchNetwork`.

    Raises:
        InputError: there is no such class, or it refuses the arguments.
    """
    module, model = built(path, "mindspore", name, arguments)
    surface = sys.modules.get("mindspore_impl.torch_api")
    if surface is not None and isinstance(model, surface.nn.Module):
        kind = sys.modules["mindspore_impl.torch_api.tensor"].Tensor
        return TorchNetwork(surface, kind, module, model, partial(_recorded, surface))
    return _CellNetwork(module, model)


class _CellNetwork:
    """The network, and what is compared of it. Dropout is switched off; random numbers depend on their shape alone."""

    def __init__(self, module: Any, model: nn.Cell):
        self.module, self.model = module, model
        without_dropout(cell for _, cell in model.cells_and_names())

    def made(self, function: str) -> list[np.ndarray]:
        """What a function of the file returns, as arrays.

        Raises:
            InputError: there is no such function.
        """
        if not callable(factory := getattr(self.module, function, None)):
            raise InputError(f"{self.module.__file__} has no function {function}.")
        found = factory()
        return [_plain(value) for value in (found if isinstance(found, tuple | list) else (found,))]

    def tied(self) -> dict[str, str]:
        """The first name of every parameter's name."""
        return {name: name for name, _ in self.model.parameters_and_names()}

    def state(self) -> dict[str, np.ndarray]:
        """Parameters and persistent buffers."""
        return {name: np.array(value.asnumpy()) for name, value in self.model.state_dict().items()}

    def load(self, values: Mapping[str, np.ndarray]) -> None:
        """Set parameters and buffers."""
        held = self.model.state_dict()
        for name, value in values.items():
            if isinstance(held[name], ms.Parameter):
                held[name].set_data(Tensor(value))
            else:
                held[name].copy_(Tensor(value))

    def outputs(self, inputs: Sequence[np.ndarray], training: bool, compiled: bool = False) -> dict[str, np.ndarray]:
        """Every tensor of the result, by its place in it."""
        self.model.set_train(training)
        model = self.model

        def call(*given):
            return model(*given)

        with _replaced((functional, mint, ops)):
            found = (ms.jit(call) if compiled else call)(*map(Tensor, inputs))
        return {name: _plain(value) for name, value in leaves(found, Tensor).items()}

    def gradients(
        self,
        inputs: Sequence[np.ndarray],
        cotangents: Mapping[str, np.ndarray],
        training: bool,
        compiled: bool = False,
    ) -> dict[str, np.ndarray]:
        """Gradients of the parameters, and of a network without parameters those of its inputs."""
        trained = self._trained()
        loss, given = self._loss(inputs, cotangents, training), [Tensor(value) for value in inputs]
        weights = ms.ParameterTuple(trained.values()) if trained else None
        places = tuple(i for i, x in enumerate(given) if x.is_floating_point()) if not trained else ()
        gradient = ms.grad(loss, places or None, weights)
        with _replaced((functional, mint, ops)):
            found = (ms.jit(gradient) if compiled else gradient)(*given)
        names = list(trained) or [f"input {i}" for i in places]
        return {name: _plain(value) for name, value in zip(names, _several(found), strict=True)}

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
        update = getattr(optim, optimizer)(list(trained.values()), lr=rate)
        names, given = [parameter.name for parameter in trained.values()], [Tensor(value) for value in inputs]
        gradient = ms.grad(
            self._loss(inputs, cotangents, training), None, ms.ParameterTuple(trained.values()), return_ids=True
        )

        def step(*tensors):
            return update(gradient(*tensors))

        if len(set(names)) < len(names):
            raise InputError("Two parameters have the same name, so that gradients cannot be told apart by name.")
        call = ms.jit(step) if compiled else step
        with _replaced((functional, mint, ops)):
            for _ in range(count):
                call(*given)
        return {name: _plain(value) for name, value in trained.items()}

    def _trained(self) -> dict[str, Any]:
        return {name: value for name, value in self.model.parameters_and_names() if value.requires_grad}

    def _loss(self, inputs: Sequence[Any], cotangents: Mapping[str, np.ndarray], training: bool) -> Callable[..., Any]:
        """The sum of the outputs' products with ``cotangents``, as a function of the inputs."""
        self.model.set_train(training)
        model, paths = self.model, tuple(_path(name) for name in cotangents)
        sent = tuple(Tensor(value) for value in cotangents.values())

        def loss(*given):
            found, total = model(*given), 0.0
            for place in range(len(paths)):
                leaf = found
                for key in paths[place]:
                    leaf = leaf[key]
                total = total + (leaf * sent[place]).sum()
            return total

        return loss


def _path(name: str) -> tuple[Any, ...]:
    """``[1][0]`` as keys."""
    keys = name.strip("[]").split("][") if name != "output" else []
    return tuple(int(key) if key.isdigit() else key for key in keys)


def _several(found: Any) -> Sequence[Any]:
    return found if isinstance(found, tuple | list) else (found,)


def _plain(value: Any) -> np.ndarray:
    return np.array(value.asnumpy()) if isinstance(value, Tensor) else np.asarray(value)


@ops.constexpr
def _drawn(shape: tuple[int, ...], kind: str) -> Tensor:
    values = noise(tuple(shape), "random numbers")
    return Tensor(values if kind == "normal" else np.abs(np.sin(values)))


def _randn(*size, dtype=None, generator=None):
    return _drawn(size[0] if isinstance(size[0], (tuple, list)) else size, "normal")  # graphs know no |


def _rand(*size, dtype=None, generator=None):
    return _drawn(size[0] if isinstance(size[0], (tuple, list)) else size, "uniform")


def _randn_like(input, dtype=None, seed=None):
    return _drawn(input.shape, "normal")


def _rand_like(input, dtype=None, seed=None):
    return _drawn(input.shape, "uniform")


@contextmanager
def _replaced(spaces: Sequence[Any], wrap: Callable[[np.ndarray], Any] | None = None) -> Any:
    """In the block, random tensors depend on their shape alone."""
    own = {"randn": _randn, "rand": _rand, "randn_like": _randn_like, "rand_like": _rand_like}
    kept = [(space, name, getattr(space, name)) for space in spaces for name in own if hasattr(space, name)]
    for space, name, _ in kept:
        setattr(space, name, own[name] if wrap is None else _wrapped(own[name], wrap))
    try:
        yield
    finally:
        for space, name, function in kept:
            setattr(space, name, function)


@contextmanager
def _recorded(surface: Any) -> Any:
    """The same for the surface, which records; MindSpore's gradient functions switch that off behind them."""
    sys.modules["mindspore_impl.torch_api.autograd"].record_always()
    with _replaced((surface,), surface.from_numpy):
        yield


def _wrapped(function: Callable[..., Any], wrap: Callable[[np.ndarray], Any]) -> Callable[..., Any]:
    return lambda *arguments, **keywords: wrap(function(*arguments, **keywords).asnumpy())
