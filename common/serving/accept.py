"""The body of a request: ``{"inputs": [...], "options": {...}}``, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import InputError
from common.generation.options import GenerationOptions
from common.reading import parse_json
from common.tasks import Task
from common.training.prediction import checked_row

__all__ = ["Asked", "read_request"]

_WHAT = "the body of a request"
_SHAPE = {"inputs": list, "options?": dict}
_BEAMS = 64  #: of a search
_TOKENS = 4096  #: of a text that the context does not bound
_REMEDY = 'Send {"inputs": [...]}, a list of texts or of objects such as {"text": ...}.'


@dataclass(frozen=True)
class Asked:
    """What one request asks."""

    rows: tuple[Mapping[str, Any], ...]  #: of roles, one for each input
    options: Mapping[str, Any] = field(default_factory=dict)  #: of generation


def read_request(content: bytes, task: Task, most: int) -> Asked:
    """The rows that ``task`` reads.

    Args:
        most: inputs that one request may have.

    Raises:
        InputError: it is not JSON, has another form, an input cannot be read, or an option does not fit.
    """
    found = parse_json(content, "the request", _WHAT, _REMEDY, _SHAPE)
    unknown = sorted(set(found) - {"inputs", "options"})
    if unknown:
        raise InputError(f"the request: {_WHAT} has no entry {unknown[0]!r}. {_REMEDY}")
    inputs, options = found["inputs"], found.get("options", {})
    if not 1 <= len(inputs) <= most:
        raise InputError(
            f"the request: inputs must hold 1 to {most} texts; received {len(inputs)}. Divide the request."
        )
    if options:
        _check(options, task)
    return Asked(tuple(_row(task, given, f"inputs[{number}]") for number, given in enumerate(inputs)), options)


def _row(task: Task, given: Any, place: str) -> dict[str, Any]:
    if isinstance(given, str):
        given = task.parse(given)
    if not isinstance(given, dict):
        raise InputError(
            f"the request, {place}: a text or an object was expected; received {type(given).__name__}. {_REMEDY}"
        )
    return checked_row(task, given, "the request", place)


def _check(options: Mapping[str, Any], task: Task) -> None:
    if not task.writes:
        raise InputError(
            f"the request: options are of models that write texts; this one was trained for {task.name}. Leave options "
            "out."
        )
    chosen = GenerationOptions.of(options)
    if chosen.num_return_sequences > 1:
        raise InputError("the request: an answer is one text. Leave num_return_sequences out.")
    if chosen.num_beams > _BEAMS:
        raise InputError(f"the request: num_beams must be at most {_BEAMS} here; received {chosen.num_beams}.")
    tokens = max(chosen.max_new_tokens or 0, chosen.min_new_tokens)
    if chosen.slide and tokens > _TOKENS:
        raise InputError(f"the request: with slide a text has at most {_TOKENS} tokens here; received {tokens}.")
