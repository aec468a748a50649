"""From the mapping's functions to torch's: tensors are unwrapped and wrapped, and arguments that change nothing in
MindSpore are accepted."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from mindspore._c_expression import TensorPy

from common.api_mapping.names import Name
from mindspore_impl.torch_api.dtypes import device
from mindspore_impl.torch_api.tensor import Tensor, lift, lower

__all__ = ["FIELDS", "in_place", "lifted", "missing", "names_of", "renamed"]

_ALIASES = {"axis": "dim", "keepdims": "keepdim"}
_FREE = frozenset(("memory_format", "layout", "pin_memory", "non_blocking", "generator"))
#: names of the results of functions that give several
FIELDS = {
    "max": ("values", "indices"),
    "min": ("values", "indices"),
    "median": ("values", "indices"),
    "nanmedian": ("values", "indices"),
    "mode": ("values", "indices"),
    "sort": ("values", "indices"),
    "topk": ("values", "indices"),
    "kthvalue": ("values", "indices"),
    "cummax": ("values", "indices"),
    "cummin": ("values", "indices"),
    "aminmax": ("min", "max"),
    "slogdet": ("sign", "logabsdet"),
    "qr": ("Q", "R"),
    "svd": ("U", "S", "Vh"),
    "eigh": ("eigenvalues", "eigenvectors"),
    "lstsq": ("solution", "residuals", "rank", "singular_values"),
}
_RESULTS = {name: namedtuple(name, fields) for name, fields in FIELDS.items()}


def renamed(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords by the names that the mapping takes, without those that change nothing here.

    Raises:
        RuntimeError: a device that this process does not have.
    """
    kept = {}
    for name, value in keywords.items():
        if name == "device":
            if value is not None:
                device.placed(value)
        elif name not in _FREE:
            kept[_ALIASES.get(name, name)] = lower(value)
    return kept


def lifted(function: Callable[..., Any], name: str, in_place: bool = False) -> Callable[..., Any]:
    """``function`` of MindSpore's tensors as one of torch's.

    Args:
        name: torch's, without its module; results of `FIELDS` get names.
        in_place: whether an argument ``inplace=True`` writes the result into the first tensor.
    """
    fields = _RESULTS.get(name)

    def call(*arguments: Any, **keywords: Any) -> Any:
        target, writes = None, False
        if keywords:
            target = keywords.pop("out", None)
            if in_place:
                writes = keywords.pop("inplace", False)
            keywords = renamed(keywords)
        found = function(*[lower(argument) for argument in arguments], **keywords)
        if writes:
            return (arguments[0] if arguments else keywords["input"]).write(found)
        if target is not None:
            return target.write(found)
        if isinstance(found, TensorPy):
            return Tensor(found)
        found = lift(found)
        return fields(*found) if fields and isinstance(found, tuple) else found

    call.__name__ = call.__qualname__ = name
    call.__doc__ = getattr(function, "__doc__", None)
    call.__wrapped__ = function  # type: ignore[attr-defined]
    if hasattr(function, "_refused"):
        call._refused = True  # type: ignore[attr-defined]
    return call


def in_place(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The method ``name`` that writes what ``function`` gives into its tensor."""

    def call(self: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        found = function(self.raw, *[lower(argument) for argument in arguments], **renamed(keywords))
        return self.write(found)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name[:-1]}`, written into the tensor."
    return call


def missing(name: str) -> AttributeError:
    """The error for a name of torch that is not here."""
    return AttributeError(
        f"{name} is not available on MindSpore: no replacement of it was verified. See docs/api_mapping.md for what "
        "is, and write it with those operations."
    )


def names_of(rows: Mapping[str, Name]) -> dict[str, Callable[..., Any]]:
    """What a namespace of functions offers for ``rows``."""
    from mindspore_impl.mapping import bound  # late: it imports every adapter

    return {name: lifted(function, name) for name, function in bound(rows).items()}
