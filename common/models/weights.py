"""In which numbers and files a model is written.

Integers stay what they are. Nothing is rounded unless it is asked for. Without a dtype, a model is stored in the one
that its config.json names where every value is one of its numbers, and in float32 otherwise; config.json then says
which it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.files import save_arrays, write_json

__all__ = ["DTYPES", "SHARD_SIZE", "chosen", "with_dtype", "write_shards"]

DTYPES = ("float32", "bfloat16", "float16")
SHARD_SIZE = "5GB"  #: of one file of weights
_ENTRIES = ("dtype", "torch_dtype")  #: of config.json; the second one in files of transformers before 5
_SIZE = re.compile(r"(?=.*[1-9])\d+(\.\d+)?\s*[A-Za-z]+")
_INDEX = "model.safetensors.index.json"
_LARGEST = {"float32": 3.4028235e38, "bfloat16": 3.3895314e38, "float16": 65504.0}


def chosen(config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], wanted: str | None) -> str:
    """The dtype in which ``arrays`` are stored.

    Args:
        config: of the model, with the dtype of the checkpoint that it was made from.
        wanted: one of `DTYPES`; None stores what loses nothing, see above.

    Raises:
        InputError: ``wanted`` is no dtype, or too small for a value.
    """
    if wanted is None:
        named = next((config[entry] for entry in _ENTRIES if config.get(entry)), None)
        exact = named in DTYPES and all(_exact(array, named) for array in arrays.values() if array.dtype.kind == "f")
        return str(named) if exact else "float32"
    if wanted not in DTYPES:
        raise InputError(f"Weights are stored as {', '.join(DTYPES)}; received {wanted!r}.")
    for name, array in arrays.items():
        largest = np.abs(array).max(initial=0)
        if largest > _LARGEST[wanted]:
            raise InputError(
                f"The largest number of {wanted} is {_LARGEST[wanted]:.4g}; {name} holds {largest:.4g}. Store the model "
                f"as float32{' or bfloat16' if largest <= _LARGEST['bfloat16'] else ''}."
            )
    return wanted


def with_dtype(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """``config`` with the dtype that was stored; one that names none says nothing of float32, which is what is meant."""
    found = {key: value for key, value in config.items() if key not in _ENTRIES}
    named = [entry for entry in _ENTRIES if entry in config]
    if named or dtype != "float32":
        found[named[0] if named else _ENTRIES[0]] = dtype
    return found


def write_shards(folder: Path, arrays: Mapping[str, np.ndarray], dtype: str, size: str | int = SHARD_SIZE) -> None:
    """Write ``model.safetensors``, or, where it would be larger than ``size``, several files and their index, as
    ``transformers`` divides them.

    Args:
        size: bytes, or text such as ``5GB`` or ``5000000``; a larger array has a file of its own.

    Raises:
        InputError: it is none, or not greater than 0.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    width = 4 if dtype == "float32" else 2  # of a floating-point number
    wrong = InputError(
        f"The size of a file of weights is a number of bytes greater than 0, or such as 5GB; received {size!r}."
    )
    size = int(size) if isinstance(size, str) and size.isascii() and size.isdigit() else size
    if isinstance(size, bool) or (size <= 0 if isinstance(size, int) else not _SIZE.fullmatch(size)):
        raise wrong
    try:
        split = split_state_dict_into_shards_factory(
            {name: arrays[name] for name in sorted(arrays)},
            get_storage_size=lambda array: array.size * (width if array.dtype.kind == "f" else array.itemsize),
            filename_pattern="model{suffix}.safetensors",
            max_shard_size=size,
        )
    except ValueError as error:
        raise wrong from error
    for name, listed in split.filename_to_tensors.items():
        save_arrays(folder / name, {key: arrays[key] for key in listed}, {"format": "pt"}, dtype)
    if len(split.filename_to_tensors) > 1:
        index = {"metadata": split.metadata, "weight_map": dict(sorted(split.tensor_to_filename.items()))}
        write_json(folder / _INDEX, index)


def _exact(array: np.ndarray, dtype: str) -> bool:
    """Whether every value is one of ``dtype``'s numbers."""
    array = np.asarray(array, np.float32)
    if dtype == "bfloat16":
        return not (np.ascontiguousarray(array).view(np.uint32) & 0xFFFF).any()
    if dtype == "float16":
        with np.errstate(over="ignore"):
            return bool(np.array_equal(array.astype(np.float16).astype(np.float32), array))
    return True
