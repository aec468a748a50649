"""``twinlora inspect``: what a training would do, without doing it and without a framework."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections import Counter
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
        "inspect", help="show what would be trained, and for how many steps", allow_abbrev=False
    )
    options.add_experiment(parser)
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

    config = options.experiment(args)
    if args.yaml:
        print(to_yaml(config), end="")
        return
    try:
        inputs = prepare(config)
    except InputError as error:
        _print_model(config, *_without_data(config, error))
        print("data    not read")
        sys.stdout.flush()
        raise  # a training would end here, so the exit code is that of an error
    _print_model(config, inputs.spec, inputs.plan)
    _print_data(inputs)


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
    from common.methods.coverage import coverage_table
    from common.methods.merge import merge_remarks

    count, stored = spec.parameter_count(), "with integers" if spec.integers() else "in fp32"
    print(
        f"model   {printable_line(config.model.source or 'new')}: {spec.family}, {spec.task}, {count:,} parameters, {spec.bytes():,} bytes {stored}"
    )
    print(printable_line(str(spec.head_origin)))
    if spec.vectors is not None:
        print(printable_line(str(spec.vectors)))
    for component, size in _components(spec).items():
        print(f"  {component:<40} {size:>12,}")
    print(printable(f"method  {plan.method}\n{coverage_table(plan, spec, config.optimization)}"))
    for remark in merge_remarks(plan, spec):
        print(printable_line(f"note: {remark}"))


def _components(spec: ModelSpec) -> dict[str, int]:
    """Parameters by module, the layers taken together."""
    counts: Counter[str] = Counter()
    for module in spec.modules:
        counts[re.sub(r"\.\d+\..*", ".*", module.path)] += sum(math.prod(shape) for shape in module.shapes().values())
    return {component: count for component, count in counts.items() if count}


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
