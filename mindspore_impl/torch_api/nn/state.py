"""The state of modules: what ``state_dict`` gives and ``load_state_dict`` takes, with torch's hooks and methods that a
class may replace."""

from __future__ import annotations

import itertools
from collections import OrderedDict, namedtuple
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mindspore_impl.torch_api.nn.hooks import Hook, register
from mindspore_impl.torch_api.nn.parameter import Parameter
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["State"]

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"
_Keys = namedtuple("IncompatibleKeys", ("missing_keys", "unexpected_keys"))


class State:
    """What a module keeps by name."""

    _version = 1

    # ---- what a class may replace

    def get_extra_state(self) -> Any:
        """Something else to keep in ``state_dict``; a subclass says it."""
        raise RuntimeError("Reached a code path in Module.get_extra_state() that should never be called.")

    def set_extra_state(self, state: Any) -> None:
        """Take what `get_extra_state` gave; a subclass says how."""
        raise RuntimeError("Reached a code path in Module.set_extra_state() that should never be called.")

    def _own_state(self) -> Iterator[tuple[str, Tensor]]:
        for name, value in itertools.chain(self._parameters.items(), self._buffers.items()):
            if value is not None and name not in self._non_persistent_buffers_set:
                yield name, value

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put the module's own parameters and buffers into ``destination``."""
        for name, value in self._own_state():
            destination[prefix + name] = value if keep_vars else value.detach()
        if type(self).get_extra_state is not State.get_extra_state:
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take the module's own parameters and buffers from ``state_dict``."""
        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        own = dict(self._own_state())
        for name, value in own.items():
            key = prefix + name
            if key in state_dict:
                problem = _take(self, name, value, state_dict[key], local_metadata.get("assign_to_params_buffers"))
                error_msgs += [problem.format(key=key)] if problem else []
            elif strict:
                missing_keys.append(key)
        extra = prefix + _EXTRA_STATE_KEY_SUFFIX
        if type(self).set_extra_state is not State.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        for key in state_dict if strict else ():
            if key.startswith(prefix) and key != extra:
                first, _, rest = key[len(prefix) :].partition(".")
                if first not in (self._modules if rest else own):
                    unexpected_keys.append(key)

    # ---- all modules of a tree

    def state_dict(
        self, *arguments: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Any]:
        """Every parameter and persistent buffer by its path."""
        if arguments:
            destination = arguments[0]
            prefix = arguments[1] if len(arguments) > 1 else prefix
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in list(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in list(self._state_dict_hooks.values()):
            found = hook(self, destination, prefix, metadata)
            destination = destination if found is None else found
        return destination

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copy values by path.

        Args:
            state_dict: tensors or arrays.
            strict: whether every path must be there, and no other.
            assign: make the tensors of ``state_dict`` the parameters, with their dtype, instead of copying.

        Raises:
            RuntimeError: paths or shapes do not fit.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        known = getattr(state_dict, "_metadata", None) or {}
        _load(self, OrderedDict(state_dict), "", {"known": known, "assign": assign}, (missing, unexpected, errors))
        if strict and missing:
            errors.insert(0, "Missing key(s) in state_dict: " + ", ".join(f'"{key}"' for key in missing) + ". ")
        if strict and unexpected:
            errors.insert(0, "Unexpected key(s) in state_dict: " + ", ".join(f'"{key}"' for key in unexpected) + ". ")
        if errors:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        return _Keys(missing, unexpected)

    # ---- hooks

    def _register_state_dict_hook(self, hook: Any) -> Hook:
        return register(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook: Any) -> Hook:
        """Call ``hook(module, state_dict, prefix, metadata)`` after the state was gathered."""
        return register(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Any) -> Hook:
        """Call ``hook(module, prefix, keep_vars)`` before the state is gathered."""
        return register(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(self, hook: Any, with_module: bool = False) -> Hook:
        called = (lambda *given: hook(self, *given)) if with_module else hook
        return register(self._load_state_dict_pre_hooks, called)

    def register_load_state_dict_pre_hook(self, hook: Any) -> Hook:
        """Call ``hook(module, state_dict, prefix, ...)`` before the module's own state is taken."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Any) -> Hook:
        """Call ``hook(module, incompatible_keys)`` after the module and its children were loaded."""
        return register(self._load_state_dict_post_hooks, hook)


def _load(
    module: Any, state: dict[str, Any], prefix: str, options: dict[str, Any], lists: tuple[Any, Any, Any]
) -> None:
    """Load a module and its children."""
    metadata = dict(options["known"].get(prefix[:-1], {}))
    if options["assign"]:
        metadata["assign_to_params_buffers"] = True
    module._load_from_state_dict(state, prefix, metadata, True, *lists)
    for name, child in module._modules.items():
        if child is not None:
            path = f"{prefix}{name}."
            _load(child, {key: value for key, value in state.items() if key.startswith(path)}, path, options, lists)
    for hook in list(module._load_state_dict_post_hooks.values()):
        hook(module, _Keys(lists[0], lists[1]))


def _take(module: Any, name: str, own: Tensor, given: Any, assign: Any) -> str:
    """Give a parameter or buffer its value; what is wrong with it, or nothing."""
    from mindspore_impl.torch_api.autograd import no_grad
    from mindspore_impl.torch_api.factories import as_tensor

    if not hasattr(given, "shape"):
        return (
            'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from checkpoint but '
            f"received {type(given)}"
        )
    if not own.shape and len(given.shape) == 1:  # as files of old versions have it
        given = given[0]
    if tuple(given.shape) != tuple(own.shape):
        return (
            f"size mismatch for {{key}}: copying a param with shape {tuple(given.shape)} from checkpoint, the shape in "
            f"current model is {tuple(own.shape)}."
        )
    if not isinstance(given, Tensor):
        given = as_tensor(given.detach().cpu().numpy() if hasattr(given, "detach") else np.asarray(given))
    if assign:
        is_parameter = isinstance(own, Parameter)
        setattr(module, name, Parameter(given.detach(), own.requires_grad) if is_parameter else given)
    else:
        with no_grad():
            own.copy_(given.detach())
    return ""
