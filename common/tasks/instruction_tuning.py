"""Instruction tuning: answers of an assistant, in conversations that a chat template writes as text.

An example is an instruction with its answer (Alpaca: ``instruction``, ``input``, ``output``) or a list of messages
(``messages`` with role and content, or ShareGPT's ``conversations`` with from and value). Answers and their ends are
predicted, everything else is read alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from common.backend.batch import IGNORE
from common.backend.contract import Engine
from common.data.chat import template_of
from common.data.conversations import Message, conversation, looks_like_turns
from common.data.encoding import Columns, Ragged
from common.data.profile import Recognised
from common.data.readers import Table
from common.data.roles import PROMPT, Reading, Role, read_texts
from common.errors import InputError
from common.tasks.language_modeling import LanguageModeling
from common.tasks.task import Answer, TaskOptions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from common.training.assembly import Trained

__all__ = ["MEMBER", "InstructionTuning", "InstructionTuningOptions"]

CHAT_MODELS = {"": "Qwen/Qwen2.5-0.5B-Instruct", "east asian": "Qwen/Qwen2.5-0.5B-Instruct"}  #: to begin with
_INSTRUCTIONS, _ANSWERS, _INPUTS = ("instruction",), ("output", "response", "answer"), ("input", "context")
_TURNS = ("messages", "conversations", "conversation", "dialog")


@dataclass(frozen=True)
class InstructionTuningOptions(TaskOptions):
    """How conversations are written, and which answers are predicted."""

    template: Literal["tokenizer", "plain", "chatml"] = "tokenizer"  #: the tokenizer's chat template, or one of ours
    system: str | None = None  #: message that conversations without one begin with
    turns: Literal["all", "last"] = "all"  #: answers that are predicted


def _read_answers(table: Table, reading: Reading) -> list[Any]:
    """Texts where there is a column of instructions, otherwise lists of messages."""
    if PROMPT.name in reading.roles:
        return read_texts(table, reading)
    return [conversation(value, table.where(row)) for row, value in enumerate(table.column(reading.accepted))]


def _read_inputs(table: Table, reading: Reading) -> list[str]:
    """Texts that may be missing."""
    column, found = reading.accepted[-1], []
    for row, value in enumerate(table.column(reading.accepted)):
        if value is not None and not isinstance(value, str):
            raise InputError(
                f"{table.where(row)}: a text, or none, was expected in column {column}; found {value!r}. Correct or remove "
                "the row."
            )
        found.append((value or "").strip())
    return found


class InstructionTuning(LanguageModeling):
    """Cross-entropy of answers. ``labels`` are shifted already."""

    name = "instruction-tuning"
    converses = True
    assumed = False  # a causal language model of packed text is the general case
    roles = (
        Role("text", "text_column", _read_answers, target=True),
        PROMPT,
        Role("text_pair", "text_pair_column", _read_inputs, required=False),
    )
    Options = InstructionTuningOptions
    options: InstructionTuningOptions

    def recognise(self, profile):
        """A column of messages, or an instruction with its answer."""
        turns = [name for name, column in profile.columns.items() if looks_like_turns(column.present)]
        given = profile.given.get("text_column")
        usual = [name for known in _TURNS for name in turns if name.lower() == known]
        text = given if given in turns else next(iter(usual), turns[0] if len(turns) == 1 else None)
        if text is not None:
            return Recognised({"text_column": text}, 40, "perplexity", CHAT_MODELS)
        prompt, answer = profile.named("prompt_column", _INSTRUCTIONS), profile.named("text_column", _ANSWERS)
        if prompt is None or answer is None:
            return None
        extra = profile.given.get("text_pair_column") or _named(profile.columns, _INPUTS, (prompt, answer))
        entries = {"text_column": answer, "prompt_column": prompt} | ({"text_pair_column": extra} if extra else {})
        return Recognised(entries, 31 + bool(extra), "perplexity", CHAT_MODELS)

    def encode(self, rows, tokenizer, max_length) -> tuple[Columns, int]:
        """Conversations up to their last answer."""
        template = template_of(tokenizer, self.options.template)
        inputs, labels, truncated = [], [], 0
        for number, messages in enumerate(self._conversations(rows), 1):
            place = f"Example {number}"
            ids, chosen = template.answers(messages, place, self.options.turns == "last")
            stop = int(np.flatnonzero(chosen)[-1]) + 1
            truncated += stop > max_length + 1
            ids, chosen = ids[: min(stop, max_length + 1)], chosen[: min(stop, max_length + 1)]
            if not chosen[1:].any():
                first = int(np.flatnonzero(chosen)[0]) if chosen.any() else stop
                raise InputError(
                    f"{place}: its first answer begins after {first} tokens, which leaves no room for it. Set "
                    "data.max_length higher, or remove the row."
                )
            inputs.append(ids[:-1])
            labels.append(np.where(chosen[1:], ids[1:], IGNORE).astype(np.int32))
        return {"input_ids": Ragged.of(inputs), "labels": Ragged.of(labels)}, truncated

    def corpus(self, rows: Any) -> Iterator[str]:
        """Every message."""
        return (message["content"] for messages in self._conversations(rows) for message in messages)

    def _conversations(self, rows: Any) -> Iterator[list[Message]]:
        names = rows.column_names
        if PROMPT.name not in names:
            yield from map(self._begun, rows["text"])
            return
        for prompt, text in zip(self.asked(rows), rows["text"], strict=True):
            yield self._begun([{"role": "user", "content": prompt}, {"role": "assistant", "content": text}])

    def _begun(self, messages: Sequence[Mapping[str, str]]) -> list[Message]:
        """With the system's message, where there is none and one is set."""
        found = [{"role": message["role"], "content": message["content"]} for message in messages]
        if self.options.system and found[0]["role"] != "system":
            return [{"role": "system", "content": self.options.system}, *found]
        return found

    def prompt_ids(
        self, prompts: Sequence[Any], tokenizer: PreTrainedTokenizerFast, columns: Sequence[str]
    ) -> list[list[int]]:
        """Each prompt as the user's message, or a list of messages, and the template's beginning of an answer."""
        template = template_of(tokenizer, self.options.template)
        found = []
        for number, prompt in enumerate(prompts, 1):
            place = f"Prompt {number}"
            turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            found.append(template.ids(self._begun(conversation(turns, place)), place))
        return found

    def asked(self, rows: Any) -> list[str]:
        """Instructions with their inputs."""
        extras = rows["text_pair"] if "text_pair" in rows.column_names else [""] * len(rows)
        return [_joined(prompt, extra) for prompt, extra in zip(rows["prompt"], extras, strict=True)]

    def fitted(self, tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
        """With the template, which a merged model then brings to `transformers`."""
        tokenizer.chat_template = template_of(tokenizer, self.options.template).source
        return tokenizer

    def ends(self, tokenizer: PreTrainedTokenizerFast) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """What the template writes after an answer, besides the tokenizer's end."""
        ids, text = template_of(tokenizer, self.options.template).end()
        return ((tokenizer.eos_token_id, *ids), ()) if ids else ((tokenizer.eos_token_id,), (text,))

    def parse(self, line: str) -> dict[str, Any]:
        """A line is a message of the user."""
        return {PROMPT.name: line}

    def predict(
        self, trained: Trained, engine: Engine, rows: Sequence[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> Iterator[Answer]:
        """An answer to the instruction, with its input where there is one, of every row."""
        asked = (_joined(row[PROMPT.name], row.get("text_pair")) for row in rows)
        yield from super().predict(trained, engine, [{"text": prompt} for prompt in asked], options)


def _joined(prompt: str, extra: str | None) -> str:
    return f"{prompt}\n\n{extra}" if extra else prompt


def _named(columns: Mapping[str, Any], names: Sequence[str], taken: Sequence[str]) -> str | None:
    return next(
        (column for name in names for column in columns if column.lower() == name and column not in taken), None
    )


MEMBER = InstructionTuning()
