"""``twinlora inspect``: what a training would do, without doing it and without a framework; or what a folder holds."""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.cli import options
from common.terminal import printable, printable_line

if TYPE_CHECKING:
    from common.config import ExperimentConfig
    from common.methods.plan import Plan
    from common.models.specs import ModelSpec
    from common.training.assembly import Inputs

__all__ = ["add_parser", "run"]


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declare the command."""
    parser = subparsers.add_parser(
        "inspect", help="show what would be trained, and for how many steps; or what a folder holds", allow_abbrev=False
    )
    options.add_experiment(parser, folder=True)
    parser.add_argument("--yaml", action="store_true", help="print the resolved configuration only")
    return parser


def run(args: argparse.Namespace) -> None:
    """Print the model, the coverage table, the sizes and the steps.

    Raises:
        InputError: a training would be refused; where the data alone are the reason, the model is printed first.
    """
    from common.config import to_yaml
    from common.errors import InputError
    from common.training.assembly import prepare
    from common.training.unused import unused

    if _holds_model(Path(args.config)):
        _print_folder(args)
        return
    config = options.experiment(args)
    if args.yaml:
        print(to_yaml(config), end="")
        return
    try:
        inputs = prepare(config)
    except InputError as error:
        try:
            found = _without_data(config, error)
        except InputError:  # of the model too; the first error says so where the hub cannot be reached
            raise error from None
        _print_model(config, *found)
        print("data    not read")
        sys.stdout.flush()
        raise  # a training would end here, so the exit code is that of an error
    _print_model(config, inputs.spec, inputs.plan)
    for remark in unused(inputs):
        print(printable_line(f"note: {remark}"))
    _print_data(inputs)


def _holds_model(folder: Path) -> bool:
    """Whether it is a folder that `_print_folder` can say something of; others may be named as an experiment is."""
    from common.exporting import is_export
    from common.training.adapters import is_adapter
    from common.training.folders import is_model_folder
    from common.training.rundir import RunDirectory

    found = (is_export, is_adapter, is_model_folder, lambda path: RunDirectory(path).config.is_file())
    return folder.is_dir() and any(holds(folder) for holds in found)


def _print_folder(args: argparse.Namespace) -> None:
    """Print the model in a folder, and what a run has trained of it.

    Raises:
        InputError: it is none that holds modules, or the options of an experiment were given.
    """
    from common.errors import InputError
    from common.exporting import is_export
    from common.training.folders import is_model_folder, open_artifact
    from common.training.opening import open_model

    folder = Path(args.config)
    if args.data_dir or args.model or args.name or args.set or args.yaml:
        raise InputError(
            f"{folder} is a folder, and --data-dir, --model, --name, --set and --yaml belong to an experiment."
        )
    if is_export(folder):
        raise InputError(f"{folder} is an exported model, a graph without modules. Give the run that it was made of.")
    if is_model_folder(folder):
        _print_network(str(folder), open_model(folder).spec)
        return
    trained = open_artifact(folder)
    _print_network(str(folder), trained.spec)
    _print_plan(trained.config, trained.spec, trained.plan)


def _without_data(config: ExperimentConfig, error: Exception) -> tuple[ModelSpec, Plan]:
    """The model and plan with the registered labels; ``error`` again where only the data can tell (labels, a trained
    tokenizer)."""
    from common.data import DATASETS, load_tokenizer
    from common.data.tokenizer_training import is_trained
    from common.tasks import TASKS
    from common.training.assembly import describe

    source = config.model.tokenizer or config.model.source
    entry = DATASETS.get(config.data.name)
    if entry is None or source is None or is_trained(source) or not TASKS.get(config.model.task).fits(entry.roles):
        raise error
    return describe(config, entry.label_names, load_tokenizer(source, added=config.model.add_tokens))


def _print_model(config: ExperimentConfig, spec: ModelSpec, plan: Plan) -> None:
    _print_network(config.model.source or "new", spec)
    _print_plan(config, spec, plan)


def _print_network(name: str, spec: ModelSpec) -> None:
    count, stored = spec.parameter_count(), "with integers" if spec.integers() else "in fp32"
    about = f"{spec.family}, {spec.task}, {count:,} parameters, {spec.bytes():,} bytes {stored}"
    print(f"model   {printable_line(name)}: {about}")
    print(printable_line(str(spec.head_origin)))
    if spec.vectors is not None:
        print(printable_line(str(spec.vectors)))
    for component, size in _components(spec).items():
        print(f"  {component:<40} {size:>12,}")
    for line in _replacements(spec):
        print(printable_line(line))


def _print_plan(config: ExperimentConfig, spec: ModelSpec, plan: Plan) -> None:
    from common.methods.coverage import coverage_table
    from common.methods.merge import merge_remarks

    print(printable(f"method  {plan.method}\n{coverage_table(plan, spec, config.optimization)}"))
    for remark in merge_remarks(plan, spec):
        print(printable_line(f"note: {remark}"))


def _components(spec: ModelSpec) -> dict[str, int]:
    """Parameters by module, the layers taken together."""
    counts: Counter[str] = Counter()
    for path, count in spec.counts().items():
        counts[re.sub(r"\.\d+\..*", ".*", path)] += count
    return {component: count for component, count in counts.items() if count}


def _replacements(spec: ModelSpec) -> Iterator[str]:
    """A line for the layers of one kind that transforms have put into the network: how many, and what they take."""
    import numpy as np

    integers, word, shapes = spec.integers(), np.dtype(np.float32), spec.shapes()
    held: dict[str, list[tuple[int, int]]] = {}
    for edit in {edit.path: edit for edit in spec.edits}.values():
        settings = ", ".join(f"{name}={value}" for name, value in dataclasses.asdict(edit.arguments).items())
        biases, before = edit.module.biases(), edit.module.shapes()
        numbers = sum(math.prod(shape) for name, shape in before.items() if name not in biases)
        names = [name for name in edit.shapes() if name not in biases]
        size = sum(integers.get(name, word).itemsize * math.prod(shapes[name]) for name in names)
        held.setdefault(f"{edit.layer} ({settings})", []).append((numbers, size))
    for layer, each in held.items():
        numbers, size = (sum(part) for part in zip(*each, strict=True))
        yield f"  {len(each)} x {layer}: {numbers:,} weights in {size:,} bytes, {8 * size / numbers:.2f} bits each"


def _print_data(inputs: Inputs) -> None:
    from common.data import BatchPlan
    from common.training.assembly import encode_split
    from common.training.schedule import total_steps, warmup_remark, warmup_steps

    config, labels = inputs.config, inputs.data.label_names
    named = f", labels {', '.join(labels)}" if labels else ""
    print(printable_line(f"data    {config.data.name}{named}"))
    for split in inputs.data.splits:
        encoded = encode_split(inputs, split)
        lengths = encoded.lengths
        print(
            f"  {split:<11} {len(encoded):>8,} sequences, {int(lengths.sum()):>10,} tokens, longest {int(lengths.max())}, {encoded.truncated} truncated"
        )
    training = config.training
    batches = BatchPlan(
        encode_split(inputs, "train"),
        training.global_batch_size,
        training.micro_batch_size,
        config.data.length_multiple,
        config.seed,
    )
    total = total_steps(training, batches.steps_per_epoch)
    warmup = warmup_steps(config.optimization, total)
    print(f"steps   {batches.steps_per_epoch:,} an epoch, {total:,} in all, the first {warmup:,} of them warm-up")
    remark = warmup_remark(warmup, total)
    if remark:
        print(f"note: {remark}")
