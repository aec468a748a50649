"""``torch.optim.Optimizer``: groups of parameters, and the updates of `mindspore_impl.shims.optim`, which the mapping
verified.

An update is one of the adapters' cells for a set of parameters. It is made by the first step, for the parameters that
have a gradient; parameters without one keep their state, and cells are made anew when the set changes.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import mindspore as ms
from mindspore import ops

from mindspore_impl.torch_api.autograd import enable_grad, no_grad
from mindspore_impl.torch_api.graphs import Compiled
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["Optimizer"]

_UNUSED = ("foreach", "capturable", "differentiable", "fused")


class Optimizer:
    """Groups of parameters with their options, and what updates them.

    A subclass says in ``update`` which adapter computes its step and in ``kept`` which of the adapter's state torch
    keeps, by torch's names.
    """

    update: type[Any]
    kept: dict[str, str] = {}
    defaults_of: inspect.Signature

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]):
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got a tensor"
            )
        self.defaults, self.param_groups = defaults, []
        self.state: dict[Any, dict[str, Any]] = defaultdict(dict)
        self._cells: list[_Cell] = []
        self._hooks: list[Any] = []
        given = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        if isinstance(given[0], tuple):  # named parameters
            given = [parameter for _, parameter in given]
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(dict(group))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        held = param_group["params"]
        param_group["params"] = [held] if isinstance(held, Tensor) else list(held)
        for parameter in param_group["params"]:
            if not isinstance(parameter, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(parameter).__name__}"
                )
            if not parameter.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, value in self.defaults.items():
            param_group.setdefault(name, value)
        known = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        if any(id(parameter) in known for parameter in param_group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = Tensor(ops.zeros_like(parameter.grad.raw))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; the closure's result if one is given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        present = [
            (parameter, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter._held._grad is not None
        ]
        with no_grad():
            for cell in self._partition(present):
                cell.run(self.param_groups)
        return loss

    def _partition(self, present: list[tuple[Tensor, dict[str, Any]]]) -> list[_Cell]:
        """Cells that together update these parameters and no other."""
        wanted = {id(parameter) for parameter, _ in present}
        cells, known = [], set()
        for cell in list(self._cells):
            inside = [place for place, parameter in enumerate(cell.parameters) if id(parameter) in wanted]
            known |= {id(parameter) for parameter in cell.parameters}
            if len(inside) == len(cell.parameters):
                cells.append(cell)
            elif inside:
                self._cells.remove(cell)
                outside = [place for place in range(len(cell.parameters)) if place not in inside]
                parts = [
                    _Cell(self, [cell.members[place] for place in places], cell, places) for places in (inside, outside)
                ]
                self._cells += parts
                cells.append(parts[0])
        new = [member for member in present if id(member[0]) not in known]
        if new:
            self._cells.append(_Cell(self, new))
            cells.append(self._cells[-1])
        return cells

    # ---- state

    def _collect(self) -> dict[int, dict[str, Any]]:
        """What every parameter has gathered, by the parameter's identity."""
        found: dict[int, dict[str, Any]] = {}
        for cell in self._cells:
            for place, parameter in enumerate(cell.parameters):
                found[id(parameter)] = cell.state(place)
        return found

    def state_dict(self) -> dict[str, Any]:
        """State and options in torch's layout, parameters by number."""
        collected, numbers, groups = self._collect(), {}, []
        for group in self.param_groups:
            for parameter in group["params"]:
                numbers.setdefault(id(parameter), len(numbers))
            kept = {name: value for name, value in group.items() if name != "params"}
            groups.append({**kept, "params": [numbers[id(parameter)] for parameter in group["params"]]})
        return {
            "state": {numbers[key]: value for key, value in collected.items() if value},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave, also torch's own."""
        groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        numbered: dict[Any, tuple[Tensor, dict[str, Any]]] = {}
        for group, given in zip(self.param_groups, groups, strict=True):
            if len(given["params"]) != len(group["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
                )
            for number, parameter in zip(given.pop("params"), group["params"], strict=True):
                numbered[number] = (parameter, group)
            group.update(given)
        self._restore(numbered, state_dict["state"])

    def _restore(self, numbered: dict[Any, tuple[Tensor, dict[str, Any]]], state: dict[Any, dict[str, Any]]) -> None:
        """Take over what parameters had gathered, by number."""
        self._cells = []
        by_step: dict[float, list[Any]] = defaultdict(list)
        for number, values in state.items():
            by_step[float(_number(values.get("step", 1)))].append((numbered[number], values))
        for step, members in by_step.items():
            cell = _Cell(self, [member for member, _ in members])
            cell.load(step, [values for _, values in members])
            self._cells.append(cell)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])


def _number(value: Any) -> float:
    return value.item() if hasattr(value, "item") else value


class _Cell:
    """One of the adapters' optimizers for parameters that always have a gradient together."""

    def __init__(self, optimizer: Optimizer, members: list[Any], previous: _Cell | None = None, places: Any = ()):
        self.members, self.parameters = members, [parameter for parameter, _ in members]
        self.kept, self.groups = optimizer.kept, [group for _, group in members]
        self.accepted = frozenset(inspect.signature(optimizer.update).parameters)
        self.groups_once = list({id(group): group for group in self.groups}.values())
        self.current = {id(group): self._options(group) for group in self.groups_once}
        options = [self.current[id(group)] for group in self.groups]
        weights = [_weight(parameter) for parameter in self.parameters]
        groups = [{"params": [weight], **option} for weight, option in zip(weights, options, strict=True)]
        self.cell = optimizer.update(groups, **options[0])
        self.options, self.compiled = options, None
        if previous is not None:
            ops.assign(self.cell.steps, previous.cell.steps)
            for name, kept in self._states():
                before = getattr(previous.cell, name)
                for own, place in zip(kept, places, strict=True):
                    ops.assign(own, before[place])

    def _options(self, group: dict[str, Any]) -> dict[str, Any]:
        found = {name: value for name, value in group.items() if name in self.accepted and name != "params"}
        found = {name: _number(value) if isinstance(value, Tensor) else value for name, value in found.items()}
        if isinstance(found.get("betas"), list):
            found["betas"] = tuple(found["betas"])
        return found

    def _states(self) -> list[tuple[str, Any]]:
        known = ("parameters", "rates", "names", "groups", "options")
        return [(n, v) for n, v in vars(self.cell).items() if isinstance(v, ms.ParameterTuple) and n not in known] + [
            (n, v)
            for n, v in getattr(self.cell, "_params_list", {}).items()
            if n not in known and n != "steps" and not isinstance(v, ms.Parameter)
        ]

    def run(self, groups: list[dict[str, Any]]) -> None:
        """One step with the gradients of now."""
        current = {id(group): self._options(group) for group in self.groups_once}
        if current != self.current:
            self._follow([current[id(group)] for group in self.groups])
            self.current = current
        gradients = tuple(parameter._held._grad for parameter in self.parameters)
        if self.groups[0].get("fused"):
            if self.compiled is None:
                cell = self.cell

                def update(*given: Any) -> Any:
                    return cell.update_all(given)

                self.compiled = Compiled(update)
            self.compiled(*gradients)
        else:
            self.cell.update_all(gradients)
        for parameter in self.parameters:
            parameter._version += 1

    def _follow(self, options: list[dict[str, Any]]) -> None:
        """Take over what was changed in the groups since the last step."""
        for rate, new, old in zip(self.cell.rates, options, self.options, strict=True):
            if new["lr"] != old["lr"]:
                rate.set_data(ms.Tensor(float(new["lr"]), ms.float32))
        if any({**new, "lr": 0} != {**old, "lr": 0} for new, old in zip(options, self.options, strict=True)):
            self.cell.options = tuple({**old, **new} for old, new in zip(self.cell.options, options, strict=True))
            self.compiled = None
        self.options = options

    def state(self, place: int) -> dict[str, Any]:
        """Torch's state of one parameter."""
        found: dict[str, Any] = {}
        if "step" in self.kept:
            found["step"] = Tensor(ms.Tensor(float(self.cell.steps.asnumpy()), ms.float32))
        for name, own in self.kept.items():
            states = getattr(self.cell, own, None) if own else None
            if states is not None and self._wanted(name, place):
                value = Tensor(states[place].copy())
                found[name] = 1.0 - value if name == "mu_product" else value
        return found

    def _wanted(self, name: str, place: int) -> bool:
        option = self.options[place]
        needs = {"max_exp_avg_sq": "amsgrad", "momentum_buffer": "momentum", "grad_avg": "centered"}
        return bool(option.get(needs[name])) if name in needs else True

    def load(self, step: float, values: list[dict[str, Any]]) -> None:
        """Take torch's state over."""
        ops.assign(self.cell.steps, ms.Tensor(int(step), ms.int64))
        for place, (given, option) in enumerate(zip(values, self.options, strict=True)):
            for name, own in self.kept.items():
                if own and name in given and getattr(self.cell, own, None) is not None and given[name] is not None:
                    array = given[name].detach().cpu().numpy() if hasattr(given[name], "detach") else given[name]
                    ops.assign(getattr(self.cell, own)[place], ms.Tensor(array, ms.float32))
            for own, number in (("correction1", 0), ("correction2", 1), ("correction", 0)):
                if hasattr(self.cell, own):
                    gathered = 1.0 - option["betas"][number] ** step
                    ops.assign(getattr(self.cell, own)[place], ms.Tensor(gathered, ms.float32))
            if "mu_product" in given:
                product = _number(given["mu_product"])
                ops.assign(self.cell.remainder[place], ms.Tensor(1.0 - product, ms.float32))


def _weight(parameter: Tensor) -> ms.Parameter:
    """The tensor's own as one of MindSpore's parameters, which adapters assign to."""
    held = parameter._held
    if not isinstance(held, ms.Parameter):
        from mindspore_impl.torch_api.nn.parameter import Parameter

        made = Parameter(parameter.detach(), parameter.requires_grad)._held
        made._grad = held._grad
        parameter._held = held = made
    return held
