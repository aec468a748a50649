"""What a run began with, as hashes: its data, base model and tokenizer. Whoever continues or opens it compares."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from common.errors import InputError
from common.files import write_json
from common.models.specs import ModelSpec
from common.reading import expanded, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.data import TextData
    from common.training.assembly import Inputs
    from common.training.rundir import RunDirectory

__all__ = [
    "check_planned",
    "compare",
    "configuration",
    "flat",
    "hashed",
    "of_adapter",
    "of_base",
    "of_beginning",
    "of_data",
    "of_inputs",
    "of_tokenizer",
    "read",
    "write",
]

_WHAT = "the fingerprints of a run"
_REMEDY = "Restore it from a copy, or start again with --overwrite."
_SHAPE = {"base": str, "configuration": str, "tokenizer": str, "data": {...: str}}
_PASSING = ("architectures", "dtype", "torch_dtype", "transformers_version", "_name_or_path")  #: no part of the network
_PROBES = (
    "The naïve Café, 12.5% — of ΑΒΓ!",
    " two  spaces\tand a tab\n",
    "It's 北京 in İstanbul 😀",
    "ALL caps; low_case",
)
_SHOWN = 16  #: digits of a hash


def of_inputs(inputs: Inputs) -> dict[str, Any]:
    """Of everything that a training reads; the same for the same content wherever it lies."""
    found = {**of_base(inputs.spec), "tokenizer": of_tokenizer(inputs.tokenizer), "data": of_data(inputs.data)}
    if inputs.task.converses:
        found["template"] = hashed(str(inputs.tokenizer.chat_template))
    return found if inputs.teacher is None else {**found, "teacher": inputs.teacher}


def of_beginning(inputs: Inputs) -> dict[str, Any]:
    """`of_inputs`, and of the adapter that the training begins from; once it has begun, nothing more is read of that."""
    start = inputs.config.model.adapter
    return of_inputs(inputs) | ({} if start is None else {"adapter": of_adapter(start)})


def of_adapter(source: str) -> str:
    """Of the arrays of the adapter that a training begins from.

    Raises:
        InputError: it cannot be read.
    """
    from common.artifacts import adapter
    from common.models.checkpoint import fingerprint

    _, arrays, _ = adapter.read_adapter(expanded(source))
    return fingerprint(arrays)


def of_base(spec: ModelSpec) -> dict[str, str]:
    """Of the weights that the model begins with, of its configuration, and of what transforms have put into it: layers
    of the same arrays may compute with other settings."""
    found = {
        "base": spec.fingerprint,
        "configuration": hashed(json.dumps(configuration(spec), sort_keys=True, default=str)),
    }
    layers = [(edit.path, edit.layer, dataclasses.asdict(edit.arguments)) for edit in spec.edits]
    return found | ({"layers": hashed(json.dumps(layers, sort_keys=True))} if layers else {})


def configuration(spec: ModelSpec) -> dict[str, Any]:
    """The entries of its configuration that say something of the network."""
    return {key: value for key, value in spec.config.items() if key not in _PASSING}


def hashed(text: str) -> str:
    """Its fingerprint."""
    return _hash((text,))


def of_tokenizer(tokenizer: PreTrainedTokenizerFast) -> str:
    """Of its vocabulary, its special tokens, and what it makes of a few texts."""
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.mask_token_id)
    probes = [tokenizer(text, verbose=False)["input_ids"] for text in _PROBES]
    return _hash((json.dumps(sorted(tokenizer.get_vocab().items())), json.dumps(special), json.dumps(probes)))


def of_data(data: TextData) -> dict[str, str]:
    """Of every split, with the names of the classes."""
    names = json.dumps(data.label_names)
    return {
        split: _hash((names, *(part for name in sorted(rows.column_names) for part in (name, *map(str, rows[name])))))
        for split, rows in data.splits.items()
    }


def _hash(parts: Iterable[str]) -> str:
    """Each part is preceded by its length, so that no two sequences read alike."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def write(run: RunDirectory, found: Mapping[str, Any]) -> None:
    """Store them beside the configuration."""
    write_json(run.fingerprints, found)


def read(run: RunDirectory) -> dict[str, Any] | None:
    """What ``write`` stored; None where a run has none."""
    return read_json(run.fingerprints, _WHAT, _REMEDY, _SHAPE) if run.fingerprints.is_file() else None


def compare(run: RunDirectory, now: Mapping[str, Any], remedy: str) -> bool:
    """Compare what is there ``now`` (all of it, or a part) with what the run began with.

    Returns:
        Whether there was something to compare with.

    Raises:
        InputError: they differ; every difference is listed, with ``remedy``.
    """
    before = read(run)
    if before is None:
        return False
    listed = _differences(before, now)
    if listed:
        raise InputError(f"{run.path} began with other inputs than are there now; by their hashes:\n{listed}\n{remedy}")
    return True


def check_planned(planned: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise InputError where data, base or tokenizer are others ``now`` than when a run was planned."""
    listed = _differences(planned, now)
    if listed:
        raise InputError(
            f"The run was planned with other inputs than are there now; by their hashes:\n{listed}\nRestore them, or "
            "plan the study again: twinlora study run."
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """A line for each hash that changed, of the sections that both have; empty where none did."""
    earlier, later = flat(before), flat(now)
    sections = set(now) & set(before)  # of what an earlier version did not keep nothing is known
    keys = sorted(key for key in earlier.keys() | later.keys() if key.split()[0] in sections)
    changed = [key for key in keys if earlier.get(key) != later.get(key)]
    return "\n".join(f"  {key}: was {_shown(earlier.get(key))}, now {_shown(later.get(key))}" for key in changed)


def flat(found: Mapping[str, Any]) -> dict[str, str]:
    """Every hash by one name, such as ``data train``."""
    flattened: dict[str, str] = {}
    for key, value in found.items():
        inside = value.items() if isinstance(value, Mapping) else None
        flattened |= {key: value} if inside is None else {f"{key} {part}": item for part, item in inside}
    return flattened


def _shown(value: str | None) -> str:
    return value[:_SHOWN] if value else "not there"
