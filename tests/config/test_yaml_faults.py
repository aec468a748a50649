"""An experiment file of any content is read or refused with its line; nothing in it is executed or guessed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import from_yaml, load_config
from common.config.yaml_text import parse, parse_value
from tests.mutations import EXAMPLES
from tests.support import refusal

CASES = {
    "seed: !!int abc": "line 1: seed must be text, a number, true, false or null without a tag",
    "seed: !!float abc": "line 1: seed must be text",
    "seed: !!bool maybe": "line 1: seed must be text",
    "seed: !!null 5": "line 1: seed must be text",
    "seed: !!timestamp 2020-13-45": "line 1: seed must be text",
    "seed: !!binary '*'": "line 1: seed must be text",
    "seed: !custom 5": "received the YAML type !custom",
    "seed: !!python/object/apply:os.system [ls]": "python/object/apply",
    "data: !!set {a, b}": "line 1: data must be text",
    "data: !!omap [a: 1]": "line 1: data must be text",
    "!!int abc: 1": "without a tag",
    "? [a, b]\n: 1": "keys must be text",
    "? {a: b}\n: 1": "keys must be text",
    "seed: 1" + 299 * "0": "seed must be an integer of at most 256 bits",
    "seed: 1" + 400 * "0": "seed must be a finite number",
    "seed: 1e999": "seed must be a finite number",
    'name: "\\ud800"': "name holds an incomplete Unicode character",
    '"\\ud800": 1': "incomplete Unicode character",
    "a: " + 3_000 * "[": "nested more than 100 levels deep",
    "a: " + 100_000 * "[": "nested more than 100 levels deep",
    "a: " + 100_000 * "{a: ": "nested more than 100 levels deep",
    "\n".join(" " * depth + "a:" for depth in range(300)): "nested more than 100 levels deep",
    "- " * 3_000 + "a": "nested more than 100 levels deep",
    "a: \0": "not valid YAML",
    "a: \x1b[2J": "not valid YAML",
    "%YAML 9.9\n---\na: 1": "not valid YAML",
    "a: [&x 1, *x]": "anchors and aliases are not supported",
    "3": "must be a YAML mapping",
    "'": "not valid YAML",
}


@pytest.mark.parametrize("text", CASES, ids=[str(number) for number in range(len(CASES))])
def test_each_fault_is_said(text):
    message = refusal(lambda: from_yaml(text, "x.yaml"))
    assert message.startswith("x.yaml")
    assert CASES[text] in message


def test_a_quoted_or_tagged_text_stays_text():
    assert parse("a: '1'\nb: !!str 1\nc: \"true\"\nd: !!int 5", "x").values == {"a": "1", "b": "1", "c": "true", "d": 5}


@pytest.mark.parametrize(
    "text", ["!!int abc", "[" * 3000, "{a: 1, a: 2}", '"\\ud800"', ".inf", "!!set {a}", "{[1]: 2}", "*a", "9" * 300]
)
def test_an_override_with_such_a_value_is_refused(text):
    with pytest.raises(ValueError, match=r"must be|is given twice|holds|nested|text|supported"):
        parse_value(text)
    assert "--set seed=" in refusal(lambda: load_config("bert_sst2", [f"seed={text}"]))


def test_a_file_of_another_size_than_an_experiment_has_is_not_parsed(tmp_path):
    (tmp_path / "x.yaml").write_text("a: " + "1, " * 2**20)
    assert "at most 1,048,576 bytes" in refusal(lambda: load_config(tmp_path / "x.yaml"))


PIECES = [
    "a",
    "seed",
    "model",
    ": ",
    ":\n  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "\n",
    "  ",
    "'",
    '"',
    "!!int ",
    "!!set ",
    "!x ",
    "&a ",
    "*a",
    "1",
    "1e9",
    "|\n",
    ">",
    "#",
    "?",
    "%",
    "---\n",
    "\\ud800",
    "\t",
    "<<",
    "=",
    "~",
    "\u2028",
]


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=15).map("".join))
def test_mutated_yaml_is_read_or_refused(text):
    message = refusal(lambda: parse(text, "x.yaml"))
    assert message is None or message.startswith("x.yaml")
    try:
        parse_value(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017  (both outcomes are right)
