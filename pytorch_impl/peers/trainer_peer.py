#!/usr/bin/env python3
"""The peer of a job: transformers' Trainer with PEFT, one epoch and its evaluation. Started by `twinlora bench job`.
 --padding max_length pads every text to 512 tokens, as in many examples; group_by_length pads a batch to its longest
text of a length-bucketed batch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from peft_reference import build
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from common import hub
from common.config import ExperimentConfig, load_config
from common.data import load_dataset, resolve_folder
from common.errors import run_script
from common.files import write_json

_SHARE = 256  #: examples that are evaluated where the epoch is cut short


class Clock(TrainerCallback):
    """Seconds of every step."""

    def __init__(self):
        self.moments: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.moments.append(time.perf_counter())


def encoded(config: ExperimentConfig, data: Any, tokenizer: Any, padding: str) -> dict[str, list[dict[str, Any]]]:
    """Every split as the rows that Trainer takes."""
    options = (
        {"padding": "max_length", "max_length": 512}
        if padding == "max_length"
        else {"max_length": config.data.max_length}
    )
    found = {}
    for split in ("train", "validation", "test"):
        rows = data.splits[split]
        tokens = tokenizer(list(rows["text"]), truncation=True, **options)
        found[split] = [
            {key: tokens[key][i] for key in tokens} | {"labels": int(label)} for i, label in enumerate(rows["label"])
        ]
    return found


def train(config: ExperimentConfig, padding: str, steps: int | None, device: str | None) -> dict[str, Any]:
    """The epoch, or ``steps`` of it; what is left out is estimated from the median step and the share of the
    evaluation."""
    data = load_dataset(config.data, config.model.task)
    with hub.obtaining(hub.tokenizer(config.model.source)):
        tokenizer = AutoTokenizer.from_pretrained(resolve_folder(config.model.source) or config.model.source)
    splits = encoded(config, data, tokenizer, padding)
    settings, clock = config.optimization, Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=config.training.global_batch_size,
            per_device_eval_batch_size=config.training.evaluation_batch_size,
            num_train_epochs=1,
            max_steps=steps or -1,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm or 0.0,
            warmup_steps=settings.warmup_ratio or 0,
            lr_scheduler_type="linear",
            train_sampling_strategy="random" if padding == "max_length" else "group_by_length",
            bf16=config.training.dtype == "bf16",
            use_cpu=device == "cpu",
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
        )
        collator = DataCollatorWithPadding(tokenizer)
        trainer = Trainer(build(config, data.label_names), arguments, collator, splits["train"], callbacks=[clock])
        begun = time.perf_counter()
        trainer.train()
        per_step = sorted(
            later - earlier for earlier, later in zip([begun, *clock.moments], clock.moments, strict=False)
        )[len(clock.moments) // 2]
        evaluating, left_out = 0.0, 0.0
        for split in ("validation", "test"):
            rows = splits[split][:_SHARE] if steps else splits[split]
            begun = time.perf_counter()
            trainer.evaluate(rows)
            spent = time.perf_counter() - begun
            evaluating += spent
            left_out += spent * (len(splits[split]) / len(rows) - 1)
    total = -(-len(splits["train"]) // config.training.global_batch_size)
    left_out += (total - len(clock.moments)) * per_step
    return {
        "steps": len(clock.moments),
        "padding": padding,
        "seconds_per_step": per_step,
        "evaluation": evaluating,
        "left_out": left_out,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--padding", choices=("max_length", "group_by_length"), required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--device")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    given = [f"data.directory={json.dumps(args.data_dir)}", f"model.source={json.dumps(args.model)}"]
    config = load_config(args.config, [*given, *args.overrides])
    write_json(args.output, train(config, args.padding, args.steps, args.device))


if __name__ == "__main__":
    run_script(main)
