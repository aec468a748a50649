"""``torch.save`` and ``torch.load``: nested dictionaries, lists, numbers, texts and tensors in one file.

The tensors are a safetensors file, of which the structure is the metadata. Pickles are neither written nor read, since
reading one runs what is in it; a file of torch's is converted by torch: ``safetensors.torch.save_file``.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes
from safetensors.numpy import save_file

from common.errors import InputError
from mindspore_impl.torch_api.dtypes import NAMED, Size, dtype
from mindspore_impl.torch_api.factories import tensor
from mindspore_impl.torch_api.nn.parameter import Parameter
from mindspore_impl.torch_api.tensor import Tensor

__all__ = ["contiguous", "load", "save"]

_FORMAT = "torch_api 1"


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array in one piece; ``np.ascontiguousarray`` gives one without axes an axis."""
    return np.ascontiguousarray(array).reshape(array.shape)


def _flatten(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """``value`` as JSON, its tensors in ``arrays``."""
    if isinstance(value, Tensor):
        name = str(len(arrays))
        brain = value.dtype.name == "bfloat16"
        arrays[name] = contiguous((value.float() if brain else value).numpy(force=True))
        return {"tensor": name, "dtype": value.dtype.name, "parameter": isinstance(value, Parameter)}
    if isinstance(value, np.ndarray):
        name = str(len(arrays))
        arrays[name] = contiguous(value)
        return {"array": name}
    if isinstance(value, dict):
        return {"dict": [[_flatten(key, arrays), _flatten(item, arrays)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_flatten(item, arrays) for item in value]}
    if isinstance(value, dtype):
        return {"kind": value.name}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"torch.save: dictionaries, lists, numbers, texts and tensors are written; received {type(value).__name__}. "
        "Save model.state_dict() rather than the model."
    )


def save(obj: Any, f: Any, *_: Any, **__: Any) -> None:
    """Write a state to a file, a path or something with ``write``.

    Raises:
        TypeError: something in it is neither a tensor nor plain data.
    """
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_flatten(obj, arrays))
    content, metadata = arrays or {"": np.zeros(0, np.float32)}, {"format": _FORMAT, "structure": structure}
    if hasattr(f, "write"):
        f.write(to_bytes(content, metadata))
    else:
        save_file(content, str(f), metadata)


def load(f: Any, map_location: Any = None, *, weights_only: bool = True, mmap: bool | None = None, **_: Any) -> Any:
    """Read what `save` wrote, or the tensors of another safetensors file: a path or something with ``read``.

    Raises:
        InputError: the file is neither, for example a pickle of torch's.
    """
    if hasattr(f, "read"):
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as copied:
            copied.write(f.read())
            copied.flush()
            metadata, arrays = _content(copied.name, "The file")
    elif not Path(f).is_file():
        raise FileNotFoundError(f"No such file: {f}")
    else:
        metadata, arrays = _content(str(f), str(f))
    if metadata.get("format") != _FORMAT:
        return {name: tensor(array) for name, array in arrays.items()}
    return _build(json.loads(metadata["structure"]), arrays)


def _content(path: str, named: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and arrays of a file."""
    try:
        with safe_open(path, "np") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(
            f"{named} is no safetensors file ({error}). Pickles are not read, since reading one runs what is in it. In "
            "an environment with torch, convert it: safetensors.torch.save_file(torch.load(path), new_path)."
        ) from None


def _build(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        made = tensor(arrays[value["tensor"]], dtype=NAMED[value["dtype"]])
        return Parameter(made) if value["parameter"] else made
    if "array" in value:
        return arrays[value["array"]]
    if "dict" in value:
        return {_key(_build(key, arrays)): _build(item, arrays) for key, item in value["dict"]}
    if "kind" in value:
        return NAMED[value["kind"]]
    kind = "list" if "list" in value else "tuple"
    items = [_build(item, arrays) for item in value[kind]]
    return items if kind == "list" else tuple(items)


def _key(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, Size)) else value
