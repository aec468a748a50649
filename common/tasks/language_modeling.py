"""Causal language modelling: the next token, of packed text or of completions of prompts.

Without prompts every text is followed by one end-of-text token, all are joined and cut into inputs of ``max_length``
tokens. Consecutive blocks share one token, so that every token but the split's first is predicted exactly once; the
last, shorter block is kept. With prompts an example is prompt, ``SEPARATOR``, text, end of text; only the text and its
end are predicted, and it is cut after ``max_length`` inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from common.backend.batch import IGNORE, Batch, Field
from common.backend.contract import Engine, EvalResult
from common.data.encoding import Columns, Encoded, Ragged, beginning, tokenize
from common.data.profile import TEXTS, Recognised
from common.data.readers import Table
from common.data.roles import PROMPT, Reading, Role, read_texts
from common.distributed import Group
from common.errors import InputError
from common.metrics import LANGUAGE, language_metrics
from common.models.specs import ModelSpec
from common.tasks.collecting import Sums
from common.tasks.task import Answer, Draw, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.training.assembly import Trained

__all__ = ["DECODERS", "MEMBER", "SEPARATOR", "LanguageModeling", "encode_prompts"]

DECODERS = {"": "openai-community/gpt2"}  #: to begin with
_PROMPTS = ("prompt", "instruction", "context", "mr", "source", "input", "question")
_TEXTS = ("completion", "response", "output", "answer", "target", "ref", "text")
SEPARATOR = " ||"  #: between prompt and text, as in the E2E experiments of Hu et al. 2021


def _read_lines(table: Table, reading: Reading) -> list[str]:
    """Blank lines are part of packed text."""
    return read_texts(table, reading, blank_lines=PROMPT.name not in reading.roles)


def encode_prompts(prompts: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Token ids of prompts as completions condition on them: without white space around them, as data are read, with the
    separator, and before them what the tokenizer begins every text with."""
    texts, first = (prompt.strip() + SEPARATOR for prompt in prompts), beginning(tokenizer)
    return [[*first, *ids.tolist()] for ids in tokenize(texts, tokenizer, add_special_tokens=False)]


class LanguageModeling(Task):
    """Cross-entropy of every target token. ``labels[b, t]`` is the token after position t: they are shifted already."""

    name = "language-modeling"
    head = "causal"
    new_head = False
    writes = True
    peft_type = "CAUSAL_LM"
    roles: ClassVar[tuple[Role, ...]] = (Role("text", "text_column", _read_lines), PROMPT)
    FIELDS = (Field("labels", ("batch", "seq"), padding=IGNORE),)
    metrics = LANGUAGE

    def recognise(self, profile):
        """Prompts and texts by the usual names of their columns, or a text."""
        prompt = profile.named("prompt_column", _PROMPTS)
        text = profile.pick("text_column", (TEXTS,), _TEXTS if prompt else ("text",), (prompt or "",))
        if text is None:
            return None
        entries = {"text_column": text} | ({"prompt_column": prompt} if prompt else {})
        return Recognised(entries, 15 * len(entries) if prompt else 5, "perplexity", DECODERS)

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """Packed text, or completions where there are prompts."""
        if tokenizer.eos_token_id is None:
            raise InputError(
                "Language modelling needs a tokenizer with an end-of-text token; this one has none. "
                "Use a GPT-2 tokenizer or bpe:SIZE."
            )
        return (_completions if "prompt" in rows.column_names else _packed)(rows, tokenizer, max_length)

    def evaluator(self, encoded: Encoded) -> _Evaluator:
        """Loss and perplexity over every target token."""
        return _Evaluator()

    def prompt_ids(
        self, prompts: Sequence[str], tokenizer: PreTrainedTokenizerFast, columns: Sequence[str]
    ) -> list[list[int]]:
        """With the separator where the data were prompt and text; an empty one is an end of text, after which texts
        began in training."""
        if "prompt" in columns:
            return encode_prompts(prompts, tokenizer)
        found = (tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts)
        return [ids or [tokenizer.eos_token_id] for ids in found]

    def predict(
        self, trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """The continuation of every text; prompts are written as in training."""
        from common.generation import GenerationOptions, generate

        chosen = GenerationOptions.of(options)
        if chosen.num_return_sequences > 1:
            raise InputError(
                "A prediction is one text; several are generated by `twinlora generate`. Leave num_return_sequences out."
            )
        prompts = [row["text"] for row in rows]
        for [found] in generate(trained, engine, prompts, chosen):
            full = {"prompt": found.prompt, "continuation": found.text, "finish": found.finish}
            yield Answer(found.text, full)

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Any token after every real position."""
        mask = inputs["attention_mask"]
        following = draw("labels", mask.shape, 1, spec.config["vocab_size"])
        return {"labels": np.where(mask == 1, following, IGNORE).astype(np.int32)}


def _packed(rows: Any, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[Columns, int]:
    end = np.array([tokenizer.eos_token_id], np.int32)
    parts = [part for ids in tokenize(rows["text"], tokenizer, add_special_tokens=False) for part in (ids, end)]
    tokens = np.concatenate(parts)
    if len(tokens) < 2:
        raise InputError(
            "Language modelling needs at least two tokens in a split, since the first one is not predicted."
        )
    starts = np.arange(0, len(tokens) - 1, max_length, dtype=np.int64)
    stops = np.minimum(starts + max_length, len(tokens) - 1)
    return {"input_ids": Ragged(tokens, starts, stops), "labels": Ragged(tokens, starts + 1, stops + 1)}, 0


def _completions(rows: Any, tokenizer: PreTrainedTokenizerFast, max_length: int) -> tuple[Columns, int]:
    end = np.array([tokenizer.eos_token_id], np.int32)
    prompts = encode_prompts(rows["prompt"], tokenizer)
    texts = tokenize((" " + text for text in rows["text"]), tokenizer, add_special_tokens=False)
    inputs, labels, truncated = [], [], 0
    for row, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        if len(prompt) > max_length:
            raise InputError(
                f"Example {row + 1}: its prompt of {len(prompt)} tokens leaves no room for a text. "
                f"Set data.max_length above {len(prompt)}."
            )
        ids = np.concatenate([np.array(prompt, np.int32), text, end])
        truncated += len(ids) > max_length + 1
        ids = ids[: max_length + 1]
        inputs.append(ids[:-1])
        targets = ids[1:].copy()
        targets[: len(prompt) - 1] = IGNORE
        labels.append(targets)
    return {"input_ids": Ragged.of(inputs), "labels": Ragged.of(labels)}, truncated


class _Evaluator:
    def __init__(self) -> None:
        self._sums = Sums()

    def update(self, indices: np.ndarray, batch: Batch, result: EvalResult) -> None:
        self._sums.update(result.loss_sum, result.count)

    def reduce(self, group: Group) -> None:
        self._sums.reduce(group)

    def metrics(self) -> dict[str, float]:
        return language_metrics(self._sums.loss, self._sums.count)


MEMBER = LanguageModeling()
