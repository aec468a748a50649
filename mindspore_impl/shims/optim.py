"""Optimizers with torch's constructor arguments and formulas. MindSpore keeps no gradient in a parameter, so each is
called with all of them, by name.

    optimizer = Adam(model.trainable_params(), lr=1e-3)
    loss, gradients = ms.value_and_grad(forward, None, model.trainable_params(), return_ids=True)(batch)
    optimizer(gradients)  # or optimizer.step(gradients); also inside ms.jit
 With ``return_ids=True`` every gradient comes with the name of its parameter, and their order does not matter; without,
the names are given apart, ``optimizer(gradients, [parameter.name for parameter in weights])``. Gradients without names
are refused: in another order than the optimizer's they would be exchanged.
 Parameters may come in groups with own options, ``[{"params": ..., "lr": ...}, ...]``. A schedule assigns to the rates:
``ops.assign(optimizer.rates[0], 1e-4)``, one for each group. Torch's foreach, fused, capturable and differentiable are
left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import mindspore as ms
from mindspore import Parameter, ParameterTuple, Tensor, nn, ops

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"]


class Group(dict):
    """Options of a parameter group; the rate can be set, and is the optimizer's.

    Raises:
        ValueError: another option is set, which compiled steps would not see.
    """

    def __init__(self, rate: Parameter, options: dict[str, Any], params: list[Parameter]):
        super().__init__({**options, "lr": float(options["lr"]), "params": params})
        self.rate, self.fixed = rate, frozenset(options) - {"lr"}

    def __setitem__(self, name: str, value: Any):
        if name in self.fixed or name == "params":
            raise ValueError(f"only the rate of a group can be changed, not {name}: construct another optimizer.")
        if name == "lr":
            ops.assign(self.rate, Tensor(float(value), ms.float32))
        super().__setitem__(name, value)


class _Optimizer(nn.Cell):
    """Groups, rates and the loop over the parameters. A subclass adds its state and gives ``update``, the new value of
    one parameter."""

    def __init__(self, params: Iterable[Any], **options: Any):
        super().__init__(auto_prefix=False)
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        parameters, self.options, self.groups = [], (), ()
        for number, group in enumerate(groups):
            if unknown := group.keys() - options.keys() - {"params"}:
                raise ValueError(f"unknown options of a group: {', '.join(sorted(unknown))}")
            held = [group["params"]] if isinstance(group["params"], Parameter) else list(group["params"])
            parameters += held
            self.options += ({**options, **{name: value for name, value in group.items() if name != "params"}},) * len(
                held
            )
            self.groups += (number,) * len(held)
        if not parameters:
            raise ValueError("optimizer got an empty parameter list")
        if any(parameter.dtype == ms.float64 for parameter in parameters):
            raise ValueError("updates are computed in float32; float64 parameters would lose what they are for")
        rates = [group.get("lr", options["lr"]) for group in groups]
        self.parameters = ParameterTuple(parameters)
        self.names = tuple([parameter.name for parameter in parameters])
        self.rates = ParameterTuple(
            [Parameter(Tensor(float(rate), ms.float32), f"lr.{number}", False) for number, rate in enumerate(rates)]
        )
        self.steps = Parameter(Tensor(0, ms.int64), "steps", False)

    @property
    def param_groups(self) -> list[Group]:
        """The groups as torch has them: ``optimizer.param_groups[0]["lr"] = 1e-4`` sets a rate."""
        if not hasattr(self, "shown"):
            held = [
                [parameter for parameter, group in zip(self.parameters, self.groups, strict=True) if group == number]
                for number in range(len(self.rates))
            ]
            options = [self.options[self.groups.index(number)] for number in range(len(self.rates))]
            shown = [
                Group(rate, option, params) for rate, option, params in zip(self.rates, options, held, strict=True)
            ]
            object.__setattr__(self, "shown", shown)
        return self.shown

    def kept(self, name: str, start: str = "", scalar: bool = False) -> ParameterTuple:
        """State for each parameter: like it or a scalar, starting with the option ``start`` or 0."""
        values = [float(option[start]) if start else 0.0 for option in self.options]
        shapes = [() if scalar else parameter.shape for parameter in self.parameters]
        starts = [ops.full(shape, value, dtype=ms.float32) for shape, value in zip(shapes, values, strict=True)]
        return ParameterTuple(
            [Parameter(begin, f"{name}.{p.name}", False) for begin, p in zip(starts, self.parameters, strict=True)]
        )

    def step(self, gradients: tuple[Any, ...], names: tuple[str, ...] | None = None) -> Tensor:
        """The same as a call."""
        return self(gradients, names)

    def paired(self, gradients: tuple[Any, ...], names: tuple[str, ...] | None) -> tuple[Tensor, ...]:
        """The gradients in the order of the optimizer's parameters; those of other parameters are left out.

        Raises:
            ValueError: gradients come without names, in another number than the names, or one is missing.
        """
        if names is None:
            if len(gradients) == 2 and isinstance(gradients[0], str):
                gradients = (gradients,)  # of one parameter
            if len(gradients) == 0 or not isinstance(gradients[0], tuple):
                raise ValueError(
                    "Gradients must come with the names of their parameters, since another order would exchange them: "
                    "ms.value_and_grad(forward, None, weights, return_ids=True), or "
                    "optimizer(gradients, [parameter.name for parameter in weights])."
                )
            given = tuple([pair[0] for pair in gradients])
            gradients = tuple([pair[1] for pair in gradients])
        else:
            if len(names) != len(gradients):
                raise ValueError("There must be one name for each gradient.")
            given = tuple(names)
        return tuple([gradients[place] for place in _places(self.names, given)])

    def construct(self, gradients: tuple[Any, ...], names: tuple[str, ...] | None = None) -> Tensor:
        """Update every parameter; returns how many steps were made.

        Args:
            gradients: pairs of a parameter's name and its gradient, as with ``return_ids=True``, in any order; or
                gradients alone, with ``names`` in the same order.
        """
        return self.update_all(self.paired(gradients, names))

    def update_all(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """Update every parameter with the gradients in the parameters' order; returns how many steps were made."""
        steps = ops.assign(self.steps, self.steps + 1)
        moment = steps.astype(ms.float32)
        for index in range(len(self.parameters)):
            parameter, option = self.parameters[index], self.options[index]
            rate, value = self.rates[self.groups[index]], parameter.astype(ms.float32)
            gradient = gradients[index].astype(ms.float32)
            if option["maximize"]:
                gradient = -gradient
            if option["weight_decay"] != 0.0:
                if option["decoupled_weight_decay"]:
                    value = value * (1.0 - rate * option["weight_decay"])
                else:
                    gradient = gradient + value * option["weight_decay"]
            new = self.update(index, option, rate, moment, value, gradient)
            steps = ops.depend(steps, ops.assign(parameter, new.astype(parameter.dtype)))
        return steps


@ops.constexpr  # in a graph, a loop over names in a loop over names nests deeper than MindSpore compiles
def _places(wanted: tuple[str, ...], given: tuple[str, ...]) -> tuple[int, ...]:
    """Where the gradient of every parameter is.

    Raises:
        ValueError: a parameter has none, or several.
    """
    for name in wanted:
        if given.count(name) != 1:
            raise ValueError(
                f"Every parameter of the optimizer must have one gradient; {name} has {given.count(name)}."
            )
    return tuple([given.index(name) for name in wanted])


def _blend(state: Parameter, value: Tensor, beta: float) -> Tensor:
    """Moving average, kept; of ones from 0 it is 1 - beta^t without cancellation."""
    return ops.assign(state, state * beta + value * (1.0 - beta))


class SGD(_Optimizer):
    """Gradient descent with momentum; the first step is not dampened."""

    def __init__(
        self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, *, maximize=False
    ):
        if nesterov and (momentum <= 0.0 or dampening != 0.0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
        super().__init__(
            params, lr=lr, weight_decay=weight_decay, decoupled_weight_decay=False, maximize=maximize, **options
        )
        self.buffer = self.kept("momentum_buffer")

    def update(self, index, option, rate, moment, value, gradient):
        if option["momentum"] == 0.0:
            return value - gradient * rate
        share = ops.where(moment > 1.5, 1.0 - option["dampening"], 1.0)
        buffer = ops.assign(self.buffer[index], self.buffer[index] * option["momentum"] + gradient * share)
        return value - (gradient + buffer * option["momentum"] if option["nesterov"] else buffer) * rate


class Adam(_Optimizer):
    """Adam (Kingma and Ba 2015), eps added to the corrected root; nn.Adam adds it before the correction."""

    decoupled = False

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        *,
        maximize=False,
        decoupled_weight_decay=False,
    ):
        options = {"betas": betas, "eps": eps, "amsgrad": amsgrad, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, lr=lr, weight_decay=weight_decay, maximize=maximize, **options)
        self.first, self.second = self.kept("exp_avg"), self.kept("exp_avg_sq")
        self.correction1, self.correction2 = (
            self.kept("correction1", scalar=True),
            self.kept("correction2", scalar=True),
        )
        self.largest = self.kept("max_exp_avg_sq") if any(option["amsgrad"] for option in self.options) else None

    def update(self, index, option, rate, moment, value, gradient):
        first = _blend(self.first[index], gradient, option["betas"][0])
        second = _blend(self.second[index], gradient * gradient, option["betas"][1])
        correction1 = _blend(self.correction1[index], ops.ones_like(rate), option["betas"][0])
        correction2 = _blend(self.correction2[index], ops.ones_like(rate), option["betas"][1])
        if option["amsgrad"]:
            second = ops.assign(self.largest[index], ops.maximum(self.largest[index], second))
        return value - first / (ops.sqrt(second) / ops.sqrt(correction2) + option["eps"]) * (rate / correction1)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class Adagrad(_Optimizer):
    """Adagrad (Duchi et al. 2011)."""

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0.0,
        weight_decay=0.0,
        initial_accumulator_value=0.0,
        eps=1e-10,
        *,
        maximize=False,
    ):
        options = {"lr_decay": lr_decay, "initial_accumulator_value": initial_accumulator_value, "eps": eps}
        super().__init__(
            params, lr=lr, weight_decay=weight_decay, decoupled_weight_decay=False, maximize=maximize, **options
        )
        self.squares = self.kept("sum", "initial_accumulator_value")

    def update(self, index, option, rate, moment, value, gradient):
        squares = ops.assign(self.squares[index], self.squares[index] + gradient * gradient)
        return value - gradient / (ops.sqrt(squares) + option["eps"]) * (
            rate / (1.0 + (moment - 1.0) * option["lr_decay"])
        )


class Adadelta(_Optimizer):
    """Adadelta (Zeiler 2012)."""

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, *, maximize=False):
        super().__init__(
            params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, decoupled_weight_decay=False, maximize=maximize
        )
        self.squares, self.changes = self.kept("square_avg"), self.kept("acc_delta")

    def update(self, index, option, rate, moment, value, gradient):
        squares = _blend(self.squares[index], gradient * gradient, option["rho"])
        change = ops.sqrt(self.changes[index] + option["eps"]) / ops.sqrt(squares + option["eps"]) * gradient
        return ops.depend(value - change * rate, _blend(self.changes[index], change * change, option["rho"]))


class RMSprop(_Optimizer):
    """RMSprop (Hinton 2012), eps added outside the root; nn.RMSProp adds it inside."""

    def __init__(
        self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, *, maximize=False
    ):
        options = {"alpha": alpha, "eps": eps, "momentum": momentum, "centered": centered}
        super().__init__(
            params, lr=lr, weight_decay=weight_decay, decoupled_weight_decay=False, maximize=maximize, **options
        )
        self.squares, self.means, self.buffer = (
            self.kept("square_avg"),
            self.kept("grad_avg"),
            self.kept("momentum_buffer"),
        )

    def update(self, index, option, rate, moment, value, gradient):
        squares = _blend(self.squares[index], gradient * gradient, option["alpha"])
        if option["centered"]:
            mean = _blend(self.means[index], gradient, option["alpha"])
            squares = squares - mean * mean
        change = gradient / (ops.sqrt(squares) + option["eps"])
        if option["momentum"] != 0.0:
            change = ops.assign(self.buffer[index], self.buffer[index] * option["momentum"] + change)
        return value - change * rate


class Adamax(_Optimizer):
    """Adam with the infinity norm."""

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *, maximize=False):
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=False,
            maximize=maximize,
        )
        self.first, self.norms, self.correction = (
            self.kept("exp_avg"),
            self.kept("exp_inf"),
            self.kept("correction", scalar=True),
        )

    def update(self, index, option, rate, moment, value, gradient):
        first = _blend(self.first[index], gradient, option["betas"][0])
        correction = _blend(self.correction[index], ops.ones_like(rate), option["betas"][0])
        norm = ops.assign(
            self.norms[index], ops.maximum(self.norms[index] * option["betas"][1], ops.abs(gradient) + option["eps"])
        )
        return value - first / norm * (rate / correction)


class NAdam(_Optimizer):
    """Adam with Nesterov momentum (Dozat 2016)."""

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        momentum_decay=4e-3,
        decoupled_weight_decay=False,
        *,
        maximize=False,
    ):
        options = {
            "betas": betas,
            "eps": eps,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, lr=lr, weight_decay=weight_decay, maximize=maximize, **options)
        self.first, self.second, self.correction2 = (
            self.kept("exp_avg"),
            self.kept("exp_avg_sq"),
            self.kept("correction2", scalar=True),
        )
        self.remainder = self.kept("mu_remainder", scalar=True)  # 1 - the product of all mu

    def update(self, index, option, rate, moment, value, gradient):
        beta1, beta2 = option["betas"]
        decay = option["momentum_decay"] * math.log(0.96)
        mu, following = (beta1 * (1.0 - 0.5 * ops.exp(time * decay)) for time in (moment, moment + 1.0))
        remainder = ops.assign(self.remainder[index], 1.0 - (1.0 - self.remainder[index]) * mu)
        first, second = (
            _blend(self.first[index], gradient, beta1),
            _blend(self.second[index], gradient * gradient, beta2),
        )
        root = ops.sqrt(second / _blend(self.correction2[index], ops.ones_like(rate), beta2)) + option["eps"]
        change = gradient * ((1.0 - mu) / remainder) + first * (following / (1.0 - (1.0 - remainder) * following))
        return value - change / root * rate


class RAdam(_Optimizer):
    """Adam with a rectified rate (Liu et al. 2020); the rectification is computed in float64, since it is a small
    difference of large numbers."""

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        decoupled_weight_decay=False,
        *,
        maximize=False,
    ):
        options = {"betas": betas, "eps": eps, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, lr=lr, weight_decay=weight_decay, maximize=maximize, **options)
        self.first, self.second = self.kept("exp_avg"), self.kept("exp_avg_sq")
        self.correction1, self.correction2 = (
            self.kept("correction1", scalar=True),
            self.kept("correction2", scalar=True),
        )
        self.logarithms = tuple(Tensor(math.log(option["betas"][1]), ms.float64) for option in self.options)
        self.longest = tuple(
            Tensor(2.0 / (1.0 - option["betas"][1]) - 1.0, ms.float64) for option in self.options
        )  # a Python number would become float32

    def update(self, index, option, rate, moment, value, gradient):
        beta1, beta2 = option["betas"]
        first, second = (
            _blend(self.first[index], gradient, beta1),
            _blend(self.second[index], gradient * gradient, beta2),
        )
        correction1, correction2 = (
            _blend(c[index], ops.ones_like(rate), b) for c, b in ((self.correction1, beta1), (self.correction2, beta2))
        )
        longest, time = self.longest[index], moment.astype(ms.float64)
        power = ops.exp(time * self.logarithms[index])
        length = longest - 2.0 * time * power / (1.0 - power)
        square = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length)
        rectified = (
            ops.sqrt(ops.where(length > 5.0, square, 0.0)).astype(ms.float32)
            * ops.sqrt(correction2)
            / (ops.sqrt(second) + option["eps"])
        )
        return value - first * ops.where(length > 5.0, rectified, 1.0) * (rate / correction1)
