"""Answers of a trained run to new text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.backend import Engine
from common.data import TextData, encode, encode_prompts
from common.training.assembly import Trained
from common.training.evaluation import class_logits
from common.training.generation import Sampling, generate

__all__ = ["continuations", "probabilities"]


def probabilities(trained: Trained, engine: Engine, texts: Sequence[str]) -> np.ndarray:
    """Probability of every label for every text, ``(texts, labels)`` float64, tokenised and truncated as in training."""
    from datasets import Dataset

    data = TextData(
        "classification", {"input": Dataset.from_dict({"text": list(texts)})}, trained.labels, frozenset({"input"})
    )
    encoded = encode(data, "input", trained.tokenizer, trained.config.data, trained.spec.family)
    logits, _ = class_logits(
        engine, encoded, trained.config.training.evaluation_batch_size, trained.config.data.length_multiple
    )
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def continuations(trained: Trained, engine: Engine, prompts: Sequence[str], sampling: Sampling) -> list[str]:
    """The continuation of every prompt, which is written as in training: with the separator where the data were prompt and text."""
    tokenizer, data = trained.tokenizer, trained.config.data
    if trained.summary["data"]["kind"] == "completion":
        ids = encode_prompts(prompts, tokenizer)
    else:
        ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    generated = generate(engine, ids, tokenizer.eos_token_id, data.max_length, data.length_multiple, sampling)
    return [tokenizer.decode(tokens) for tokens in generated]
