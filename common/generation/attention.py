"""How much every token that an encoder-decoder writes attends to every token that it read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from common.backend import IGNORE, Engine
from common.errors import InputError
from common.generation.options import GenerationOptions
from common.generation.texts import generate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.training.assembly import Trained

__all__ = ["Attention", "attention_of"]


@dataclass(frozen=True)
class Attention:
    """Of one pair."""

    source: tuple[str, ...]  #: tokens that were read, the end token included
    target: tuple[str, ...]  #: tokens that were predicted, the end token included
    weights: np.ndarray  #: (layers, heads, target, source) float32; those of one written token have the sum 1
    text: str  #: the target

    def mean(self) -> np.ndarray:
        """Over layers and heads, ``(target, source)``."""
        return self.weights.mean((0, 1))

    def record(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "source": list(self.source),
            "target": list(self.target),
            "text": self.text,
            "mean": self.mean().tolist(),
            "weights": self.weights.tolist(),
        }


def attention_of(trained: Trained, engine: Engine, source: str, target: str | None = None) -> Attention:
    """The attention of one pair.

    Args:
        target: what is written to the source; None lets the model write it, the most probable token each time.

    Raises:
        InputError: the model has no attention from what it writes to what it reads, or a text exceeds the context.
    """
    opening = trained.task.opening(trained.tokenizer)
    if opening is None:
        raise InputError(
            "The attention between two texts is that of an encoder-decoder; this run was trained for "
            f"{trained.task.name}."
        )
    limit = trained.config.data.max_length
    if target is None:
        [[found]] = generate(trained, engine, [source], GenerationOptions(max_new_tokens=limit - 1))
        text, tokens = found.text, list(found.tokens)
    else:
        text, tokens = target, trained.tokenizer(target, add_special_tokens=False)["input_ids"]
    [read] = trained.task.prompt_ids([source], trained.tokenizer, ())
    written = [opening, *tokens]
    for name, ids in (("source", read), ("target", written)):
        if len(ids) > limit:
            raise InputError(
                f"A {name} must fit into the {limit} tokens that the model was trained on; received {len(ids)}. "
                "Shorten it."
            )
    batch = {"input_ids": _row(read), "attention_mask": _row([1] * len(read)), "decoder_input_ids": _row(written)}
    batch["labels"] = np.full_like(batch["decoder_input_ids"], IGNORE)
    weights = engine.attentions(batch)
    if weights is None:
        raise InputError(
            f"A {trained.spec.family} network gives no attention from what it writes to what it reads. Use another "
            "family."
        )
    [end, *_] = trained.task.ends(trained.tokenizer)[0]
    tokenizer = trained.tokenizer
    return Attention(_names(tokenizer, read), _names(tokenizer, [*tokens, end]), weights[0], text)


def _names(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> tuple[str, ...]:
    """Tokens as people read them: text where they are some, else as the vocabulary writes them."""
    pieces = zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True)
    return tuple(tokenizer.decode([token]).strip() or piece for token, piece in pieces)


def _row(ids: list[int]) -> np.ndarray:
    return np.array([ids], np.int32)
