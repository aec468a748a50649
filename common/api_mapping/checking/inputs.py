"""Constructor arguments and inputs, as they are written on a command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.errors import InputError
from common.random import normal

__all__ = ["arguments", "draw_inputs", "noise"]

_INPUT = re.compile(r"(?P<dtype>\w+)\[(?P<shape>[\d,\s]*)\](?:(?P<sign>[<=])(?P<value>-?[\w.]+))?$")
_DTYPES = ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
_FORM = "Write float32[2,3,32,32] for normal numbers, int64[2,16]<100 for integers below 100, bool[2,16]=1 for a value."


def arguments(given: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of a constructor from ``name=literal``, several of them separated by blanks or not.

    Raises:
        InputError: one has another form.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            if not equals or not name.strip().isidentifier():
                raise ValueError("there is no name before an equals sign")
            found[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError) as error:
            raise InputError(
                f"--init must be name=value with a Python literal, such as hidden=32; received {text!r} ({error})."
            ) from None
    return found


def draw_inputs(given: Sequence[str]) -> list[np.ndarray]:
    """One array for each description; the same on every host.

    Raises:
        InputError: a description has another form.
    """
    return [_draw(text, place) for place, text in enumerate(given)]


def _draw(text: str, place: int) -> np.ndarray:
    found = _INPUT.match(text.strip())
    if found is None or found["dtype"] not in _DTYPES:
        raise InputError(f"--input must be dtype[shape], of {', '.join(_DTYPES)}; received {text!r}. {_FORM}")
    shape = tuple(int(part) for part in found["shape"].split(",") if part.strip())
    dtype, raw = found["dtype"], noise(shape, f"input {place}")
    if found["sign"] == "=":
        return np.full(shape, ast.literal_eval(found["value"]), dtype)
    if dtype.startswith("float"):
        if found["sign"] == "<":  # uniform numbers from 0 to the bound
            return (np.abs(np.sin(raw)) * float(found["value"])).astype(dtype)
        return raw.astype(dtype)
    bound = 2 if dtype == "bool" or found["sign"] is None else int(found["value"])
    return (np.abs(raw * 1e4).astype(np.int64) % bound).astype(dtype)


def noise(shape: tuple[int, ...], name: str) -> np.ndarray:
    """Normal numbers that depend on the shape and the name alone, float32."""
    return normal(0, f"map check|{name}|{shape}", shape, 1.0)
