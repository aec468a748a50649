"""PEFT's patterns mean here what they mean in PEFT, and none of them takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.patterns import match_suffix_pattern
from tests.mutations import EXAMPLES
from tests.support import refusal

PATHS = ("h.0.attn.c_attn", "h.1.attn.c_attn", "bert.encoder.layer.11.attention.self.query", "query", "aquery", "")
PATTERNS = (
    "c_attn",
    r"^h\.0\.attn\.c_attn",
    "query",
    r".*\.1\..*",
    r"layer\.(?!1\.)\d+\..*",
    r"attn\.c_(attn|proj)",
    "",
    ".*",
    "h.0",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mean_what_they_mean_in_peft(pattern):
    for path in PATHS:
        assert match_suffix_pattern(pattern, path) == bool(re.match(rf"(.*\.)?({pattern})$", path))


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    st.recursive(
        st.sampled_from(["a", "b", ".", r"\.", r"\d", "[ab]", "[^a]", "^", "$", "(?=a)", "(?!b)", ""]),
        lambda inner: st.tuples(inner, st.sampled_from(["", "*", "+", "?", "{1,2}", "|"]), inner).map(
            lambda parts: f"({parts[0]}){parts[1]}{parts[2]}"
        ),
        max_leaves=4,
    ),
    st.text("ab.1", max_size=6),
)
def test_any_pattern_means_what_it_means_to_python(pattern, path):
    assert match_suffix_pattern(pattern, path) == bool(re.match(rf"(.*\.)?({pattern})$", path))


@pytest.mark.parametrize(
    "pattern",
    [
        "(a|aa)+",
        "(?:a{1,5000}){1,5000}",
        "(" * 3000 + "a" + ")" * 3000,
        "(",
        "[",
        "*",
        "a{2,1}",
        r"\99",
        "a" * 20_000,
        "(?P<x>a)(?P<x>b)",
    ],
)
def test_a_pattern_that_is_none_or_takes_long_is_refused(pattern):
    with pytest.raises(InputError, match="must be regular expressions"):
        match_suffix_pattern(pattern, "transformer.h.0." + 45 * "a" + "!")


def test_a_pattern_that_takes_python_long_is_answered_or_refused_at_once():
    """Which of the two depends on what the library sees beforehand; Python would not end."""
    said = refusal(lambda: match_suffix_pattern("(a|a)*b", "transformer.h.0." + 45 * "a" + "!"))
    assert said is None or "must be regular expressions" in said
