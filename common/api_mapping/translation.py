"""What the pages say about rows, in the language of the block: the texts of rows one by one, and messages that were made
while rows were run, by their templates. The English text is the key, as in `common.language`."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping

from common.language import ENGLISH, current
from common.resources import package_folder

__all__ = ["catalogue", "said"]

_COUNTS = ("calls", "more", "number")  #: fields of a template that hold an integer
_NESTED = "message"  #: the field that holds another message


def said(text: str) -> str:
    """``text`` in the language of the block. Calls, and errors that a framework raised, stay as they are."""
    if current() == ENGLISH:
        return text
    content = catalogue(current())
    if text in content["texts"]:
        return content["texts"][text]
    for template, other in content["templates"].items():
        if found := _pattern(template).fullmatch(text):
            parts = found.groupdict()
            return other.format(**parts | ({_NESTED: said(parts[_NESTED])} if _NESTED in parts else {}))
    return text


@functools.cache
def catalogue(language: str) -> Mapping[str, Mapping[str, str]]:
    """``texts`` and ``templates`` of a language, by their English; the first template that fits is taken."""
    file = package_folder("common") / "translations" / f"api_mapping.{language}.json"
    return json.loads(file.read_text(encoding="utf-8"))


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """A template as an expression whose groups are its fields."""
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(
            rf"(?P<{part}>{r'[0-9]+' if part in _COUNTS else '.*?'})" if place % 2 else re.escape(part)
            for place, part in enumerate(parts)
        ),
        re.DOTALL,
    )
