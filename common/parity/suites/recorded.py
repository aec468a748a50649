"""The operators of a user's own run: a log of ``twinlora map record --json`` becomes a suite of calls with the same
rows, shapes and dtypes."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.api_mapping.arrays import Array, DType
from common.api_mapping.row import Case as Call
from common.api_mapping.rows import find
from common.errors import InputError
from common.parity.cases import Case
from common.parity.suites.ops import of_rows
from common.reading import read_json

__all__ = ["cases"]

_LOG = {"calls": [{"torch": str, "arguments": [str], "keywords": {...: str}}]}
_MOST_ELEMENTS = 2**28  #: of a tensor that is made again
_TENSOR = re.compile(r"^(bool|u?int\d+|b?float\d+) (0-d|\d+(?:x\d+)*)$")


def cases(options: Mapping[str, Any]) -> tuple[Case, ...]:
    """One case for each kind of call in the file ``log``. Whole numbers are drawn from 0 and 1, which are indices of
    any axis longer than one.

    Raises:
        InputError: no ``log`` was given, or it is no such file, or none of its calls can be made again from what it
            says.
    """
    path = options.get("log")
    if not path:
        raise InputError(
            "The suite recorded is made from a log: run `twinlora map record CONFIG --json calls.json`, then give --log calls.json."
        )
    try:
        calls = read_json(Path(path), "a log of calls", "It is what `twinlora map record --json` writes.", _LOG)[
            "calls"
        ]
        rows: dict[str, list[Call]] = {}
        for call in calls:
            rows.setdefault(call["torch"], []).append(_call(call["arguments"], call["keywords"]))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise InputError(
            f"--log must be a file that `twinlora map record --json` wrote; {path} cannot be used: {error!r}."
        ) from error
    return of_rows("recorded", (replace(find(name), cases=tuple(made), limits={}) for name, made in rows.items()))


def _call(arguments: list[str], keywords: Mapping[str, str]) -> Call:
    return Call(tuple(map(_value, arguments)), {name: _value(text) for name, text in keywords.items()})


def _value(text: str) -> Any:
    """The argument that the recorder described: a tensor by dtype and shape, a dtype, or a plain value."""
    if found := _TENSOR.match(text):
        dtype, shape = found[1], () if found[2] == "0-d" else tuple(map(int, found[2].split("x")))
        if math.prod(shape) > _MOST_ELEMENTS:
            raise ValueError(f"a tensor of shape {found[2]} is larger than any that is made again")
        if dtype == "bool":
            return Array("boolean", shape, "bool")
        return Array("normal", shape, dtype) if "float" in dtype else Array("integers", shape, dtype, 0, 2)
    if re.fullmatch(r"(torch\.|mindspore\.)?(float|int|uint|bfloat)\d+", text, re.IGNORECASE):
        return DType(text.rpartition(".")[2].lower())
    if text[:1] in "[(" and _TENSOR.search(text.strip("[](), ").split(", ")[0]):
        parts = tuple(_value(part) for part in text.strip("[](), ").split(", ") if part)
        return list(parts) if text[0] == "[" else parts
    return ast.literal_eval(text)
