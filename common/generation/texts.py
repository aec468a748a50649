"""From prompts to texts, with a trained run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.backend import Engine
from common.errors import InputError
from common.generation.options import GenerationOptions
from common.generation.run import continue_tokens
from common.generation.search import Continuation
from common.generation.stopping import Stopping
from common.generation.streaming import TextStream
from common.reading import plain_problem

if TYPE_CHECKING:
    from common.training.assembly import Trained

__all__ = ["Emit", "Generated", "generate"]

Emit = Callable[[int, int, str], None]  #: is called with prompt, sample and the next piece of its text


@dataclass(frozen=True)
class Generated:
    """One continuation of one prompt."""

    prompt: str
    text: str  #: without the end-of-text token and without a stop string
    tokens: tuple[int, ...]  #: without the end-of-text token
    finish: str  #: ``end``, ``stop`` or ``length``
    score: float | None = None  #: of a beam: log-probability over length ** length_penalty

    def record(self) -> dict[str, Any]:
        """Ready for JSON; the score only of beams."""
        found = dataclasses.asdict(self) | {"tokens": list(self.tokens)}
        return found if self.score is not None else {key: value for key, value in found.items() if key != "score"}


def generate(
    trained: Trained,
    engine: Engine,
    prompts: Sequence[Any],
    options: GenerationOptions,
    emit: Emit | None = None,
    batch_size: int | None = None,
) -> Iterator[list[Generated]]:
    """The continuations of every prompt, which is written as in training (`common.tasks.task.Task.prompt_ids`).

    Args:
        prompts: texts; for tasks that converse also lists of messages.
        batch_size: prompts that are continued together; by default ``training.evaluation_batch_size``, less where each
            prompt has several samples or beams. What is written does not depend on it, but for rounding.
        emit: gets every piece of text when it is known.

    Yields:
        ``num_return_sequences`` texts for each prompt, in the order of the prompts.

    Raises:
        InputError: the run is no language model, or a prompt is no text, or does not fit into the context.
    """
    if isinstance(prompts, str):
        raise InputError(f"prompts must be a list of them; received one text: {prompts[:80]!r}. Write [TEXT].")
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size must be at least 1; received {batch_size}.")
    if problem := plain_problem(list(prompts)):
        raise InputError(f"A prompt must be text: {problem}. Correct it.")
    if not trained.task.converses and (wrong := [prompt for prompt in prompts if not isinstance(prompt, str)]):
        raise InputError(f"A prompt of a {trained.task.name} model is a text; received {str(wrong[0])[:80]}.")
    ids = trained.task.prompt_ids(prompts, trained.tokenizer, trained.summary["data"]["columns"])
    stopping = _stopping(trained, options)
    data = trained.config.data
    rows = max(options.num_beams, options.num_return_sequences)
    size = batch_size or max(1, trained.config.training.evaluation_batch_size // rows)
    for start in range(0, len(prompts), size):
        stream = None if emit is None else TextStream(_shifted(emit, start), stopping)
        found = continue_tokens(
            engine,
            ids[start : start + size],
            options,
            stopping,
            data.max_length,
            data.length_multiple,
            None if stream is None else stream.token,
            trained.task.opening(trained.tokenizer),
        )
        if stream is not None:
            stream.end()
        for prompt, continuations in zip(prompts[start : start + size], found, strict=True):
            yield [_text(prompt, continuation, stopping) for continuation in continuations]


def _stopping(trained: Trained, options: GenerationOptions) -> Stopping:
    known, strings = trained.task.ends(trained.tokenizer)
    ends, stops = (known, (*options.stops, *strings)) if options.ends is None else (options.ends, options.stops)
    size = len(trained.tokenizer)
    if wrong := [token for token in ends if token >= size]:
        raise InputError(f"eos_token_id must be below the vocabulary's size {size}; received {wrong[0]}.")
    return Stopping(frozenset(ends), stops, trained.tokenizer.decode)


def _text(prompt: Any, found: Continuation, stopping: Stopping) -> Generated:
    prompt = prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)
    tokens = stopping.without_end(found.tokens)
    assert stopping.decode is not None  # `_stopping`
    return Generated(prompt, stopping.cut(stopping.decode(tokens)), tuple(tokens), found.finish, found.score)


def _shifted(emit: Emit, start: int) -> Emit:
    return lambda prompt, sample, text: emit(prompt + start, sample, text)
