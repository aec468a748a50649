"""From token ids to token ids: contexts, limits, and which search."""

from __future__ import annotations

from collections.abc import Sequence

from common.backend import Engine
from common.errors import InputError
from common.generation.beams import beam_search
from common.generation.options import DEFAULT_NEW_TOKENS, GenerationOptions
from common.generation.search import Continuation, Listener, search
from common.generation.session import Rows, Session
from common.generation.stopping import Stopping
from common.generation.targets import TargetSession

__all__ = ["continue_tokens", "new_tokens"]


def new_tokens(length: int, context: int, options: GenerationOptions) -> int:
    """How many tokens a prompt of ``length`` gets.

    Raises:
        InputError: they exceed the context, and may not slide.
    """
    wanted, default = options.max_new_tokens, max(DEFAULT_NEW_TOKENS, options.min_new_tokens)
    if options.slide:
        return default if wanted is None else wanted
    room = context - length + 1  # the last new token is not read
    if room < 1:
        raise InputError(
            f"A prompt must fit into the context of {context} tokens that the model was trained on; received {length}. "
            "Shorten it, or give slide (--slide) to read its end only."
        )
    if wanted is not None and wanted > room:
        raise InputError(
            f"A prompt of {length} tokens and {wanted} new ones exceed the context of {context} tokens that the model was "
            f"trained on. Set max_new_tokens to at most {room}, shorten the prompt, or give slide (--slide) to read the "
            "last tokens only."
        )
    return min(room, default) if wanted is None else wanted


def continue_tokens(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    stopping: Stopping,
    context: int,
    length_multiple: int,
    listen: Listener | None = None,
    opening: int | None = None,
) -> list[list[Continuation]]:
    """Continue all prompts in one batch, or write to them.

    Args:
        prompts: token ids, at least one each.
        context: tokens that the model reads at most.
        length_multiple: lengths are padded to a multiple of it, so that compiled shapes stay few.
        listen: gets every token when it is chosen; not of beams, whose tokens are known at the end.
        opening: the token that texts of their own begin with, which an encoder-decoder writes to the prompts.

    Returns:
        For each prompt, ``num_return_sequences`` continuations.

    Raises:
        InputError: a prompt is empty, or does not fit into the context.
        RunError: the logits are not finite, or no token is allowed.
    """
    if not prompts:
        return []
    if not all(len(prompt) for prompt in prompts):
        raise InputError(
            "A prompt needs at least one token; received an empty one. Begin it with the end-of-text token."
        )
    session: Rows
    if opening is None:
        limits = [new_tokens(len(prompt), context, options) for prompt in prompts]
        session = Session(engine, prompts, limits, context, length_multiple, options.use_cache)
    else:
        limits = [_written(prompt, context, options) for prompt in prompts]
        session = TargetSession(engine, prompts, limits[0], opening, context, length_multiple, options.use_cache)
    if options.num_beams > 1:
        return beam_search(session, prompts, limits, options, stopping)
    return search(session, prompts, limits, options, stopping, listen)


def _written(source: Sequence[int], context: int, options: GenerationOptions) -> int:
    """How many tokens are written to a source at most.

    Raises:
        InputError: source or text exceed the context; neither slides.
    """
    if options.slide:
        raise InputError("An encoder-decoder reads a whole source, so that nothing slides. Leave slide (--slide) out.")
    if len(source) > context:
        raise InputError(
            f"A source must fit into the {context} tokens that the model was trained on; received {len(source)}. "
            "Shorten it, or train with a larger data.max_length."
        )
    return new_tokens(1, context, options)
