"""Data to text: sentences for a list of facts, as in the experiments of Hu et al. 2021 with E2E, WebNLG and DART.

An example is prompt, separator, text, end of text. Facts written ``slot[value], slot[value]`` (E2E as published) are
brought into the linear form ``slot : value | slot : value`` of those experiments, with their names of the slots.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from common.backend.batch import IGNORE, BatchSchema, Field
from common.backend.contract import Engine
from common.data.encoding import Columns, Ragged, beginning, tokenize
from common.data.roles import Role, read_texts
from common.errors import InputError
from common.tasks.language_modeling import LanguageModeling
from common.tasks.task import Answer, TaskOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.training.assembly import Trained

__all__ = ["MEMBER", "SMOOTHING", "DataToText", "DataToTextOptions", "linear"]

SMOOTHING = "smoothing"  #: field of a batch, where labels are smoothed

_FACT = re.compile(r"\s*([^\[\],]+?)\s*\[([^\[\]]*)\]\s*(?:,|$)")
#: the published names of E2E's slots that differ in those experiments
_SLOTS = {"eatType": "Type", "priceRange": "price", "familyFriendly": "family friendly"}


@dataclass(frozen=True)
class DataToTextOptions(TaskOptions):
    """How examples are written and which tokens are predicted."""

    label_smoothing: float = 0.0  #: probability spread evenly over the vocabulary, in training alone
    target_only: bool = True  #: predict the text and its end; false: the facts too
    linearised: bool = True  #: rewrite facts of the form slot[value]
    separator: str | None = None  #: between facts and text; null: the end-of-text token, as in those experiments

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range."""
        if not 0 <= self.label_smoothing < 1:
            yield "label_smoothing", f"must be at least 0 and less than 1; received {self.label_smoothing!r}"


def linear(facts: str) -> str:
    """``slot : value | ...`` of ``slot[value], ...``; any other text stays as it is.

    linear("name[The Eagle], priceRange[more than £30]")  # name : The Eagle | price : more than £ 30
    """
    found, end = [], 0
    for match in _FACT.finditer(facts):
        if match.start() != end:
            return facts
        found.append((_SLOTS.get(match[1], match[1]), match[2].strip().replace("£", "£ ")))
        end = match.end()
    return " | ".join(f"{slot} : {value}" for slot, value in found) if found and end == len(facts) else facts


class DataToText(LanguageModeling):
    """Cross-entropy of the text, perhaps with smoothed labels, and perplexity without. ``labels`` are shifted
    already."""

    name = "data-to-text"
    assumed = False  # a causal language model of packed text is the general case
    roles = (
        Role("prompt", "prompt_column", read_texts),
        Role("text", "text_column", read_texts, target=True),
    )
    Options = DataToTextOptions
    options: DataToTextOptions

    def recognise(self, profile):
        """As completions of prompts, which go first."""
        found = super().recognise(profile)
        paired = found is not None and "prompt_column" in found.entries
        return dataclasses.replace(found, evidence=2) if found is not None and paired else None

    def schema(self, family: Any) -> BatchSchema:
        """With the share by which labels are smoothed, where they are."""
        smoothing = (Field(SMOOTHING, ("batch",), "float32"),) if self.options.label_smoothing else ()
        return BatchSchema.of(family.INPUTS, self.FIELDS, smoothing)

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """Facts, separator, text, end of text."""
        _check(tokenizer)
        end = np.array([tokenizer.eos_token_id], np.int32)
        prompts = self.prompt_ids(rows["prompt"], tokenizer, rows.column_names)
        texts = tokenize((" " + text for text in rows["text"]), tokenizer, add_special_tokens=False)
        inputs, labels, truncated = [], [], 0
        for number, (prompt, text) in enumerate(zip(prompts, texts, strict=True), 1):
            if len(prompt) > max_length:
                raise InputError(
                    f"Example {number}: its facts of {len(prompt)} tokens leave no room for a text. "
                    f"Set data.max_length above {len(prompt)}."
                )
            ids = np.concatenate([np.array(prompt, np.int32), text, end])
            truncated += len(ids) > max_length + 1
            ids = ids[: max_length + 1]
            targets = ids[1:].copy()
            if self.options.target_only:
                targets[: len(prompt) - 1] = IGNORE
            inputs.append(ids[:-1])
            labels.append(targets)
        columns: Columns = {"input_ids": Ragged.of(inputs), "labels": Ragged.of(labels)}
        if self.options.label_smoothing:
            columns[SMOOTHING] = np.full(len(inputs), self.options.label_smoothing, np.float32)
        return columns, truncated

    def corpus(self, rows: Any) -> Iterator[str]:
        """Facts as they are written, and texts."""
        yield from map(self._written, rows["prompt"])
        yield from rows["text"]

    def prompt_ids(
        self, prompts: Sequence[str], tokenizer: PreTrainedTokenizerFast, columns: Sequence[str]
    ) -> list[list[int]]:
        """Facts and separator, after what the tokenizer begins every text with."""
        _check(tokenizer)
        separator, extra, first = (self.options.separator or ""), [], beginning(tokenizer)
        if self.options.separator is None:
            extra = [tokenizer.eos_token_id]
        texts = (self._written(prompt.strip()) + separator for prompt in prompts)
        return [[*first, *ids.tolist(), *extra] for ids in tokenize(texts, tokenizer, add_special_tokens=False)]

    def parse(self, line: str) -> dict[str, Any]:
        """A line holds facts."""
        return {"prompt": line}

    def predict(
        self, trained: Trained, engine: Engine, rows: Iterable[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """A text for the facts of every row."""
        yield from super().predict(trained, engine, [{"text": row["prompt"]} for row in rows], options)

    def _written(self, prompt: str) -> str:
        return linear(prompt) if self.options.linearised else prompt


def _check(tokenizer: PreTrainedTokenizerFast) -> None:
    if tokenizer.eos_token_id is None:
        raise InputError(
            "Writing texts needs a tokenizer with an end-of-text token; this one has none. "
            "Use a GPT-2 tokenizer or bpe:SIZE."
        )


MEMBER = DataToText()
