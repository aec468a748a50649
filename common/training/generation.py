"""Text from a language model: greedy decoding, or sampling at a temperature. The choice of every token is made in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.backend import IGNORE, Engine
from common.errors import InputError

__all__ = ["Sampling", "generate"]


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. ``temperature`` 0 takes the most probable one; otherwise draws from softmax(logits / temperature)."""

    max_new_tokens: int = 64
    temperature: float = 0.0
    seed: int = 0
    slide: bool = False  #: of a prompt longer than the context read the end, instead of refusing it

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or not 0 <= self.temperature < float("inf"):
            raise InputError(
                f"Generation needs at least 1 new token and a temperature of 0 or more; received {self.max_new_tokens} and {self.temperature}."
            )


def generate(
    engine: Engine, prompts: Sequence[Sequence[int]], end: int, context: int, length_multiple: int, sampling: Sampling
) -> list[list[int]]:
    """Continue every prompt until ``end`` or ``max_new_tokens``, all prompts in one batch.

    Args:
        prompts: token ids; an empty one begins after ``end``, as texts did in training.
        context: tokens the model sees; of longer sequences the last ones.
        length_multiple: the batch is padded to a multiple of it, so that compiled shapes stay few.

    Returns:
        The new tokens of each prompt, without ``end``.
    """
    random = np.random.Generator(np.random.Philox(sampling.seed))
    sequences = [list(prompt) or [end] for prompt in prompts]
    continuations: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    for _ in range(sampling.max_new_tokens):
        if not active:
            break
        logits = _next_logits(engine, [sequence[-context:] for sequence in sequences], end, context, length_multiple)
        chosen = _choose(logits, sampling.temperature, random)
        active = [row for row in active if chosen[row] != end]
        for row in active:
            sequences[row].append(int(chosen[row]))
            continuations[row].append(int(chosen[row]))
    return continuations


def _next_logits(
    engine: Engine, sequences: Sequence[Sequence[int]], pad: int, context: int, length_multiple: int
) -> np.ndarray:
    """Logits ``(batch, vocabulary)`` after the last token of each sequence; finished rows stay, so that the batch keeps its shape."""
    lengths = np.array([len(sequence) for sequence in sequences])
    width = min(-(-int(lengths.max()) // length_multiple) * length_multiple, context)
    input_ids = np.full((len(sequences), width), pad, np.int32)
    for row, sequence in enumerate(sequences):
        input_ids[row, : len(sequence)] = sequence
    attention_mask = (np.arange(width) < lengths[:, None]).astype(np.int32)
    batch = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": np.full_like(input_ids, IGNORE)}
    return engine.logits_at(batch, (lengths - 1).astype(np.int32))


def _choose(logits: np.ndarray, temperature: float, random: np.random.Generator) -> np.ndarray:
    """One token a row; adding Gumbel noise before the argmax draws from the softmax (Gumbel 1954)."""
    if temperature == 0:
        return logits.argmax(axis=1)
    noise = -np.log(-np.log(random.uniform(np.finfo(np.float64).tiny, 1.0, logits.shape)))
    return (logits.astype(np.float64) / temperature + noise).argmax(axis=1)
