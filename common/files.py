"""Writing files so that a reader never sees half of one, and arrays as safetensors."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError

__all__ = ["load_arrays", "new_folder", "refuse_existing", "save_arrays", "write_atomic", "write_json"]


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` to a temporary name beside ``path`` and rename it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_existing(path: Path) -> None:
    """Raise InputError unless ``path`` is free or an empty folder."""
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"A new or empty folder is needed; {path} is there already. Choose another one, or remove it.")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to be filled, which appears at ``path`` when the block ends; not at all where it raises.

    Raises:
        InputError: something is there already.
    """
    path = Path(path)
    refuse_existing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; NaN and infinities are refused by the JSON standard and so by this function."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None) -> None:
    """Write ``arrays`` as one safetensors file whose bytes depend on the arrays only; safetensors orders several metadata entries at random."""
    from safetensors.numpy import save

    ordered = {
        name: np.asarray(arrays[name], order="C") for name in sorted(arrays)
    }  # not ascontiguousarray, which makes scalars vectors
    write_atomic(path, save(ordered, metadata=dict(sorted(metadata.items())) if metadata else None))


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file. bfloat16 arrays, which NumPy lacks, are widened to float32 without loss.

    Raises:
        InputError: the file is missing or is not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(f"A safetensors file was expected at {path}; there is none.")
    try:
        with safe_open(path, framework="numpy") as reader:
            metadata = dict(reader.metadata() or {})
            arrays = {}
            for name in reader.keys():  # noqa: SIM118  (safe_open is no mapping)
                if reader.get_slice(name).get_dtype() == "BF16":
                    arrays[name] = _bfloat16(path, name)
                else:
                    arrays[name] = reader.get_tensor(name)
    except SafetensorError as error:
        raise InputError(
            f"{path} cannot be read as a safetensors file: {error}. It may be truncated; copy or download it again."
        ) from error
    return arrays, metadata


def _bfloat16(path: Path, name: str) -> np.ndarray:
    """One bfloat16 tensor read from the file's bytes: a bfloat16 is the upper half of a float32."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(size))[name]
        start, end = entry["data_offsets"]
        file.seek(8 + size + start)
        upper = np.frombuffer(file.read(end - start), dtype="<u2")
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
