"""Modules that hold others."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from mindspore_impl.torch_api.nn.module import Module
from mindspore_impl.torch_api.nn.parameter import Parameter
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Numbered(Module):
    """Children under the names 0, 1, ..."""

    def _place(self, index: Any) -> str:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range")
        return str(index % len(self))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            kept = list(self._modules.items())[index]
            return type(self)(OrderedDict(kept)) if isinstance(self, Sequential) else type(self)(m for _, m in kept)
        if isinstance(self, Sequential):
            return next(islice(self._modules.values(), self._nth(index), None))
        return self._modules[self._place(index)]

    def _nth(self, index: Any) -> int:
        return int(self._place(index))

    def __setitem__(self, index: Any, module: Module) -> None:
        name = list(self._modules)[self._nth(index)]
        setattr(self, name, module)

    def __delitem__(self, index: Any) -> None:
        kept = list(self._modules.values())
        del kept[index]
        self._modules.clear()
        for place, module in enumerate(kept):
            self._modules[str(place)] = module

    def append(self, module: Module) -> Any:
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        kept = list(self._modules.values())
        kept.insert(index, module)
        self._modules.clear()
        for place, one in enumerate(kept):
            self._modules[str(place)] = one
        return self

    def pop(self, index: Any = -1) -> Module:
        found = self[index]
        del self[index]
        return found


class Sequential(_Numbered):
    """Modules called one after the other."""

    def __init__(self, *modules: Any):
        super().__init__()
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], Mapping) else dict(enumerate(modules))
        for name, module in named.items():
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input


class ModuleList(_Numbered):
    """A list of modules."""

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(modules or ())

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Module]) -> ModuleList:
        return self.extend(other)


class ModuleDict(Module):
    """A dictionary of modules."""

    def __init__(self, modules: Any = None):
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Any) -> None:
        for name, module in modules.items() if hasattr(modules, "items") else modules:
            self[name] = module

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        self._modules.clear()

    def pop(self, key: str) -> Module:
        return self._modules.pop(key)

    def keys(self) -> Any:
        return self._modules.keys()

    def values(self) -> Any:
        return self._modules.values()

    def items(self) -> Any:
        return self._modules.items()


def _parameter(value: Any) -> Any:
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


class ParameterList(Module):
    """A list of parameters; other tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self._count = 0
        self.extend(values or ())

    def _name(self, index: Any) -> str:
        index = operator.index(index)
        if not -self._count <= index < self._count:
            raise IndexError(f"index {index} is out of range")
        return str(index % self._count)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self[place] for place in range(self._count))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ParameterList([self[place] for place in range(self._count)[index]])
        return getattr(self, self._name(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, self._name(index), _parameter(value))

    def append(self, value: Any) -> ParameterList:
        self._count += 1
        self[self._count - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        for value in values:
            self.append(value)
        return self


class ParameterDict(Module):
    """A dictionary of parameters; other tensors become parameters."""

    def __init__(self, parameters: Any = None):
        super().__init__()
        self._names: dict[str, None] = {}
        for name, value in parameters.items() if hasattr(parameters, "items") else parameters or ():
            self[name] = value

    def __getitem__(self, key: str) -> Any:
        if key not in self._names:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._names[key] = None
        setattr(self, key, _parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._names[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def keys(self) -> Any:
        return self._names.keys()

    def values(self) -> Any:
        return [self[name] for name in self._names]

    def items(self) -> Any:
        return [(name, self[name]) for name in self._names]
