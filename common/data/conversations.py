"""Conversations as the files of instruction data hold them, in one form: a list of messages with ``role`` (system, user
or assistant) and ``content``.

Two forms are read: ``{"role": ..., "content": ...}``, and ShareGPT's ``{"from": ..., "value": ...}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import InputError

__all__ = ["ROLES", "Message", "conversation", "looks_like_turns"]

Message = dict[str, str]
ROLES = ("system", "user", "assistant")
_OTHERS = {"human": "user", "gpt": "assistant", "model": "assistant"}
_FORMS = (("role", "content"), ("from", "value"))
_UNUSED = ("tool_calls", "function_call")


def looks_like_turns(values: Sequence[Any]) -> bool:
    """Whether every value is a list of objects in one of the forms."""
    return bool(values) and all(isinstance(value, list) and value and all(map(_form, value)) for value in values)


def conversation(turns: Any, place: str) -> list[Message]:
    """The messages of one example.

    Args:
        turns: a list of objects.
        place: of the example, for messages.

    Raises:
        InputError: it is not of one of the forms, a role is unknown, or a message is empty or calls tools.

    Example:
        >>> conversation([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}], "line 1")
        [{'role': 'user', 'content': 'Hi'}, {'role': 'assistant', 'content': 'Hello!'}]
    """
    if not isinstance(turns, list) or not turns:
        raise InputError(
            f"{place}: a list of messages was expected; found {str(turns)[:80]!r}. Correct or remove the row."
        )
    return [_message(turn, f"{place}, message {number}") for number, turn in enumerate(turns, 1)]


def _message(turn: Any, place: str) -> Message:
    form = _form(turn)
    if form is None:
        raise InputError(
            f'{place}: an object with "role" and "content", or "from" and "value", was expected; found '
            f"{str(turn)[:80]!r}. Correct or remove the row."
        )
    role, content = str(turn[form[0]]).strip().lower(), turn[form[1]]
    role = _OTHERS.get(role, role)
    if role not in ROLES:
        known = ", ".join((*ROLES, *_OTHERS))
        raise InputError(
            f"{place}: the role must be one of {known}; found {turn[form[0]]!r}. Correct or remove the row."
        )
    if not isinstance(content, str) or not content.strip() or any(turn.get(entry) for entry in _UNUSED):
        raise InputError(
            f"{place}: a text was expected in {form[1]!r}, without calls of tools; found {str(turn)[:80]!r}. Correct or "
            "remove the row."
        )
    return {"role": role, "content": content.strip()}


def _form(turn: Any) -> tuple[str, str] | None:
    if not isinstance(turn, Mapping):
        return None
    return next((form for form in _FORMS if all(turn.get(entry) is not None for entry in form)), None)
