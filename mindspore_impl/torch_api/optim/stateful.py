"""Optimizers that are computed here and not by the mapping's adapters: L-BFGS, which calls the network several times
in a step, and Adafactor (Shazeer and Stern 2018). Their state stands in ``state``, by torch's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

import mindspore as ms
import numpy as np

from common.porting import lbfgs
from mindspore_impl.torch_api.autograd import enable_grad, no_grad
from mindspore_impl.torch_api.optim.optimizer import Optimizer
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["LBFGS", "Adafactor"]


class _Stateful(Optimizer):
    """An optimizer whose state is kept for each parameter in ``state``."""

    def _collect(self) -> dict[int, dict[str, Any]]:
        return {id(parameter): dict(found) for parameter, found in self.state.items()}

    def _restore(self, numbered: dict[Any, tuple[Tensor, dict[str, Any]]], state: dict[Any, dict[str, Any]]) -> None:
        self.state.clear()
        for number, values in state.items():
            self.state[numbered[number][0]] = {name: self._taken(value) for name, value in values.items()}

    @staticmethod
    def _taken(value: Any) -> Any:
        """A copy of a value of a state dictionary, which may be torch's."""
        return _map(value, lambda item: Tensor(ms.Tensor(_plain(item))) if hasattr(item, "detach") else item)


def _map(value: Any, function: Callable[[Any], Any]) -> Any:
    return [function(item) for item in value] if isinstance(value, list) else function(value)


def _plain(tensor: Any) -> np.ndarray:
    return np.array(tensor.detach().cpu().numpy())


def _lifted(value: Any) -> Any:
    return Tensor(ms.Tensor(value)) if isinstance(value, np.ndarray) else value


class LBFGS(_Stateful):
    """Quasi-Newton steps; ``step`` takes a closure that clears the gradients, computes the loss and calls ``backward``.

    Example:
        >>> optimizer = torch.optim.LBFGS(model.parameters(), line_search_fn="strong_wolfe")
        >>> loss = optimizer.step(closure)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ):
        if not float(lr) >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        defaults = {"lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval}
        defaults |= {"tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change}
        super().__init__(params, {**defaults, "history_size": history_size, "line_search_fn": line_search_fn})
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Up to ``max_iter`` iterations; the loss before them."""
        group = self.param_groups[0]
        options = {f.name: group[f.name] for f in fields(lbfgs.Options)}
        options["lr"] = float(options["lr"])
        closure = enable_grad()(closure)

        def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
            self._set(x)
            return float(closure()), self._gradient()

        with no_grad():
            first = closure()
            state, start = self._arrays(group["params"][0]), self._values()
            found = lbfgs.advance(evaluate, start, float(first), self._gradient(), state, lbfgs.Options(**options))
            self._set(found)
        self.state[group["params"][0]] = {name: _map(value, _lifted) for name, value in state.items()}
        return first

    def _values(self) -> np.ndarray:
        return np.concatenate([p.detach().numpy().reshape(-1) for p in self.param_groups[0]["params"]])

    def _gradient(self) -> np.ndarray:
        parts = self.param_groups[0]["params"]
        arrays = [np.zeros(p.numel(), p.detach().numpy().dtype) if p.grad is None else p.grad.numpy() for p in parts]
        return np.concatenate([array.reshape(-1) for array in arrays])

    def _set(self, flat: np.ndarray) -> None:
        begin = 0
        for parameter in self.param_groups[0]["params"]:
            part = flat[begin : begin + parameter.numel()].reshape(tuple(parameter.shape))
            parameter.write(ms.Tensor(part, parameter.raw.dtype))
            begin += parameter.numel()

    def _arrays(self, parameter: Tensor) -> dict[str, Any]:
        """The state with arrays and floats in the place of tensors."""

        def lowered(value: Any) -> Any:
            if not hasattr(value, "detach"):
                return value
            return _plain(value) if value.ndim else value.item()

        return {name: _map(value, lowered) for name, value in self.state[parameter].items() if name != "al"}


class Adafactor(_Stateful):
    """Updates divided by the root of a second moment that matrices keep as the means of rows and columns."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ):
        ranges = (
            ("Learning rate", lr, lr >= 0.0, ">= 0"),
            ("beta2_decay", beta2_decay, beta2_decay <= 0.0, "<= 0"),
            ("epsilon1", eps[0], eps[0] is None or eps[0] >= 0.0, ">= 0"),
            ("epsilon2", eps[1], eps[1] >= 0.0, ">= 0"),
            ("Clipping threshold d", d, d >= 1.0, ">= 1"),
            ("weight_decay", weight_decay, weight_decay >= 0.0, ">= 0"),
        )
        for name, value, inside, range_ in ranges:
            if not inside:
                raise ValueError(f"{name} should be {range_} but is: {value}")
        options = {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay}
        super().__init__(params, {**options, "foreach": foreach, "maximize": maximize})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; the closure's result if one is given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._update(parameter, parameter.grad, group)
        return loss

    def _started(self, gradient: Tensor) -> dict[str, Any]:
        made: dict[str, Any] = {"step": Tensor(ms.Tensor(0.0, ms.float32))}
        if gradient.dim() < 2:
            return {**made, "variance": gradient.new_zeros(gradient.shape)}
        rows, columns = list(gradient.shape), list(gradient.shape)
        rows[-1] = columns[-2] = 1
        return {**made, "row_var": gradient.new_zeros(rows), "col_var": gradient.new_zeros(columns)}

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        from mindspore_impl.torch_api.dtypes import finfo

        state = self.state[parameter]
        if not state:
            state.update(self._started(gradient))
        gradient = -gradient if group["maximize"] else gradient
        eps1, eps2 = group["eps"]
        eps1, lr = finfo(parameter.dtype).eps if eps1 is None else eps1, float(group["lr"])
        state["step"] = state["step"] + 1
        steps = state["step"].item()
        share, values = steps ** group["beta2_decay"], parameter.detach()
        size = max(eps2, values.norm(2).item() / values.numel() ** 0.5) * min(lr, 1 / steps**0.5)
        values = values * (1 - lr * group["weight_decay"])
        squares = gradient * gradient
        if gradient.dim() > 1:
            rows = state["row_var"] = state["row_var"].lerp(squares.mean(-1, keepdim=True), share)
            columns = state["col_var"] = state["col_var"].lerp(squares.mean(-2, keepdim=True), share)
            estimate = rows @ columns / rows.mean(-2, keepdim=True).clamp(min=eps1)
        else:
            estimate = state["variance"] = state["variance"].lerp(squares, share)
        update = estimate.clamp(min=eps1 * eps1).rsqrt() * gradient
        divisor = max(1.0, update.norm(2).item() / (update.numel() ** 0.5 * group["d"]))
        parameter.write((values - update * (size / divisor)).raw)
