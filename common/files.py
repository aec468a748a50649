"""Arrays as safetensors files: written whole with a checksum, read strictly. See `common.writing` and `common.reading`
for other files."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from common import checksums
from common.errors import InputError
from common.reading import parse_json
from common.terminal import notice
from common.writing import (
    create_temporary_folder,
    sweep,
    sync_directory,
    sync_tree,
    write_atomic,
    write_json,
    write_parts,
)

__all__ = [
    "ANY",
    "BUFFERS",
    "load_arrays",
    "new_folder",
    "refuse_existing",
    "refuse_quantised",
    "save_arrays",
    "write_atomic",
    "write_json",
]

FLOATING = ("F64", "F32", "F16", "BF16")
OTHERS = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")  #: what NumPy has besides
ANY = re.compile("")  #: for `load_arrays`: integers and booleans are expected under any name
#: constants and counters that checkpoints of models hold beside their weights
BUFFERS = re.compile(r"(.*\.)?(position_ids|token_type_ids|attn\.bias|attn\.masked_bias|num_batches_tracked)$")
_REMEDY = "It may be truncated; copy or download it again."
_ORIGINAL = "Use the checkpoint that it was made from, or write it anew with transformers: model.dequantize() and then model.save_pretrained(folder)."
_HEAD = {...: dict}
_LARGEST_HEAD = 100 * 2**20  #: bytes, as safetensors itself has it
#: how the ways of quantising name their tensors, the more particular first
_QUANTISED = {
    "bitsandbytes (4 bits)": r"\.(absmax|quant_map|nested_absmax|quant_state\..*)$",
    "bitsandbytes (8 bits)": r"\.(SCB|weight_format)$",
    "GPTQ": r"\.g_idx$",
    "AWQ or GPTQ": r"\.(qweight|qzeros)$",
    "compressed-tensors or FP8": r"\.(weight_scale|weight_scale_inv|weight_packed|input_scale)$",
}


def refuse_quantised(config: Mapping[str, Any], origin: str) -> None:
    """Raise InputError if ``config``, a model's configuration from ``origin``, says that its weights are quantised."""
    settings = config.get("quantization_config")
    if settings:
        way = settings.get("quant_method") if isinstance(settings, Mapping) else None
        raise InputError(
            f"{origin}: Weights must be floating-point numbers ({', '.join(FLOATING)}); this model is quantised "
            f"({str(way or 'unknown method')[:40]}). {_ORIGINAL}"
        )


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
    sweep(path.parent)
    temporary, descriptor = create_temporary_folder(path.parent)
    try:
        yield temporary
        sync_tree(temporary)  # libraries write some of the files
        os.replace(temporary, path)
        sync_directory(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def save_arrays(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
    dtype: str | None = None,
) -> None:
    """Write ``arrays`` and ``metadata`` as one safetensors file with a checksum; its bytes depend on the arguments
    only, not on their order.

    Args:
        dtype: ``float32``, ``float16`` or ``bfloat16``, to which every array of floating-point numbers is rounded, to
            the nearest and to even where two are; None leaves them as they are.
    """
    from safetensors.numpy import save

    # not ascontiguousarray, which makes scalars vectors
    ordered = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    if dtype == "bfloat16":  # which NumPy lacks
        content = _renamed(save({n: _upper(a) if _rounds(a) else a for n, a in ordered.items()}), "U16", "BF16")
    else:
        content = save({n: a.astype(dtype) if dtype is not None and _rounds(a) else a for n, a in ordered.items()})
    write_parts(path, checksums.sealed(content, metadata or {}))


def _rounds(array: np.ndarray) -> bool:
    return array.dtype.kind == "f"


def _upper(array: np.ndarray) -> np.ndarray:
    """A finite array as bfloat16, the upper 16 bits of a float32, uint16."""
    bits = np.asarray(array, "<f4", order="C").view("<u4")
    return np.asarray((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, "<u2")


def _renamed(content: bytes, old: str, new: str) -> bytes:
    """A serialized file whose arrays of dtype ``old`` are of ``new``, which has as many bits."""
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    for entry in head.values():
        entry["dtype"] = new if entry.get("dtype") == old else entry.get("dtype")
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def load_arrays(path: Path, integers: re.Pattern[str] = BUFFERS) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file: (arrays by name, metadata). bfloat16 arrays, which NumPy lacks, are widened to float32
    without loss.

    A file of ours is compared with its checksum; one that was written elsewhere has none, which is noted once on
    standard error.

    Args:
        integers: the names under which integers and booleans are expected; everything else must be floating-point.
            `ANY` for files that are no weights.

    Raises:
        InputError: the file is missing, is no safetensors file, is damaged, or holds something else than floating-point
            numbers, such as quantised weights.
    """
    path = Path(path)
    if not _is_file(path):
        raise InputError(f"A safetensors file was expected at {path}; there is none.")
    try:
        with open(path, "rb") as file:
            head = _read_head(path, file)
            entries = parse_json(head[8:], f"{path} cannot be read as a safetensors file", "its header", _REMEDY, _HEAD)
            metadata = entries.pop("__metadata__", {})
            if not checksums.verify(path, file, head, metadata):
                notice(
                    f"{path} carries no checksum, since another program wrote it; damage inside its arrays would not be found."
                )
            arrays = _read(path, file, entries, len(head), integers)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. {_REMEDY}") from error
    return arrays, {name: value for name, value in metadata.items() if name != checksums.KEY}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _read_head(path: Path, file: BinaryIO) -> bytes:
    size = file.read(8)
    length = int.from_bytes(size, "little")
    held = os.fstat(file.fileno()).st_size
    if len(size) < 8 or length > min(_LARGEST_HEAD, held - 8):
        raise InputError(
            f"{path} cannot be read as a safetensors file: its header of {length:,} bytes does not fit in {held:,}. {_REMEDY}"
        )
    return size + file.read(length)


def _read(
    path: Path, file: BinaryIO, entries: Mapping[str, Any], start: int, integers: re.Pattern[str]
) -> dict[str, np.ndarray]:
    """The arrays of the open ``file``, whose data begins at ``start``."""
    from safetensors import SafetensorError, safe_open

    try:  # by its descriptor: a file that is replaced in this moment is still the one that was verified
        with safe_open(f"/proc/self/fd/{file.fileno()}", framework="numpy") as reader:
            dtypes = {name: reader.get_slice(name).get_dtype() for name in reader.keys()}  # noqa: SIM118  (safe_open is no mapping)
            _check_dtypes(path, dtypes, integers)
            return {
                name: _bfloat16(file, entries[name], start) if dtype == "BF16" else reader.get_tensor(name)
                for name, dtype in dtypes.items()
            }
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(f"{path} cannot be read as a safetensors file: {error}. {_REMEDY}") from error


def _bfloat16(file: BinaryIO, entry: Mapping[str, Any], start: int) -> np.ndarray:
    """One bfloat16 array from the file's bytes: a bfloat16 is the upper 16 bits of a float32."""
    begin, end = entry["data_offsets"]
    file.seek(start + begin)
    upper = np.frombuffer(file.read(end - begin), dtype="<u2")
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def _check_dtypes(path: Path, dtypes: Mapping[str, str], integers: re.Pattern[str]) -> None:
    """Refuse what no cast makes a weight."""
    wrong = [
        name
        for name, dtype in dtypes.items()
        if dtype not in FLOATING and not (dtype in OTHERS and integers.match(name))
    ]
    if not wrong:
        return
    shown = ", ".join(f"{name} ({dtypes[name]})" for name in wrong[:3]) + (
        f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    )
    way = next((way for way, pattern in _QUANTISED.items() if any(re.search(pattern, name) for name in dtypes)), None)
    if way is None and any(re.match(r"F[468]", dtypes[name]) for name in wrong):
        way = "8-bit or smaller floating-point numbers"
    if way is None and any(dtypes[name] in ("I8", "U8") and name.endswith("weight") for name in wrong):
        way = "8-bit integers without scales"
    if way:
        raise InputError(
            f"Weights must be floating-point numbers ({', '.join(FLOATING)}); {path} is a quantised checkpoint, {way}: {shown}. "
            f"{_ORIGINAL}"
        )
    raise InputError(
        f"Arrays must hold floating-point numbers ({', '.join(FLOATING)}) here; {path} holds {shown}. "
        "Casting them would give other values without a word: save them as float32 if they are weights."
    )
