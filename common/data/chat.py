"""Chat templates: how a conversation becomes one text, and which characters of it are answers.

Templates are Jinja as `transformers` renders it. Where a template marks answers (``{% generation %}``), its marks are
taken. Otherwise an answer is what a template adds to the text that a model is given to answer: the text up to the
message with the template's beginning of an answer must be the beginning of the text with the answer, and that the
beginning of the whole conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from common.data.conversations import Message
from common.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["TEMPLATES", "Template", "template_of"]

_ANSWER = "{% generation %}{{ message['content'] + END }}{% endgeneration %}"
_PLAIN = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ '### Response:\\n' }}" + _ANSWER.replace("END", "eos_token") + "{{ '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}" + _ANSWER.replace("END", "'<|im_end|>'") + "{{ '\\n' }}"
    "{% else %}{{ message['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TOKENIZER = "tokenizer"
TEMPLATES = {"plain": _PLAIN, "chatml": _CHATML}  #: by the names that experiments give
_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
_CORRECT = "Correct or remove the row."


@dataclass(frozen=True)
class Template:
    """One template with its tokenizer."""

    tokenizer: PreTrainedTokenizerFast
    source: str  #: Jinja

    def text(self, messages: Sequence[Message], place: str, prompt: bool = False) -> str:
        """The conversation as one text.

        Args:
            prompt: end with the beginning of an answer.

        Raises:
            InputError: the template refuses the messages, or one holds a special token of the tokenizer.
        """
        self._check(messages, place)
        return self._rendered(messages, place, tokenize=False, add_generation_prompt=prompt)

    def ids(self, messages: Sequence[Message], place: str) -> list[int]:
        """What a model is given to answer; raises as `text`."""
        text = self.text(messages, place, prompt=True)
        return self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]

    def answers(self, messages: Sequence[Message], place: str, last: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Token ids ``(tokens,)`` int32 of a conversation, and which of them are answers with their ends, bool.

        Args:
            last: the last answer alone.

        Raises:
            InputError: as `text`; there is no answer; an earlier part of the text depends on a later message; or an
                answer has no end, or begins inside a token.
        """
        numbers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        if not numbers:
            raise InputError(f"{place}: a conversation with an answer of the assistant was expected. {_CORRECT}")
        numbers = numbers[-1:] if last else numbers
        whole = self.text(messages[: numbers[-1] + 1], place)
        if _MARK.search(self.source):
            return self._marked(messages[: numbers[-1] + 1], place, last)
        spans = [self._span(messages, number, whole, place) for number in numbers]
        return self._chosen(whole, spans, place)

    def end(self) -> tuple[tuple[int, ...], str]:
        """What stands after an answer: the token, or, where it is none of its own, nothing and the text."""
        asked = [{"role": "user", "content": "Question"}, {"role": "assistant", "content": "Answer"}]
        text = self._rendered(asked, "An example", tokenize=False, add_generation_prompt=False)
        end = text[text.rindex("Answer") + len("Answer") :].strip()
        ids = self.tokenizer(end, add_special_tokens=False, verbose=False)["input_ids"] if end else []
        first = ids[:1] if ids and ids[0] in self.tokenizer.added_tokens_decoder else []
        return tuple(first), end

    def _span(self, messages: Sequence[Message], number: int, whole: str, place: str) -> tuple[int, int]:
        """Where the answer of a message with its end is in ``whole``."""
        before = self.text(messages[:number], place, prompt=True)
        after = self.text(messages[: number + 1], place)
        if not after.startswith(before) or not whole.startswith(after):
            raise InputError(
                f"{place}: the chat template writes earlier messages in another way once later ones follow, so that answer "
                f"{number + 1} is not what a model would have been asked for. Set model.task_options.turns: last, which "
                "trains the last answer of each conversation, or choose another template."
            )
        end = after[len(before) :].partition(messages[number]["content"])[2].strip()
        if not end:
            raise InputError(
                f"{place}: the chat template writes no end after an answer, so that a model would never learn to stop. Use "
                f"another template: {', '.join(TEMPLATES)}."
            )
        return len(before), len(after.rstrip())

    def _marked(self, messages: Sequence[Message], place: str, last: bool) -> tuple[np.ndarray, np.ndarray]:
        """By the characters of the marks: the mask that `transformers` makes of them ends early where a mark begins with a
        space that belongs to no token, and goes on to the end of the text where one ends with it."""
        text, spans = self._marks(messages, place)
        if last and any(message["role"] == "assistant" for message in messages[:-1]):
            spans = spans[len(self._marks(messages[:-1], place)[1]) :]
        ids, chosen = self._chosen(text, spans, place)
        if not chosen.any():
            raise InputError(f"{place}: the chat template marks no token of an answer. Use another template.")
        return ids, chosen

    def _marks(self, messages: Sequence[Message], place: str) -> tuple[str, list[tuple[int, int]]]:
        """The text, and the characters that are marked."""
        from transformers.utils.chat_template_utils import render_jinja_template

        with _refusing(place):
            rendered, spans = render_jinja_template(
                conversations=[list(messages)],
                chat_template=self.source,
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        return rendered[0], list(spans[0])

    def _chosen(self, text: str, spans: Sequence[tuple[int, int]], place: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids, and which tokens are of ``spans``; InputError where one of these begins inside a token."""
        ids, offsets = self._tokens(text)
        for start, _ in spans:
            within = ((offsets[:, 0] < start) & (offsets[:, 1] > start)).any()
            if within or (text[:start].endswith(" ") and self._takes_space(text[:start], offsets)):
                raise InputError(
                    f"{place}: an answer must begin with a token of its own, as it does where a model writes it; here "
                    f"the template's text and the answer share one. {_CORRECT}"
                )
        return ids, _inside(offsets, spans)

    def _takes_space(self, before: str, offsets: np.ndarray) -> bool:
        """Whether a space at the end of ``before`` is a token where nothing follows, and is part of the next one where
        something does. Tokenizers that trim offsets, as Llama 3's, do not say so themselves."""
        return len(self._tokens(before)[0]) > int((offsets[:, 0] < len(before)).sum())

    def _tokens(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Ids, and the characters ``(tokens, 2)`` that each stands for."""
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return np.array(found["input_ids"], np.int32), np.array(found["offset_mapping"], np.int64).reshape(-1, 2)

    def _rendered(self, messages: Sequence[Message], place: str, **options: Any) -> Any:
        with _refusing(place):
            return self.tokenizer.apply_chat_template(list(messages), chat_template=self.source, **options)

    def _check(self, messages: Sequence[Message], place: str) -> None:
        added = self.tokenizer.added_tokens_decoder.values()
        special = [token.content for token in added if token.special or token.content in self.source]
        for message in messages:
            found = next((token for token in special if token in message["content"]), None)
            if found is not None:
                raise InputError(
                    f"{place}: a message must not hold special tokens of the tokenizer, which would read as the template's "
                    f"own; found {found!r}. {_CORRECT}"
                )


@contextmanager
def _refusing(place: str) -> Iterator[None]:
    """An error of a template as one that names the ``place`` of its messages."""
    from jinja2 import TemplateError

    try:
        yield
    except (TemplateError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place}: the chat template refuses the messages: {error}. {_CORRECT}") from error


def _inside(offsets: np.ndarray, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """The tokens of ``spans`` of characters, bool: from the first to the last one that has a character of a span. Some
    between have none, since tokenizers may leave spaces out of what a token stands for, and tokens may be nothing else.

    Args:
        offsets: of each token the characters that it stands for, ``(tokens, 2)``.

    Example:
        >>> _inside(np.array([[0, 2], [2, 3], [3, 3], [5, 6], [6, 7]]), [(2, 6)]).tolist()
        [False, True, True, True, False]
    """
    chosen = np.zeros(len(offsets), bool)
    for start, stop in spans:
        found = np.flatnonzero((offsets[:, 0] < stop) & (offsets[:, 1] > start) & (offsets[:, 1] > offsets[:, 0]))
        if len(found):
            chosen[found[0] : found[-1] + 1] = True
    return chosen


def template_of(tokenizer: PreTrainedTokenizerFast, name: str) -> Template:
    """The template ``name``: one of `TEMPLATES`, or ``tokenizer`` for the tokenizer's own.

    Raises:
        InputError: the tokenizer has none, or lacks a token that the template writes.
    """
    if name == TOKENIZER:
        source = tokenizer.chat_template
        source = source.get("default") if isinstance(source, dict) else source
        if not source:
            raise InputError(
                "The tokenizer has no chat template. Use the tokenizer of a chat model, or set "
                f"model.task_options.template to one of {', '.join(TEMPLATES)}."
            )
        return Template(tokenizer, source)
    source = TEMPLATES[name]
    if "eos_token" in source and tokenizer.eos_token is None:
        raise InputError(f"The template {name} ends an answer with an end-of-text token; this tokenizer has none.")
    lacking = [
        token for token in ("<|im_start|>", "<|im_end|>") if token in source and token not in tokenizer.get_vocab()
    ]
    if lacking:
        raise InputError(
            f"The template {name} writes the token {lacking[0]}, which this tokenizer does not have. Add it with "
            f"model.add_tokens: [{', '.join(lacking)}], or use another template."
        )
    return Template(tokenizer, source)
