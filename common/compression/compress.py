"""``compress``: from a model and a transform to a model folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import common
from common.compression import TRANSFORMS, Transform, TransformOptions
from common.compression.behaviour import Behaviour, Observed
from common.compression.report import Report, as_json, as_table
from common.compression.transform import SECTION, matches
from common.config.convert import INVALID, build
from common.data import save_tokenizer
from common.errors import InputError
from common.files import new_folder, refuse_existing, write_atomic, write_json
from common.models import structure
from common.models.checkpoint import save_pretrained
from common.models.specs import ModelSpec
from common.training.opening import open_model

__all__ = ["REPORT", "compress", "read_options", "transformed"]

REPORT = "compression.json"  #: what was done, beside the model


def compress(
    source: str | Path,
    transform: str,
    options: Mapping[str, Any],
    output: str | Path,
    task: str | None = None,
    dense: bool = False,
    behaviour: Behaviour | None = None,
) -> Report:
    """Apply a transform to a model and write the result as a model folder.

    The folder holds config.json, model.safetensors, the tokenizer, README.md and compression.json, and is a ``model.source`` like any
    other. A head that the source lacks is left out again.

    Args:
        source: a run directory or a model, see `common.training.opening.open_model`.
        transform: a member of `common.compression.TRANSFORMS`.
        options: plain values of the transform's ``Options``, as in YAML.
        output: a new or empty folder.
        task: see `open_model`.
        dense: multiply the factors out, so that the folder is a plain Hugging Face checkpoint of the original size.
        behaviour: on what a transform that needs to know the model's behaviour observes it; by default the data of the
            run.

    Raises:
        InputError: something does not fit; nothing is written.

    Example:
        >>> compress("runs/bert_sst2/pytorch", "svd", {"rank": 64}, "compressed")  # doctest: +SKIP
    """
    member, output = TRANSFORMS.get(transform), Path(output)
    found = read_options(member, options)
    needed = member.needed(found)
    if needed == "nothing" and behaviour is not None:
        raise InputError(
            f"The transform {member.name} with these options looks at the weights alone, and needs no data, samples, backend or device."
        )
    refuse_existing(output)
    opened = open_model(source, task)
    observed = None if needed == "nothing" else (behaviour or Behaviour()).of(source, opened)
    spec, report = transformed(opened.spec, member, found, observed)
    if dense:
        spec = structure.dense(spec)
    with new_folder(output) as folder:
        _save(folder, spec)
        save_tokenizer(opened.tokenizer, folder)
        write_atomic(folder / "README.md", _readme(spec, report, member, options))
        write_json(folder / REPORT, {**spec.history[-1], **as_json(report)})
    return report


def transformed(
    spec: ModelSpec, transform: Transform, options: TransformOptions, observed: Observed | None = None
) -> tuple[ModelSpec, Report]:
    """The model after the transform, which is added to its history.

    Args:
        observed: the model with data, for a transform that needs to know its behaviour.

    Raises:
        InputError: the transform needs to know the model's behaviour, and nothing was observed.
    """
    record: dict[str, Any] = {
        "transform": transform.name,
        "options": json.loads(json.dumps(dataclasses.asdict(options))),
        "source": spec.source,
        "fingerprint": spec.fingerprint,
        "version": common.__version__,
    }
    statistics: Any = None
    needed = transform.needed(options)
    if needed != "nothing":
        if observed is None:
            raise InputError(
                f"The transform {transform.name} needs {needed} of the model's behaviour on data; none were given."
            )
        if needed == "importance":
            statistics = observed.importance(transform.groups(spec, options))
        else:
            paths = [item.module.path for item in matches(options, spec)]
            observers = {"fisher": observed.fisher, "ranges": observed.ranges, "scores": observed.scorer}
            statistics = observers[needed](paths)
        record["observed"] = observed.record("validation" if needed == "scores" else "train")
    changed, report = transform.apply(spec, options, statistics)
    return dataclasses.replace(changed, history=(*spec.history, record)), report


def read_options(transform: Transform, values: Mapping[str, Any]) -> TransformOptions:
    """The transform's options from plain values.

    Raises:
        InputError: an option is unknown, of another type or out of range; all are listed.
    """
    faults: list[str] = []
    found = build(transform.Options, dict(values), (), lambda path, text: faults.append(f"{'.'.join(path)} {text}"), {})
    if found is not INVALID:
        faults = [f"{entry} {text}" for entry, text in found.problems()]
    if faults:
        listed = "\n  ".join(faults)
        raise InputError(f"{SECTION}: the options of {transform.name} must fit:\n  {listed}")
    return found


def _save(folder: Path, spec: ModelSpec) -> None:
    """All but the parameters that the source lacked, which a training initialises."""
    fresh = set(spec.new_parameters)
    modules = tuple(module for module in spec.modules if not fresh & module.shapes().keys())
    kept: dict[str, np.ndarray] = {
        name: spec.arrays[name] for module in modules for name in module.shapes() if name in spec.arrays
    }
    save_pretrained(folder, dataclasses.replace(spec, modules=modules), kept)


def _readme(spec: ModelSpec, report: Report, transform: Transform, options: Mapping[str, Any]) -> str:
    last: Sequence[Any] = spec.history[-1:]
    origin = (
        f"Made of `{last[0]['source']}` (fingerprint {last[0]['fingerprint'][:16]}) by twinlora {common.__version__}."
    )
    use = (
        "Some layers are not those of `transformers`, which refuses to load this folder. Use it as `model.source` of an "
        "experiment (`twinlora train CONFIG --model FOLDER`), in PyTorch and in MindSpore. A plain checkpoint of the "
        "original size comes from `twinlora compress ... --dense`, or from `twinlora merge RUN OUT --dense` once it is "
        "trained."
        if spec.edits
        else "It is a plain Hugging Face checkpoint: the changed weights are multiplied out."
    )
    settings = json.dumps(dict(options), ensure_ascii=False)
    return f"# {spec.family}, {transform.name} {settings}\n\n{origin}\n\n{use}\n\n```\n{as_table(report)}\n```\n"
