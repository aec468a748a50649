"""Prompt tuning (Lester et al. 2021): trained embeddings before those of the sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from common import random
from common.edits import Given, Init, Normal, ParameterSpec
from common.errors import InputError
from common.methods.peft.format import PeftFormat
from common.methods.prepending import PrependArguments, Prepending, PrependOptions
from common.models.specs import ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["MEMBER", "Prompt", "PromptOptions"]


@dataclass(frozen=True)
class PromptOptions(PrependOptions):
    """The tokens begin as normal numbers, as words of the vocabulary, or as those of ``text``, cut or repeated."""

    start: Literal["random", "vocabulary"] = "random"
    text: str | None = None
    text_ids: tuple[int, ...] = ()  #: of ``text``, by the tokenizer

    def problems(self) -> Iterator[tuple[str, str]]:
        """Two starts, or a text that is none."""
        yield from super().problems()
        if self.text == "":
            yield "text", "must hold a word; received an empty text. Leave it out to start from random numbers"
        if self.start != "random" and (self.text or self.text_ids):
            yield "start", f"must be left out where there is a text; received {self.start!r}"


@dataclass(frozen=True, eq=False)
class Words:
    """Rows of a table, each as probable as any other."""

    table: np.ndarray = field(repr=False)

    def values(self, seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Float32, ``(tokens, width)``."""
        rows = random.words(seed, name, shape[:1]) % np.uint64(len(self.table))
        return np.asarray(self.table[rows.astype(np.int64)], np.float32)


class Prompt(Prepending):
    """Trains the virtual tokens and the task head."""

    name = "prompt"
    layer = "prompt"
    Options = PromptOptions

    def completed(self, options: PromptOptions, tokenizer: PreTrainedTokenizerFast) -> PromptOptions:
        """The ids of the text, with the tokenizer's special tokens, as in PEFT."""
        if not options.text or options.text_ids:
            return options
        return replace(options, text_ids=tuple(tokenizer(options.text)["input_ids"]))

    def parameters(
        self, options: PromptOptions, sizes: PrependArguments, path: str, spec: ModelSpec
    ) -> tuple[ParameterSpec, ...]:
        """``<path>.prompt`` (tokens, width)."""
        init = self._init(options, path, spec)
        return (ParameterSpec(f"{path}.prompt", (sizes.tokens, sizes.width), "prompt", init),)

    def _init(self, options: PromptOptions, path: str, spec: ModelSpec) -> Init:
        if options.start == "random" and not options.text and not options.text_ids:
            return Normal(1.0)
        table = spec.arrays.get(f"{path}.weight")
        if table is None:
            raise InputError(
                f"Virtual tokens begin as words where the model has their embeddings as one array; it has no {path}.weight. "
                "Leave start and text out."
            )
        if options.start != "random":
            return Words(table)
        if not options.text_ids:
            raise InputError(
                f"The text that virtual tokens begin as has no tokens without a tokenizer; received {options.text!r}. "
                "Give text_ids."
            )
        wrong = [number for number in options.text_ids if not 0 <= number < len(table)]
        if wrong:
            raise InputError(
                f"adaptation.text_ids must be rows of the model's table of {len(table)} words; received {wrong[0]}. "
                "Give text, or the ids of this model's tokenizer."
            )
        return Given(table[np.resize(np.asarray(options.text_ids), options.tokens)])

    def section(self, settings: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
        """Also of P-tuning, of which PEFT stores the prompt that its encoder made."""
        from common.methods.peft.prompt import prompt_tokens

        tokens = prompt_tokens(settings, shapes)
        return None if tokens is None else {"method": self.name, "tokens": tokens}

    @property
    def peft(self) -> PeftFormat:
        """PEFT's prompt tuning."""
        from common.methods.peft.prompt import PromptFormat

        return PromptFormat()


MEMBER = Prompt()
