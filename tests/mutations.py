"""JSON values that went wrong somewhere: what hypothesis does to the files of a reader."""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import strategies as st

__all__ = ["EXAMPLES", "json_values", "mutated"]

#: examples per reader; MUTATIONS=5000 in the environment for a long run
EXAMPLES = int(os.environ.get("MUTATIONS", "200"))

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([10**30, -(2**63), 1e308, -0.0, 1e-320])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
    | st.sampled_from(["", "\x1b[2J", "../x", "\u2028", "nan", "a" * 300])
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: Any, value: Any, most: int = 3) -> Any:
    """``value`` with one to ``most`` of its parts replaced, removed, doubled or renamed."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, most))):
        places = list(_places(value))
        if not places:
            return draw(json_values)
        owner, key = draw(st.sampled_from(places))
        action = draw(st.sampled_from(["replace", "replace", "remove", "double", "rename"]))
        if action == "replace":
            owner[key] = draw(json_values)
        elif action == "remove":
            del owner[key]
        elif action == "double" and isinstance(owner, list):
            owner.insert(key, copy.deepcopy(owner[key]))
        elif action == "rename" and isinstance(owner, dict):
            owner[draw(st.text(max_size=3))] = owner.pop(key)
    return value


def _places(value: Any) -> Any:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(inner)
