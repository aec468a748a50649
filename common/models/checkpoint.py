"""Reading and writing Hugging Face checkpoints as NumPy arrays under canonical names; strict in both directions."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common import hub
from common.data.sources import resolve_folder
from common.errors import InputError
from common.files import BUFFERS, load_arrays, refuse_quantised, write_json
from common.models import weights
from common.models.companions import alone, parted
from common.models.specs import ModelSpec
from common.models.structure import entries
from common.reading import check_shape, read_json, safe_child
from common.strict import check_arrays

__all__ = ["canonical_names", "fingerprint", "locate", "read_checkpoint", "read_config", "save_pretrained"]

_REMEDY = "Download it again, or write the model again with save_pretrained."
_WANTED = ("config.json", "*.safetensors", "*.safetensors.index.json", "README.md")  #: the card names the licence
_LARGEST_CONFIG = 16 * 2**20  #: bytes
_CONFIG = {
    "model_type": str,
    "architectures?": (None, [str]),
    "id2label?": (None, {...: str | float}),
    "label2id?": (None, dict),
    "problem_type?": str | None,
}
_BUFFERS = re.compile(
    r"(position_ids|\.attn\.bias|\.attn\.masked_bias|rotary_emb\.inv_freq)$"
)  # constants that old checkpoints stored beside the weights


def locate(source: str) -> Path:
    """The local folder of ``source``: a folder, ``python:PACKAGE/FOLDER``, or a hub id, whose configuration and weights
    are downloaded.

    Raises:
        InputError: no such folder here and the hub cannot provide it.
    """
    folder = resolve_folder(source)
    if folder is not None:
        return folder
    with hub.obtaining(hub.model(source)):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(source, allow_patterns=[*_WANTED]))


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json``.

    Raises:
        InputError: it is missing, not JSON, or names no ``model_type``.
    """
    path = folder / "config.json"
    if not os.path.isfile(path):
        raise InputError(
            f"A model folder must hold config.json; {folder} does not. Give a hub id, a folder written by save_pretrained, or python:PACKAGE/FOLDER."
        )
    config = read_json(path, "the configuration of a model", _REMEDY, dict, _LARGEST_CONFIG)
    if not isinstance(config.get("model_type"), str):
        raise InputError(
            f'{path} names no "model_type", so the architecture is unknown. Add it, for example "model_type": "bert".'
        )
    check_shape(config, _CONFIG, f"{path}", "the configuration of a model", _REMEDY)
    refuse_quantised(config, f"{path}")
    return config


def read_checkpoint(folder: Path, integers: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Read ``model.safetensors``, or the shards that ``model.safetensors.index.json`` lists, as they are named in the
    file.

    Args:
        integers: names of parameters that may hold some.
    """
    names = "".join(f"|{re.escape(name)}$" for name in integers)
    arrays: dict[str, np.ndarray] = {}
    for shard in _weight_files(folder):
        arrays |= load_arrays(shard, re.compile(BUFFERS.pattern + names))[0]
    return arrays


def _weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights.

    Raises:
        InputError: there are only pickles, or the index names files outside of the folder.
    """
    index = folder / "model.safetensors.index.json"
    if os.path.isfile(index):
        content = read_json(index, "the index of a model", _REMEDY, {"weight_map": {...: str}})
        shards = sorted(set(content["weight_map"].values()))
        return [safe_child(folder, shard, f"{index}") for shard in shards]
    pickles = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    if pickles and not os.path.isfile(folder / "model.safetensors"):
        raise InputError(
            f"Weights must be safetensors; {folder} holds only {pickles[0]} (a pickle, which can run code when loaded). "
            f"Where you trust it, convert it once with transformers, by the class of its head, which AutoModel would lose: "
            f"transformers.{_class_of(folder)}.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})."
        )
    return [folder / "model.safetensors"]


def _class_of(folder: Path) -> str:
    """The network that config.json names, for advice."""
    named = read_config(folder).get("architectures") or ["AutoModelForSequenceClassification"]
    return named[0] if named[0].isidentifier() else "AutoModelForSequenceClassification"


def canonical_names(
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
    prefix: str,
    head: tuple[str, ...],
    absent: tuple[str, ...],
    unused: tuple[str, ...],
    integers: Mapping[str, np.dtype] | None = None,
) -> dict[str, np.ndarray]:
    """Rename checkpoint keys to the model's canonical names and keep what the model has.

    Accepts keys with or without the base prefix (``bert.``), and the old ``gamma``/``beta`` of layer norms. Other
    tasks' heads are left out; a head of another shape (a different number of labels) too, so that a new one is
    initialised.

    Args:
        shapes: of every parameter of the model.
        head: paths of the task head's new modules, which may be missing or of another shape.
        absent: paths of modules that may be missing as a whole.
        unused: paths that the checkpoint may hold though the model does not.
        integers: parameters that hold some, with their dtypes.

    Raises:
        InputError: a key inside the base model is unknown, missing or of another shape; all of them are listed.
    """
    found: dict[str, np.ndarray] = {}
    problems: list[str] = []
    roots = {name.split(".")[1] for name in shapes if name.startswith(f"{prefix}.")}
    held = {name.rpartition(".")[0] for name in shapes}
    left_out = tuple(f"{path}." for path in unused if not any(f"{other}.".startswith(f"{path}.") for other in held))
    for key, value in arrays.items():
        name = re.sub(r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", key))
        if name not in shapes and name.split(".")[0] in roots:
            name = f"{prefix}.{name}"
        in_head = name.rsplit(".", 1)[0] in head
        dtype = (integers or {}).get(name)
        if dtype is not None and value.dtype != dtype:
            problems.append(f"{key}: of {value.dtype}, expected {dtype}")
        elif name in shapes and value.shape == tuple(shapes[name]):
            found[name] = np.ascontiguousarray(value, dtype=np.float32 if dtype is None else dtype)
        elif name in shapes and not in_head:
            problems.append(f"{key}: shape {value.shape}, expected {tuple(shapes[name])}")
        elif name.startswith(f"{prefix}.") and not _BUFFERS.search(name) and not name.startswith(left_out):
            problems.append(f"{key}: not part of the model")
    held = {name.rsplit(".", 1)[0] for name in found}
    optional = {*head, *(path for path in absent if path not in held)}
    problems += [f"{name}: missing" for name in shapes if name not in found and name.rsplit(".", 1)[0] not in optional]
    if problems:
        listed = "\n  ".join(problems[:20]) + ("" if len(problems) <= 20 else f"\n  and {len(problems) - 20} more")
        raise InputError(
            f"Every base parameter must be in the checkpoint with its shape; {len(problems)} are not:\n  {listed}\n"
            "Check that config.json and the weights belong together."
        )
    return found


def fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 over names, shapes and bytes, in name order: equal weights, equal fingerprint, whatever file they came
    from."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name], dtype="<f4").data)
    return digest.hexdigest()


def save_pretrained(
    folder: Path,
    spec: ModelSpec,
    arrays: Mapping[str, np.ndarray],
    dtype: str | None = None,
    shard_size: str | int = weights.SHARD_SIZE,
) -> None:
    """Write ``config.json`` and ``model.safetensors`` as ``transformers`` would, so that it loads them without a word;
    or refuses to, where the model has structural edits (`common.models.structure.entries`). A second network is a
    checkpoint of its own in a folder inside.

    Args:
        dtype: ``float32``, ``bfloat16`` or ``float16``, to which everything is rounded; None rounds nothing, see
            `common.models.weights`.
        shard_size: of a file of weights, above which there are several: bytes, or such as ``5GB``.

    Raises:
        InputError: ``arrays`` are not exactly the parameters of ``spec``, or not finite, or too large for ``dtype``.
    """
    check_arrays(spec.expected(), arrays)
    if spec.companion is not None:
        own, theirs = parted(spec.companion, arrays)
        save_pretrained(Path(folder) / spec.companion.name, spec.companion.spec, theirs, dtype, shard_size)
        spec, arrays = alone(spec), own
    stored = weights.chosen(spec.config, arrays, dtype)
    weights.write_shards(Path(folder), arrays, stored, shard_size)
    config = {key: value for key, value in sorted(spec.config.items()) if key != "num_labels"}
    write_json(Path(folder) / "config.json", weights.with_dtype(config, stored) | entries(spec))
