"""Sequence to sequence: an encoder reads the source, a decoder writes the target, as in translation.

The source (the column of prompts) is its tokens and an end token, in their order or reversed (Sutskever et al. 2014,
section 3.3). The decoder reads a begin token and the target (the column of texts), and predicts the target and an end
token. Labels are smoothed as by Szegedy et al. 2016, which the Transformer is trained with; the loss of a step is
divided by the number of its target tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from common.backend.batch import IGNORE, Batch, BatchSchema, Field
from common.backend.contract import Engine
from common.data.encoding import Columns, Ragged, tokenize
from common.data.roles import Role, read_texts
from common.errors import InputError
from common.models.family import WRITTEN
from common.models.specs import ModelSpec
from common.tasks.data_to_text import SMOOTHING
from common.tasks.language_modeling import LanguageModeling
from common.tasks.task import Answer, Draw, TaskOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.training.assembly import Trained

__all__ = ["MEMBER", "SequenceToSequence", "SequenceToSequenceOptions"]

_BEGIN, _END = "[BOS]", "[EOS]"  #: of vocabularies that have no such tokens


@dataclass(frozen=True)
class SequenceToSequenceOptions(TaskOptions):
    """How pairs are read and scored."""

    label_smoothing: float = 0.0  #: probability spread evenly over the vocabulary, in training alone
    reverse_source: bool = False  #: read the source's tokens from the last to the first

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is out of range."""
        if not 0 <= self.label_smoothing < 1:
            yield "label_smoothing", f"must be at least 0 and less than 1; received {self.label_smoothing!r}"


class SequenceToSequence(LanguageModeling):
    """Cross-entropy of the target's tokens, and perplexity without smoothing. ``labels`` ``(batch, target)`` are
    shifted already."""

    name = "sequence-to-sequence"
    head = WRITTEN
    peft_type = "SEQ_2_SEQ_LM"
    roles: ClassVar[tuple[Role, ...]] = (
        Role("prompt", "prompt_column", read_texts),
        Role("text", "text_column", read_texts, target=True),
    )
    FIELDS = (Field("labels", ("batch", "target"), padding=IGNORE),)
    Options = SequenceToSequenceOptions
    options: SequenceToSequenceOptions

    def recognise(self, profile):
        """None: a model of pairs begins from nothing, and data alone do not say how large it should be."""
        return None

    def schema(self, family: Any) -> BatchSchema:
        """With the share by which labels are smoothed, where they are."""
        smoothing = (Field(SMOOTHING, ("batch",), "float32"),) if self.options.label_smoothing else ()
        return BatchSchema.of(family.INPUTS, self.FIELDS, smoothing)

    def fitted(self, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
        """With a begin and an end token, where it has none."""
        begin, end = _ends(tokenizer)
        added = {} if begin is not None else {"bos_token": _BEGIN}
        added |= {} if end is not None else {"eos_token": _END}
        if added:
            tokenizer.add_special_tokens(added)
        return tokenizer

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """``input_ids`` of the source; ``decoder_input_ids`` and ``labels`` of the target. Of either, what exceeds
        ``max_length`` tokens is cut off; a source keeps its end token.

        Returns:
            The columns, and the number of pairs of which tokens were cut off.

        Raises:
            InputError: the tokenizer has no token for begin or end.
        """
        begin, end = self._ends(tokenizer)
        sources, truncated = [], 0
        targets = tokenize(rows["text"], tokenizer, add_special_tokens=False)
        read, labels = [], []
        for source, target in zip(self._sources(rows["prompt"], tokenizer), targets, strict=True):
            whole = np.concatenate([np.array([begin], np.int32), target, np.array([end], np.int32)])
            truncated += len(source) + 1 > max_length or len(whole) > max_length + 1
            sources.append(np.array([*source[: max_length - 1], end], np.int32))
            read.append(whole[:-1][:max_length])
            labels.append(whole[1:][:max_length])
        columns: Columns = {"input_ids": Ragged.of(sources)}
        columns |= {"decoder_input_ids": Ragged.of(read), "labels": Ragged.of(labels)}
        if self.options.label_smoothing:
            columns[SMOOTHING] = np.full(len(sources), self.options.label_smoothing, np.float32)
        return columns, truncated

    def corpus(self, rows: Any) -> Iterator[str]:
        """Sources and targets, which share a vocabulary."""
        yield from rows["prompt"]
        yield from rows["text"]

    def prompt_ids(
        self, prompts: Sequence[str], tokenizer: PreTrainedTokenizerFast, columns: Sequence[str]
    ) -> list[list[int]]:
        """Sources as in training, without white space around them."""
        _, end = self._ends(tokenizer)
        return [[*source.tolist(), end] for source in self._sources((text.strip() for text in prompts), tokenizer)]

    def opening(self, tokenizer: PreTrainedTokenizerFast) -> int | None:
        """The begin token."""
        return self._ends(tokenizer)[0]

    def ends(self, tokenizer: PreTrainedTokenizerFast) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The end token."""
        return (self._ends(tokenizer)[1],), ()

    def parse(self, line: str) -> dict[str, Any]:
        """A line is a source."""
        return {"prompt": line}

    def predict(
        self, trained: Trained, engine: Engine, rows: Iterable[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """A target for the source of every row."""
        yield from super().predict(trained, engine, [{"text": row["prompt"]} for row in rows], options)

    def example_targets(self, spec: ModelSpec, inputs: Batch, draw: Draw) -> dict[str, np.ndarray]:
        """Any token after every real position of the target."""
        written = inputs["decoder_input_ids"]
        following = draw("labels", written.shape, 1, spec.config["vocab_size"])
        return {"labels": np.where(written == spec.config["pad_token_id"], IGNORE, following).astype(np.int32)}

    def _sources(self, prompts: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> Iterator[np.ndarray]:
        for ids in tokenize(prompts, tokenizer, add_special_tokens=False):
            yield ids[::-1] if self.options.reverse_source else ids

    def _ends(self, tokenizer: PreTrainedTokenizerFast) -> tuple[int, int]:
        begin, end = _ends(tokenizer)
        if begin is None or end is None:
            raise InputError(
                "Sequences are written from a begin to an end token; this tokenizer has none. Use masked-bpe:SIZE, or "
                "another one that is trained."
            )
        return begin, end


def _ends(tokenizer: PreTrainedTokenizerFast) -> tuple[int | None, int | None]:
    """The ids of begin and end token, as vocabularies call them."""
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    return tokenizer.cls_token_id if begin is None else begin, tokenizer.sep_token_id if end is None else end


MEMBER = SequenceToSequence()
