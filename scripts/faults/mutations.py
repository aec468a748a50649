"""Files that went wrong somewhere: pieces of a good one removed, doubled, replaced or exchanged, in its bytes and in
its JSON."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

__all__ = ["NASTY", "mutated_bytes", "mutated_json"]

#: values that have broken a reader of this project or of another one
NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, 1e-320, 10**30, -(2**63), 2**31, 10**11, 10**400),
    *(
        "",
        " ",
        "a",
        "nan",
        "None",
        "0",
        "-1",
        "../x",
        "/etc/passwd",
        "\x1b[2J\x07",
        "\u2028",
        "\u202e",
        "\x00",
        "a" * 300,
    ),
    *("--1", "1.0", "(a|aa)+$", "((((", "[", "LABEL_0", "\ud800", "äöü", "😀", "bert", "gpt2", "float8_e4m3fn"),
    *([], {}, [[]], [None], {"": None}, [0] * 50, {"a": {"b": []}}),
)
_BYTES = (
    *(
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\n\n\n",
        b"\r",
        b"\t",
        b",",
        b";",
        b'"',
        b"'",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]" * 200,
        b"[" * 5000,
        b"{}",
        b":",
        b"!!int abc",
        b"!!python/object/apply:os.system [true]",
        b"&a [*a]",
    ),
    *(b"NaN", b"Infinity", b"-1e999", b"1" * 5000, b"\\ud800", b"null", b"~", b"- - -", b"\x1b]0;x\x07", b"a" * 5000),
)


def mutated_bytes(random: Random, content: bytes, most: int = 4) -> bytes:
    """``content`` after one to ``most`` changes."""
    for _ in range(random.randint(1, most)):
        start = random.randint(0, len(content))
        stop = min(len(content), start + random.choice((1, 1, 2, 8, 64, 1000)))
        part, other = content[start:stop], random.randint(0, len(content))
        content = random.choice(
            (
                content[:start] + random.choice(_BYTES) + content[start:],
                content[:start] + random.choice(_BYTES) + content[stop:],
                content[:start] + content[stop:],
                content[:start] + part + content[start:],
                content[:start],
                content[:start] + bytes(byte ^ (1 << random.randrange(8)) for byte in part[:1]) + content[start + 1 :],
                content[:start] + content[stop:other] + part + content[max(other, stop) :],
            )
        )
    return content


def mutated_json(random: Random, content: bytes, most: int = 3) -> bytes:
    """The JSON value ``content`` after one to ``most`` changes of its parts; sometimes changed as bytes instead."""
    if random.random() < 0.15:
        return mutated_bytes(random, content)
    value = json.loads(content)
    for _ in range(random.randint(1, most)):
        value = _changed(random, value)
    text = json.dumps(value)  # with NaN and incomplete characters, which readers must refuse
    return text.encode()


def _changed(random: Random, value: Any) -> Any:
    places = list(_places(value))
    if not places or random.random() < 0.02:
        return copy.deepcopy(random.choice(NASTY))
    # small parts of large lists would crowd out the sections around them
    owner, key = random.choice(
        places if random.random() < 0.5 else [place for place in places if place[0] is value] or places
    )
    action = random.choice(("replace", "replace", "replace", "remove", "double", "rename", "exchange"))
    if action == "remove":
        del owner[key]
    elif action == "double" and isinstance(owner, list):
        owner.insert(key, copy.deepcopy(owner[key]))
    elif action == "rename" and isinstance(owner, dict):
        owner[str(random.choice(NASTY))[:50]] = owner.pop(key)
    elif action == "exchange":
        other, place = random.choice(places)
        owner[key] = copy.deepcopy(other[place])
    else:
        owner[key] = copy.deepcopy(random.choice(NASTY))
    return value


def _places(value: Any) -> Any:
    waiting = [value]
    while waiting:
        owner = waiting.pop()
        for key, inner in list(
            owner.items() if isinstance(owner, dict) else enumerate(owner) if isinstance(owner, list) else ()
        ):
            yield owner, key
            if isinstance(inner, dict | list):
                waiting.append(inner)
