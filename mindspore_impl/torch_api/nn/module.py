"""``torch.nn.Module``: a tree of modules with parameters, buffers and hooks.

It is a class of its own and no cell. A cell keeps ``construct``, gradients by function and attributes of its own under
names that networks use (``name``, ``phase``, ``type``, ``parameters``); what it offers, compiling, `compiling` does
for modules. ``cell()`` makes a cell of a module for MindSpore's own tools.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from mindspore_impl.torch_api.dtypes import device as device_of
from mindspore_impl.torch_api.dtypes import dtype as dtype_of
from mindspore_impl.torch_api.nn.hooks import Hook, register
from mindspore_impl.torch_api.nn.parameter import Buffer, Parameter
from mindspore_impl.torch_api.nn.state import _EXTRA_STATE_KEY_SUFFIX, State
from mindspore_impl.torch_api.tensor import Tensor, tape

__all__ = ["_EXTRA_STATE_KEY_SUFFIX", "Hook", "Module"]

_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip
_STORES = ("_parameters", "_buffers", "_modules")


class Module(State):
    """A layer or a network."""

    training: bool

    def __init__(self, *_: Any, **__: Any):
        state = self.__dict__
        state["training"] = True
        for store in _STORES:
            state[store] = OrderedDict()
        state["_non_persistent_buffers_set"] = set()
        for hooks in _HOOKS:
            state[hooks] = {}

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """What the module computes; a subclass says it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        tape.set_grad_flag(True)  # MindSpore's own gradient functions and errors switch the recording off
        if not self._forward_hooks and not self._forward_pre_hooks and not self._backward_hooks:
            return self.forward(*inputs, **keywords)
        return self._call_with_hooks(inputs, keywords)

    def _call_with_hooks(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        for hook, with_keywords in list(self._forward_pre_hooks.values()):
            found = hook(self, inputs, keywords) if with_keywords else hook(self, inputs)
            if found is not None and with_keywords:
                inputs, keywords = found
            elif found is not None:
                inputs = found if isinstance(found, tuple) else (found,)
        output = self.forward(*inputs, **keywords)
        for hook, with_keywords in list(self._forward_hooks.values()):
            found = hook(self, inputs, keywords, output) if with_keywords else hook(self, inputs, output)
            output = output if found is None else found
        for hook in list(self._backward_hooks.values()):
            if isinstance(output, Tensor) and output.requires_grad:
                output.register_hook(lambda gradient, hook=hook: _first(hook(self, None, (gradient,))))
        return output

    # ---- attributes

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        if isinstance(value, Parameter):
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name, "_modules")
            self._stores()["_modules"][name] = value
        elif isinstance(value, Buffer):
            self._forget(name, "_buffers")
            self.register_buffer(name, Tensor(value.raw), value.__dict__["persistent"])
        elif "_parameters" in state and name in state["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            state["_parameters"][name] = None
        elif "_modules" in state and name in state["_modules"]:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            state["_modules"][name] = None
        elif "_buffers" in state and name in state["_buffers"]:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{type(value).__name__}' as buffer '{name}' (torch.Tensor or None expected)"
                )
            state["_buffers"][name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        for store in _STORES:
            kept = state.get(store)
            if kept is not None and name in kept:
                return kept[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for store in _STORES:
            if name in self.__dict__.get(store, ()):
                del self.__dict__[store][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        kept = [name for store in _STORES for name in self.__dict__.get(store, ())]
        return sorted({*object.__dir__(self), *kept})

    def _stores(self) -> dict[str, Any]:
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameters or modules before Module.__init__() call")
        return self.__dict__

    def _forget(self, name: str, keep: str) -> None:
        """Remove an attribute that another of the same name replaces."""
        self._stores()
        self.__dict__.pop(name, None)
        for store in _STORES:
            if store != keep:
                self.__dict__[store].pop(name, None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or a name that may become one."""
        _check_name(self, name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        self._stores()["_parameters"][name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is no parameter; a persistent one is part of the state."""
        _check_name(self, name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._stores()["_buffers"][name] = tensor
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        _check_name(self, name, "_modules")
        self._stores()["_modules"][name] = module

    register_module = add_module

    # ---- the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        seen = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        for _, module in self.named_modules():
            yield module

    def _named_members(self, store: str, prefix: str, recurse: bool, remove_duplicate: bool = True) -> Iterator[Any]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in module.__dict__[store].items():
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        yield from self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        yield from self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        found: Any = self
        for part in target.split(".") if target else ():
            found = getattr(found, part)
            if not isinstance(found, Module):
                raise AttributeError(f"`{part}` is not an nn.Module")
        return found

    def get_parameter(self, target: str) -> Parameter:
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target: str) -> Tensor:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return owner._buffers[name]

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call ``fn`` with every module, children first."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- modes and dtypes

    def train(self, mode: bool = True) -> Module:
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                parameter.grad = Tensor(parameter.grad.raw * 0)

    def to(self, *arguments: Any, **keywords: Any) -> Module:
        """Another floating point dtype for parameters and buffers; devices are checked and move nothing."""
        kind = keywords.pop("dtype", None)
        for argument in (*arguments, *([keywords.pop("device")] if keywords.get("device") is not None else ())):
            if isinstance(argument, dtype_of):
                kind = argument
            elif isinstance(argument, Tensor):
                kind = argument.dtype
            elif isinstance(argument, (str, device_of)):
                device_of.placed(argument)
        if kind is None:
            return self
        if not kind.is_floating_point:
            raise TypeError(f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={kind}")
        return self._cast(kind)

    def _cast(self, kind: dtype_of) -> Module:
        for module in self.modules():
            for parameter in module._parameters.values():
                if parameter is not None and parameter.dtype.is_floating_point and parameter.dtype is not kind:
                    fresh = Parameter(parameter.detach().to(kind), parameter.requires_grad)
                    parameter._held, parameter._version = fresh._held, parameter._version + 1
            for name, buffer in module._buffers.items():
                if buffer is not None and buffer.dtype.is_floating_point:
                    module._buffers[name] = buffer.to(kind)
        return self

    def float(self) -> Module:
        return self._cast(_named("float32"))

    def double(self) -> Module:
        return self._cast(_named("float64"))

    def half(self) -> Module:
        return self._cast(_named("float16"))

    def bfloat16(self) -> Module:
        return self._cast(_named("bfloat16"))

    def type(self, dst_type: Any) -> Module:
        return self._cast(dst_type)

    def cpu(self) -> Module:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Module:
        return self.to("cuda" if device is None else device_of(device))

    # ---- hooks

    def register_forward_hook(
        self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> Hook:
        """Call ``hook(module, inputs, output)`` after forward; what it returns replaces the output."""
        return register(self._forward_hooks, (hook, with_kwargs), prepend)

    def register_forward_pre_hook(self, hook: Any, *, prepend: bool = False, with_kwargs: bool = False) -> Hook:
        """Call ``hook(module, inputs)`` before forward; what it returns replaces the inputs."""
        return register(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook: Any, prepend: bool = False) -> Hook:
        raise NotImplementedError(
            "register_full_backward_hook is not available: a module here has no gradient of its inputs as a whole. "
            "Register a hook on a tensor: x.register_hook(hook)."
        )

    # ---- text

    def extra_repr(self) -> str:
        """What is written in the brackets after the class."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        inner = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        extra = self.extra_repr()
        if not inner:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join([*([extra] if extra else []), *inner]) + "\n)"

    def compile(self, *_: Any, **__: Any) -> None:
        """Compile what a call computes, in place."""
        from mindspore_impl.torch_api.compiling import compile_function

        object.__setattr__(self, "forward", compile_function(self.forward, self))


def _first(found: Any) -> Any:
    return found[0] if isinstance(found, tuple) else found


def _named(name: str) -> dtype_of:
    from mindspore_impl.torch_api.dtypes import NAMED

    return NAMED[name]


def _check_name(module: Module, name: str, store: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a parameter, buffer or module must be a string; received {name!r}.")
    if "." in name or not name:
        raise KeyError(f"the name must not be empty or contain '.'; received {name!r}.")
    if hasattr(module, name) and name not in module.__dict__.get(store, ()):
        raise KeyError(f"attribute '{name}' already exists")
