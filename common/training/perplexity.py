"""Perplexity of a corpus in the two forms that are quoted.

``perplexity_per_token``: exp of the mean loss of the tokenizer's tokens, read through a window that moves by a stride,
so that every token has at least ``window - stride`` tokens before it (but for the first ones). It compares between
models of one tokenizer. ``perplexity_per_word``: exp of the same summed loss over the number of words of the original
text, its line ends included, as WikiText's perplexities are defined (Merity et al. 2016). It compares between all
models of the same text.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.backend import IGNORE, Engine
from common.data.encoding import Encoded, Ragged, tokenize
from common.errors import InputError
from common.training.evaluation import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.training.assembly import Trained

__all__ = ["corpus_perplexity", "windows", "words_of"]


def corpus_perplexity(
    trained: Trained, engine: Engine, split: str, stride: int, directory: str | Path | None = None
) -> dict[str, Any]:
    """Both perplexities of a split of packed text, with what they were computed from.

    Args:
        stride: tokens by which the window of ``data.max_length`` moves; equal to it, windows do not overlap.
        directory: folder of the data set; None: where the run found it.

    Raises:
        InputError: the run is no causal language model of packed text, the split does not exist, or the stride does not
            fit.
        RunError: the loss is not finite.
    """
    from common.data import load_dataset
    from common.metrics import language_metrics
    from common.reading import expanded

    window = trained.config.data.max_length
    if not 1 <= stride <= window:
        raise InputError(f"The stride must lie in 1..{window}, the window data.max_length; received {stride}.")
    found = str(expanded(directory).resolve()) if directory else trained.config.data.directory
    data = load_dataset(dataclasses.replace(trained.config.data, directory=found), trained.task)
    if split not in data.splits:
        raise InputError(f"There is no {split} split; the data set has {', '.join(data.splits)}.")
    rows = data.splits[split]
    packed = trained.task.peft_type == "CAUSAL_LM" and not trained.task.converses and rows.column_names == ["text"]
    if trained.spec.head or not packed:
        raise InputError(
            "Perplexity with a stride is that of packed text under a causal language model; this run was trained on "
            f"{', '.join(rows.column_names)} for {trained.task.name}. Leave --stride out."
        )
    tokens = _packed(rows["text"], trained.tokenizer)
    encoded = Encoded(trained.task, trained.spec.schema, windows(tokens, window, stride), _padding(trained), window)
    training = trained.config.training
    loss = count = 0.0
    for _, _, result in results(engine, encoded, training.evaluation_batch_size, trained.config.data.length_multiple):
        loss, count = loss + result.loss_sum, count + result.count
    words = words_of(rows["text"])
    per_token, per_word = (language_metrics(loss, number)["perplexity"] for number in (int(count), words))
    return {
        "perplexity_per_token": per_token,
        "perplexity_per_word": per_word,
        "bits_per_token": loss / count / math.log(2),
        "tokens": int(count),
        "words": words,
        "window": window,
        "stride": stride,
    }


def windows(tokens: np.ndarray, window: int, stride: int) -> dict[str, Ragged | np.ndarray]:
    """Columns ``input_ids`` and ``labels`` of overlapping windows; every token but the first is a target once.

    Args:
        tokens: ``(tokens,)`` of the whole split.
    """
    last = len(tokens) - 1  # the last token is a target alone
    inputs, labels, done = [], [], 0
    for start in range(0, last, stride):
        stop = min(start + window, last)
        targets = tokens[start + 1 : stop + 1].copy()
        targets[: done - start] = IGNORE
        inputs.append(tokens[start:stop])
        labels.append(targets)
        done = stop
        if stop == last:
            break
    return {"input_ids": Ragged.of(inputs), "labels": Ragged.of(labels)}


def words_of(texts: Sequence[str]) -> int:
    """Words between white space, and one for the end of every line."""
    return sum(len(text.split()) + 1 for text in texts)


def _packed(texts: Sequence[str], tokenizer: Any) -> np.ndarray:
    end = np.array([tokenizer.eos_token_id], np.int32)
    return np.concatenate([part for ids in tokenize(texts, tokenizer, add_special_tokens=False) for part in (ids, end)])


def _padding(trained: Trained) -> int:
    return trained.tokenizer.pad_token_id or 0
